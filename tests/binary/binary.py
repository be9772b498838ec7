"""Runs the lockstep binary in a room of its own, and judges what it said and did.

The environment names the binary: LOCKSTEP=build/release/lockstep.
"""

import argparse
import dataclasses
import functools
import gzip
import hashlib
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MPIRUN = str(ROOT / "scripts" / "mpirun.sh")
LAUNCH = str(ROOT / "scripts" / "launch.sh")
LOCKSTEP = os.environ.get("LOCKSTEP", str(ROOT / "build" / "release" / "lockstep"))


SKIPPED = 77


class Failure(Exception):
    """A test's expectation that did not hold."""


def skip(reason):
    """Ends the test, for what this machine cannot have."""
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def expect(holds, what):
    if not holds:
        raise Failure(what)


@dataclasses.dataclass
class Result:
    command: str
    code: int
    out: str
    err: str
    seconds: float

    def lines_with(self, words):
        return [line for line in self.err.splitlines() if words in line]


def command(arguments, workers=None, other=None, launcher=MPIRUN, options=()):
    """Under a launcher with this many workers, and one with arguments of its own, or without any."""
    launcher = [launcher, "-n", str(workers), *options] if workers else []
    last = [":", "-n", "1", LOCKSTEP, *map(str, other)] if other else []
    return [*launcher, LOCKSTEP, *map(str, arguments), *last]


def run(*arguments, timeout=60, **how):
    """Runs lockstep to its end. One that does not end within `timeout` seconds is killed: code None."""
    full = command(arguments, **how)
    start = time.monotonic()
    with subprocess.Popen(full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=timeout)
            code = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            code = None
    return Result(" ".join(full), code, out, err, time.monotonic() - start)


def write_idx(path, dimensions, values, magic=None):
    """An IDX file of unsigned bytes; gzipped if the name says so."""
    header = struct.pack(f">{1 + len(dimensions)}I", magic or 0x0800 + len(dimensions), *dimensions)
    content = header + bytes(values)
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def write_png(path, width, height, gray):
    """A PNG file of gray pixels, row after row."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = b"".join(b"\0" + gray[i * width : (i + 1) * width] for i in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows))
                     + chunk(b"IEND", b""))


def pixels(samples, size):
    """Noise that is the same everywhere."""
    return hashlib.shake_128(b"pixels").digest(samples * size * size)


CONFIG = """\
run_dir: {room}/run
model: {{name: cnn}}
batch: {{global: 32, shards: 4}}
data: {{dataset: fashion_mnist, path: {room}/data}}
optimizer: {{lr: 0.05}}
schedule: {{steps: 4, decay: constant}}
evaluation: {{every_steps: 4, batch: 32}}
checkpoint: {{every_steps: 2}}
comm: {{timeout_s: 8}}
"""


class Room:
    """A folder with a small data set in Fashion-MNIST's files, and a configuration that trains on it."""

    TRAIN_IMAGES = "train-images-idx3-ubyte"
    TRAIN_LABELS = "train-labels-idx1-ubyte"
    TEST_IMAGES = "t10k-images-idx3-ubyte"
    TEST_LABELS = "t10k-labels-idx1-ubyte"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.run = self.folder / "run"
        self.config = self.folder / "config.yaml"
        self.data.mkdir()
        self.images(self.TRAIN_IMAGES, 100)
        self.labels(self.TRAIN_LABELS, 100)
        self.images(self.TEST_IMAGES, 40)
        self.labels(self.TEST_LABELS, 40)
        self.write_config()

    def images(self, name, samples, **how):
        write_idx(self.data / name, [samples, 28, 28], pixels(samples, 28), **how)

    def labels(self, name, samples, **how):
        write_idx(self.data / name, [samples], [i % 10 for i in range(samples)], **how)

    def write_config(self, replace="", by=""):
        text = CONFIG.format(room=self.folder)
        expect(replace in text, f"the configuration has no '{replace}' to replace")
        self.config.write_text(text.replace(replace, by) if replace else text)

    def train(self, *arguments, **how):
        """A training that must succeed."""
        result = run("train", self.config, *arguments, **how)
        expect(result.code == 0, f"code {result.code} from {result.command}\n{result.err}")
        return result

    def final(self):
        return self.run / "final.safetensors"

    def last_checkpoint(self):
        return max((self.run / "checkpoints").glob("step-*.safetensors"))

    def snapshot(self):
        """Every file and what is in it. The lock of a run directory is no content."""
        return {
            str(file.relative_to(self.folder)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in self.folder.rglob("*")
            if file.is_file() and file.name != ".lock"
        }


@functools.cache
def long_run():
    """Settings of a run that lasts long enough on this machine to be asked to stop, with no checkpoint in between but
    what a stop saves. Slurm looks once a second at who waits."""
    def settings(steps):
        keys = {"schedule.steps": steps, "train.log_every": 1, "evaluation.every_steps": steps,
                "checkpoint.every_steps": steps}
        return [part for key, value in keys.items() for part in ("--set", f"{key}={value}")]

    few, lasts = 200, 4
    with tempfile.TemporaryDirectory(prefix="lockstep_test.") as folder:
        seconds = Room(folder).train("--workers", "2", *settings(few), timeout=300).seconds
    return settings(few + int(few * lasts / seconds))


class Cases:
    """The cases of one file: `@cases` adds a function, `main` lists them or runs those that are named."""

    def __init__(self):
        self.functions = {}

    def __call__(self, function):
        self.functions[function.__name__] = function
        return function

    def main(self, run_case):
        parser = argparse.ArgumentParser()
        parser.add_argument("--list", action="store_true", help="print the names of the cases")
        parser.add_argument("case", nargs="*", help="default: all")
        options = parser.parse_args()
        if options.list:
            print(";".join(self.functions), end="")
            return
        failed = False
        for name in options.case or self.functions:
            try:
                with tempfile.TemporaryDirectory(prefix="lockstep_test.") as folder:
                    run_case(self.functions[name], Room(folder))
                print(f"ok      {name}", flush=True)
            except Failure as failure:
                print(f"FAILED  {name}: {failure}", flush=True)
                failed = True
        sys.exit(failed)
