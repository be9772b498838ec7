#!/usr/bin/env python3
"""Measures lockstep and its peers in turn, and writes what came out as OUT/peers.json and OUT/peers.png.

scripts/bench_peers.sh installs the peers and starts this. A round starts each of them once, alone on the machine: it
warms up, and its rate is the median of some windows of about a second. Who goes first changes from round to round. A
ratio is lockstep's rate by the peer's in the same round; its median and its least and greatest over the rounds are
told. Beside it stands the peak memory of a process (the kernel's ru_maxrss), the median of the rounds, where both sides
tell it. What cannot be measured here is told by name, with the reason.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PEERS = Path(__file__).resolve().parent
LOCKSTEP = os.environ.get("LOCKSTEP", str(ROOT / "build" / "release" / "lockstep"))
LOCKSTEP_ON_GPU = os.environ.get("LOCKSTEP_ON_GPU", str(ROOT / "build" / "cuda" / "lockstep"))
WORKERS = 2
LONGEST = 600  # seconds that one of them may take for a round


class Skipped(Exception):
    """Why something cannot be measured here."""


def with_settings(command, settings):
    return [*command, *(word for setting in settings for word in ("--set", setting))]


@dataclasses.dataclass
class Row:
    """One line of the table, a training: lockstep's settings, and the peers by name with their commands."""

    model: str
    batch: int  # images a worker
    image: tuple  # height, width, channels
    classes: int
    peers: dict
    settings: tuple = ()
    workers: int = WORKERS
    threads: int = 1  # of a worker; on a GPU, queues
    lockstep: str = LOCKSTEP

    def ours(self, settings):
        height, width, channels = self.image
        given = ["data.dataset=synthetic", f"data.synthetic.height={height}", f"data.synthetic.width={width}",
                 f"data.synthetic.channels={channels}", f"data.synthetic.classes={self.classes}",
                 f"model.name={self.model}", f"batch.global={self.batch * self.workers}", "optimizer.name=sgd",
                 "optimizer.momentum=0.9", f"threads={self.threads}", *self.settings, *settings]
        launch = [str(ROOT / "scripts" / "mpirun.sh"), "-n", str(self.workers)]
        return with_settings([*launch, self.lockstep, "bench", "step", "--json"], given)


@dataclasses.dataclass
class PredictRow:
    """Inference by one thread. ONNX Runtime likes other numbers of images at a time than lockstep."""

    model: str
    batch: int  # images at a time
    batches: tuple  # the same, of ONNX Runtime
    workers: int = 1

    @property
    def peers(self):
        script = [sys.executable, str(PEERS / "onnx_runtime.py"), "--lockstep", LOCKSTEP, "--model", self.model]
        return {f"ONNX Runtime, {batch} at a time": [*script, "--batch", str(batch)] for batch in self.batches}

    def ours(self, settings):
        return with_settings([LOCKSTEP, "bench", "predict", "--json", "--model", self.model, "--batch", str(self.batch)],
                             settings)


def torch(model, batch, *options, ranks=WORKERS):
    return [sys.executable, str(PEERS / "torch_ddp.py"), "--model", model, "--batch", str(batch), "--ranks",
            str(ranks), "--channels-last", *options]


def keras(batch):
    return [sys.executable, str(PEERS / "keras_mirrored.py"), "--batch", str(batch)]


def resnet20(batch):
    return Row("resnet20", batch, (32, 32, 3), 10, {
        "PyTorch": torch("resnet20", batch),
        "PyTorch, moments all-reduced": torch("resnet20", batch, "--sync-bn"),
        "Keras, synchronized": keras(batch)})


def gpus():
    """How many a program sees here."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return len([device for device in visible.split(",") if device])
    folder = Path("/proc/driver/nvidia/gpus")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def resnet50_on_gpus(precision, shards):
    """A worker a GPU, each with so many shards."""
    workers = max(1, gpus())
    options = {"fp32": [], "tf32": ["--tf32"], "bf16": ["--tf32", "--bf16"]}[precision]
    peer = torch("resnet50", 64, "--device", "cuda", "--sync-bn", *options, ranks=workers)
    return Row("resnet50", 64, (224, 224, 3), 1000, {"PyTorch, SyncBatchNorm": peer},
               ("device=gpu", f"precision={precision}", f"batch.shards={shards * workers}"), workers=workers,
               threads=min(shards, 4), lockstep=LOCKSTEP_ON_GPU)


ROWS = {
    "resnet20-64": resnet20(64),
    "resnet20-8": resnet20(8),
    "cnn-64": Row("cnn", 64, (28, 28, 1), 10, {"PyTorch": torch("cnn", 64)}),
    "resnet50-8": Row("resnet50", 8, (224, 224, 3), 1000, {"PyTorch": torch("resnet50", 8)}),
    "resnet20-64-bf16": Row("resnet20", 64, (32, 32, 3), 10, {"PyTorch, bf16": torch("resnet20", 64, "--bf16")},
                            ("precision=bf16",)),
    "resnet50-8-bf16": Row("resnet50", 8, (224, 224, 3), 1000, {"PyTorch, bf16": torch("resnet50", 8, "--bf16")},
                           ("precision=bf16",)),
    "predict-resnet20": PredictRow("resnet20", 64, (64, 8, 1)),
    "predict-resnet50": PredictRow("resnet50", 16, (16, 4, 1)),
}
# All GPUs of this machine; so many shards on each.
GPU_ROWS = {f"gpu-resnet50-{precision}-shards-{shards}": resnet50_on_gpus(precision, shards)
            for precision in ("fp32", "tf32", "bf16") for shards in (1, 8)}
ALL_ROWS = ROWS | GPU_ROWS


def chosen(names):
    return [row for name in names for row in (GPU_ROWS if name == "gpu" else [name])] or list(ROWS)


def measure(command):
    """What the command reports, a JSON object. Raises Skipped with the last that it said."""
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, check=False)
    except subprocess.TimeoutExpired:
        raise Skipped(f"did not end within {LONGEST} s") from None
    if ended.returncode != 0:
        raise Skipped(last_words(ended.stderr) or f"exit code {ended.returncode}")
    return json.loads(ended.stdout.strip().splitlines()[-1])


def last_words(text):
    """What an error ends with, without what mpirun says between lines of dashes."""
    text = re.sub(r"^-{20,}$.*?^-{20,}$", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or [""])[-1]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def judge(ours, peers):
    """A row's numbers. `ours`: a rate a round; `peers`: the same by name, those of the same rounds."""
    rates = {"lockstep": spread(ours)}
    for name, theirs in peers.items():
        ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
        rates[name] = {**spread(theirs), "ratio": spread(ratios)}
    fastest = [max(round_) for round_ in zip(*peers.values(), strict=True)]
    return {"images_per_s": rates, "against_fastest": spread([a / b for a, b in zip(ours, fastest, strict=True)])}


def measure_row(row, settings, rounds, tell, run=measure):
    """The row's numbers, or {"skipped": reason} where lockstep or all its peers cannot be measured."""
    contenders = {"lockstep": row.ours(settings), **row.peers}
    rates = {name: [] for name in contenders}
    memory = {name: [] for name in contenders}
    versions, skipped, facts = {}, {}, {}
    for round_ in range(rounds):
        names = list(contenders)
        if round_ > 0:  # the first begins with lockstep: where it cannot take part, nobody has to
            shift = round_ % len(names)
            names = names[shift:] + names[:shift]
        for name in names:
            try:
                report = run(contenders[name])
            except Skipped as reason:
                skipped[name] = str(reason)
                del contenders[name], rates[name]
                tell(f"  {name}: skipped: {reason}")
                if name == "lockstep":
                    return {"skipped": f"lockstep: {reason}"}
                continue
            rates[name].append(report["images_per_s"])
            if "peak_memory_mib" in report:
                memory[name].append(report["peak_memory_mib"])
            versions[name] = report.get("version", "")
            told = ("shards", "threads") if name == "lockstep" else ("gpu",)
            facts |= {fact: report[fact] for fact in told if fact in report}
            tell(f"  round {round_ + 1}, {name}: {report['images_per_s']:.1f} images/s")
    ours = rates.pop("lockstep")
    if not rates:
        return {"skipped": "; ".join(f"{name}: {reason}" for name, reason in skipped.items())}
    numbers = {"model": row.model, "images_per_worker": row.batch, "workers": row.workers, "rounds": rounds,
               **facts, **judge(ours, rates)}
    numbers["peak_memory_mib"] = {name: statistics.median(each) for name, each in memory.items() if each}
    numbers["versions"] = {name: version for name, version in versions.items() if version}
    return {**numbers, "skipped_peers": skipped} if skipped else numbers


def describe(name, numbers):
    """The row as lines for a reader."""
    if "skipped" in numbers:
        return [f"{name}: skipped: {numbers['skipped']}"]
    lines = []
    if "gpu" in numbers:
        lines.append(f"{name}: {numbers['workers']} worker(s), each with a {numbers['gpu']}, {numbers['shards']} shards in all")
    for who, rate in numbers["images_per_s"].items():
        line = f"{name:<17} {who:<29} {rate['median']:9.1f} images/s ({rate['min']:.1f} to {rate['max']:.1f})"
        if "ratio" in rate:
            ratio = rate["ratio"]
            line += f"  lockstep is {ratio['median']:.2f} x ({ratio['min']:.2f} to {ratio['max']:.2f})"
        lines.append(line)
    memory = numbers["peak_memory_mib"]
    lines += [f"{name:<17} {who:<29} {mib:9.0f} MiB at its peak  lockstep takes {memory['lockstep'] / mib:.2f} x"
              for who, mib in memory.items() if who != "lockstep" and "lockstep" in memory]
    return lines


def machine():
    names = [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
             if line.startswith("model name")]
    return {"processor": names[0] if names else "unknown", "cores": len(os.sched_getaffinity(0)),
            "load_before": os.getloadavg()[0]}


def write(table, folder):
    (folder / "peers.json").write_text(json.dumps(table, indent=1) + "\n")
    with contextlib.suppress(ImportError):
        import picture

        picture.draw(table, folder / "peers.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"default: all of {', '.join(ROWS)}; on a "
                        f"GPU, all of them with the name gpu: {', '.join(GPU_ROWS)}")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for lockstep")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench_peers", metavar="FOLDER")
    options = parser.parse_args()
    rows = chosen(options.rows)
    if unknown := [name for name in rows if name not in ALL_ROWS]:
        parser.error(f"no such row: {', '.join(unknown)}; there are {', '.join(ALL_ROWS)}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")

    def tell(line):
        print(line, file=sys.stderr, flush=True)

    options.out.mkdir(parents=True, exist_ok=True)
    table = {"machine": machine(), "settings": options.set, "rows": {}}
    for name in rows:
        tell(f"{name}:")
        table["rows"][name] = measure_row(ALL_ROWS[name], options.set, options.rounds, tell)
        write(table, options.out)  # whoever stops it has the rows so far
    for name, numbers in table["rows"].items():
        for line in describe(name, numbers):
            tell(line)
    print(json.dumps(table, indent=1))
    tell(f"written: {options.out / 'peers.json'}, and peers.png where Matplotlib is installed")


if __name__ == "__main__":
    main()
