#!/usr/bin/env python3
"""Exported networks under ONNX's checker and in ONNX Runtime, against lockstep's own logits: folded and not, with each
of the running statistics.

  onnx_agreement.py LOCKSTEP_BINARY INTEROP_LOGITS_BINARY IMAGES MODEL...
"""
import gzip
import itertools
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pypi
from checks import expect, finish, train

try:
    import numpy as np
    import onnx
    import onnxruntime
    from safetensors.numpy import load_file
except ImportError as error:
    pypi.not_there(error)

FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz")
CLASS_NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
TOLERANCE = 1e-4  # of an image's largest logit
ENTRIES = ["ema", "cumulative", "ema:0.01", "precise"]

# Every kind of layer, where something can go wrong: norms with nothing to be folded into, without parameters, behind a
# dropout; groups, strides, padding, biases; planes of one pixel that are vectors and vectors that are planes.
LAYERS = """{layers: [
  batch_norm, {conv2d: {out: 6, padding: 1, bias: true}}, batch_norm, relu,
  {residual: {body: [{conv2d: {out: 12, stride: 2, padding: 1, groups: 3}}, {dropout: {probability: 0.2}}, batch_norm, relu,
                     {conv2d: {out: 12, padding: 1}}, {batch_norm: {affine: false}}],
              shortcut: [{avg_pool: {window: 3, stride: 2, padding: 1}}, {conv2d: {out: 12, kernel: 1}}, batch_norm]}},
  relu, {residual: {body: [batch_norm, relu, {conv2d: {out: 12, padding: 1}}]}},
  {max_pool: {window: 3, stride: 2, padding: 1}}, batch_norm,
  {residual: {body: [flatten, {linear: {out: 10}}, {batch_norm: {affine: false}}],
              shortcut: [global_avg_pool, {conv2d: {out: 10, kernel: 1}}]}},
  {residual: {body: [{linear: {out: 10, bias: false}}, batch_norm, relu]}},
  {residual: {body: [{conv2d: {out: 10, kernel: 1}}], shortcut: [dropout]}}, dropout]}"""


# A model is called by its name in the configuration, or "layers", or "layers_in_color".
def is_list(model):
    return model.startswith("layers")


def in_color(model):
    return model.endswith("in_color")


def images_for(model, count):
    """NHWC. In color they are random pixels, of which no two sides or channels are alike."""
    if in_color(model):
        return np.random.default_rng(1).integers(0, 256, (count, 13, 10, 3), np.uint8)
    data = gzip.decompress(FASHION_MNIST.read_bytes())
    return np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28, 1)[:count]


def write_idx(path, images):
    path.write_bytes(struct.pack(">5I", 0x804, *images.shape) + images.tobytes())


def trained(lockstep, model, folder):
    # Enough for numbers of every kind; the validation split spares evaluations of all test images.
    settings = ["batch.global=16", "schedule.steps=4"] if model == "resnet50" else []
    if not in_color(model):
        settings.append("data.validation=0.001")
    data = "{dataset: synthetic, synthetic: {samples: 640, test_samples: 32, height: 13, width: 10, channels: 3}}"
    train(lockstep, folder / "run", settings, config=(
        f"model: {LAYERS if is_list(model) else f'{{name: {model}}}'}\n"
        "batch: {global: 64, shards: 2}\nschedule: {steps: 20}\noptimizer: {lr: 0.02}\n"
        f"normalization: {{running_stats: [{', '.join(ENTRIES)}], eps: 1.0e-3}}\nevaluation: {{every_steps: 20}}\n"
        f"data: {data if in_color(model) else '{dataset: fashion_mnist}'}\n"))
    return folder / "run" / "final.safetensors"


def check_file(file, model, folded, entry, shape):
    """What the file says of itself."""
    proto = onnx.load(str(file))
    onnx.checker.check_model(proto, full_check=True)
    [images], [logits] = proto.graph.input, proto.graph.output
    sizes = lambda value: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
    height, width, channels = shape
    expect((images.name, sizes(images)) == ("images", ["batch", channels, height, width]), f"images are {sizes(images)}")
    expect((logits.name, sizes(logits)) == ("logits", ["batch", 10]), f"logits are {sizes(logits)}")
    norms = sum(node.op_type == "BatchNormalization" for node in proto.graph.node)
    expect((norms > 0) == (is_list(model) or not folded), f"has {norms} BatchNormalization")
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    names = [str(i) for i in range(10)] if in_color(model) else CLASS_NAMES
    expect(json.loads(metadata["class_names"]) == names, "names its classes")
    expect(metadata["running_stats"] == entry, f"says that its statistics are {metadata['running_stats']}")
    return norms


def in_onnx_runtime(file, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    planes = images.transpose(0, 3, 1, 2).astype(np.float32)
    # Batches of several sizes, one of a single image.
    cuts = [0, 1, *range(100, len(planes), 100), len(planes)]
    return np.concatenate([session.run(["logits"], {"images": planes[a:b]})[0] for a, b in zip(cuts, cuts[1:])])


def compare(ours, theirs, what):
    scale = np.abs(ours).max(axis=1)
    difference = (np.abs(ours - theirs).max(axis=1) / scale).max()
    expect(difference <= TOLERANCE, f"{what}: logits differ by {difference:.1e} of an image's largest at most")
    other = np.flatnonzero(ours.argmax(axis=1) != theirs.argmax(axis=1))
    gaps = [ours[i].max() - ours[i, theirs[i].argmax()] for i in other]
    ties = sum(gap <= TOLERANCE * scale[i] for i, gap in zip(other, gaps))
    expect(ties == len(other), f"{what}: the same top-1 of {len(ours)} images, but for {ties} ties ({len(other)} differ)")


def run(lockstep, logits, count, model, folder):
    checkpoint = trained(lockstep, model, folder)
    images = images_for(model, count)
    write_idx(folder / "images", images)

    def our_logits(entry, how):
        subprocess.run([logits, checkpoint, folder / "images", entry, how, folder / "logits"], check=True)
        return load_file(folder / "logits")["logits"]

    of_entry = {}
    for entry in ENTRIES:
        of_entry[entry] = ours = our_logits(entry, "kept")
        compare(ours, our_logits(entry, "folded"), f"{model}, {entry}, folded here")
        norms = {}
        for folded in (True, False):
            file = folder / "network.onnx"
            options = ["--running-stats", entry] + ([] if folded else ["--no-fold"])
            subprocess.run([lockstep, "export", checkpoint, "--onnx", file, *options], check=True)
            norms[folded] = check_file(file, model, folded, entry, images.shape[1:])
            compare(ours, in_onnx_runtime(file, images), f"{model}, {entry}, {'folded' if folded else 'not folded'}")
        expect(norms[True] < norms[False], f"{model}: folding leaves {norms[True]} of {norms[False]}")
    for a, b in itertools.combinations(ENTRIES, 2):
        difference = np.abs(of_entry[a] - of_entry[b]).max() / np.abs(of_entry[a]).max()
        expect(difference > 10 * TOLERANCE, f"{model}: {a} and {b} do differ, by {difference:.1e}")


def main():
    lockstep, logits, count, *models = sys.argv[1:]
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            run(lockstep, logits, int(count), model, Path(folder))
    finish()


main()
