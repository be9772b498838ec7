#!/usr/bin/env python3
"""Weights go from lockstep to torchvision and back, as they are: names, shapes, logits to 1e-4 relative.

  torchvision_weights.py INTEROP_ANSWERS_BINARY LOCKSTEP_BINARY MODEL
"""
import json
import shlex
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pypi
from checks import expect, finish, train

warnings.simplefilter("ignore")  # torchvision looks for what it could read images with
try:
    import numpy as np
    import torch
    import torchvision
    from PIL import Image
    from safetensors.torch import load_file, save_file
    from torch import nn
    from torchvision import transforms
except ImportError as error:
    pypi.not_there(error)

README = Path(__file__).resolve().parents[2] / "README.md"

# Pictures of the size that these networks are made for, in as many classes; few of them.
DATA = ["data.dataset=synthetic", "data.synthetic.samples=24", "data.synthetic.test_samples=6",
        "data.synthetic.height=96", "data.synthetic.width=96", "data.synthetic.channels=3",
        "data.synthetic.classes=1000", "data.mean=[0.485, 0.456, 0.406]", "data.std=[0.229, 0.224, 0.225]"]
RUN = ["batch.global=8", "batch.shards=4", "schedule.steps=3", "schedule.decay=constant", "optimizer.lr=0.01",
       "evaluation.batch=8", "normalization.momentum=0.5"]


class Ours:
    """lockstep's two programs, in a folder of their own."""

    def __init__(self, answers, lockstep, model, folder):
        self.answers, self.lockstep, self.folder = Path(answers).resolve(), Path(lockstep).resolve(), folder
        self.network = [f"model.name={model}", *DATA]

    def train(self, name, *settings):
        run_dir = self.folder / name
        train(self.lockstep, run_dir, [*self.network, *RUN, *settings], "--workers", "2", config="")
        return run_dir / "final.safetensors"

    def logits(self, file, *settings):
        out = self.folder / "logits.safetensors"
        subprocess.run([self.answers, file, out, *settings], check=True, cwd=self.folder)
        return load_file(out)

    def evaluate(self, file, *settings):
        words = [w for setting in settings for w in ("--set", setting)]
        done = subprocess.run([self.lockstep, "evaluate", file, *words, "--json"], check=True, stdout=subprocess.PIPE,
                              cwd=self.folder)
        return json.loads(done.stdout)


def compare(theirs, ours, told, what):
    """Their answers for the images that ours were given, and what `evaluate` told of them."""
    with torch.no_grad():
        logits = theirs.eval()(ours["images"].permute(0, 3, 1, 2))
    worst = ((ours["logits"] - logits).abs().max() / logits.abs().max()).item()
    expect(worst <= 1e-4, f"{what}: logits, relative: {worst:.2g} (at most 1e-4)")
    labels = ours["labels"].long()
    loss = nn.functional.cross_entropy(logits, labels).item()
    expect(abs(told["loss"] - loss) <= 1e-4 * abs(loss), f"{what}: evaluate tells the loss {told['loss']:.6f}, torch {loss:.6f}")
    accuracy = (logits.argmax(1) == labels).double().mean().item()
    expect(abs(told["accuracy"] - accuracy) < 1e-9, f"{what}: and the accuracy {told['accuracy']:.4f}, torch {accuracy:.4f}")


def ours_to_theirs(ours, build):
    final = ours.train("run")
    theirs = build()
    theirs.load_state_dict(load_file(final), strict=True)
    compare(theirs, ours.logits(final), ours.evaluate(final), "ours in torchvision, as it is")

    several = ours.train("several", "normalization.running_stats=[cumulative, ema]")
    tensors = load_file(several)
    theirs = build()
    theirs.load_state_dict({n: t for n, t in tensors.items() if not n.startswith("stats.")}, strict=True)
    compare(theirs, ours.logits(several), ours.evaluate(several), "ours with several statistics, without stats.*")


def theirs_to_ours(ours, build):
    torch.manual_seed(1)
    theirs = build()
    theirs.train()
    for _ in range(3):  # running statistics of its own
        theirs(torch.randn(8, 3, 96, 96))
    file = ours.folder / "theirs.safetensors"
    save_file(theirs.state_dict(), file)
    compare(theirs, ours.logits(file, *ours.network), ours.evaluate(file, *ours.network), "theirs here")

    # Without a change to the weights a training that begins with them must end with them.
    final = ours.train("begun", f"train.init_from={file}", "optimizer.lr=0")
    begun = load_file(final)
    same = all(torch.equal(begun[name], value.float()) for name, value in theirs.named_parameters())
    expect(same, "theirs as the beginning of a training: every weight")
    counts = all(begun[name].item() == 3 + 3 for name in begun if name.endswith("num_batches_tracked"))
    expect(counts, "theirs as the beginning of a training: batches are counted on")


def settings_of_readme():
    """Those of the command with which README.md evaluates torchvision's weights, on the folder `images`."""
    commands = README.read_text().replace("\\\n", "").splitlines()
    [words] = [shlex.split(line) for line in commands if line.startswith("lockstep evaluate theirs.safetensors")]
    options = words[3:]
    expect(set(options[::2]) == {"--set"}, f"README.md: {' '.join(words)}")
    return options[1::2]


def write_pictures(folder):
    """Three classes, each with another color in front."""
    random = np.random.default_rng(1)
    for half in ("train", "val"):
        for i in range(6):
            place = folder / half / "abc"[i % 3]
            place.mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 160, (9, 7 + i, 3)) + 90 * (np.arange(3) == i % 3)
            Image.fromarray(pixels.astype(np.uint8)).resize((240 + 20 * i, 270)).save(place / f"{i}.png")


def as_readme_says(ours, build, model):
    """Pictures of a folder, normalized as torchvision's own weights want them."""
    torch.manual_seed(2)
    theirs = build(num_classes=3)
    save_file(theirs.state_dict(), ours.folder / "theirs.safetensors")
    write_pictures(ours.folder / "images")
    settings = [*settings_of_readme(), f"model.name={model}"]
    seen = ours.logits("theirs.safetensors", *settings)
    prepare = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor(),
                                  transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])])
    files = sorted((ours.folder / "images" / "val").rglob("*.png"))
    images = torch.stack([prepare(Image.open(file)) for file in files]).permute(0, 2, 3, 1)
    worst = (seen["images"] - images).abs().max().item()
    expect(worst < 1e-5, f"as README.md says: images are those of torchvision's transforms to {worst:.2g}")
    compare(theirs, seen, ours.evaluate("theirs.safetensors", *settings), "as README.md says")


def main():
    answers, lockstep, model = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        ours = Ours(answers, lockstep, model, Path(name))
        build = getattr(torchvision.models, model)
        ours_to_theirs(ours, build)
        theirs_to_ours(ours, build)
        as_readme_says(ours, build, model)
    finish()


main()
