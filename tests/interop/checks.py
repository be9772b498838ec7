"""What the scripts of this folder share: expectations, all of which are looked at before a script fails, and small runs."""
import subprocess
import sys

SMALL = """\
model: {name: cnn}
batch: {global: 16, shards: 4}
evaluation: {batch: 16}
train: {log_every: 1}
data: {dataset: synthetic, synthetic: {samples: 64, test_samples: 32, height: 12, width: 12}}
"""

failures = []


def expect(truth, what):
    print(f"{'ok  ' if truth else 'FAIL'} {what}", flush=True)
    if not truth:
        failures.append(what)


def finish():
    sys.exit(f"{len(failures)} checks failed" if failures else 0)


def train(lockstep, run, settings, *options, config=SMALL):
    """A run in the folder `run`, of a configuration and settings on top, key=value each."""
    file = run.with_suffix(".yaml")
    file.write_text(config)
    words = [word for setting in [f"run_dir={run}", *settings] for word in ("--set", setting)]
    subprocess.run([lockstep, "train", file, *words, *options], check=True, stderr=subprocess.DEVNULL)
