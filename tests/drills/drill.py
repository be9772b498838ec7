"""What drills share: an undisturbed run to compare with, a judge of what a disturbed one left, and the table."""

import argparse
import collections
import json
import random
import re
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "binary"))

from binary import LAUNCH, Failure, command, expect, run  # noqa: E402, F401: for the drills too
from processes import children, mpirun_of  # noqa: E402, F401
from table import print_table  # noqa: E402

CONFIG = """\
run_dir: {run}
model: {{name: mlp, hidden: [{width}], dropout: 0.25}}
batch: {{global: 16, shards: 8}}
data: {{dataset: synthetic, synthetic: {{samples: 80, test_samples: 16, height: 8, width: 8, classes: 3}}}}
optimizer: {{lr: 0.05}}
schedule: {{steps: {steps}, warmup_epochs: 1, decay: cosine}}
evaluation: {{every_steps: {steps}, batch: 16}}
checkpoint: {{every_steps: {every}, keep: {keep}}}
train: {{log_every: 1, digest_every: 1}}
comm: {{timeout_s: 20}}
"""
PATIENCE = 600  # seconds for a run, on a machine that has other things to do
OF_THE_CLOCK = ["images_per_s", "val_seconds", "precise_seconds"]


def step_of(name):
    match = re.fullmatch(r"step-(\d{8})\.safetensors", name)
    expect(match, f"'{name}' is no checkpoint's name")
    return int(match[1])


def latest_step(run_dir):
    """The step that `latest` names; 0 where there is none."""
    file = run_dir / "checkpoints" / "latest"
    return step_of(file.read_text().strip()) if file.exists() else 0


class Job:
    """A training in a folder, short enough to be done hundreds of times. `run` lies in a folder of its own."""

    def __init__(self, folder, steps, every, keep=2, width=64):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True)
        self.run = self.folder / "run"
        self.config = self.folder / "config.yaml"
        self.steps, self.every, self.keep = steps, every, keep
        self.config.write_text(CONFIG.format(run=self.run, steps=steps, every=every, keep=keep, width=width))

    def steps_saved(self):
        """Of the checkpoints that are there, oldest first."""
        return sorted(step_of(file.name) for file in (self.run / "checkpoints").glob("step-*.safetensors"))

    def latest(self):
        return latest_step(self.run)

    def checkpoint(self, step):
        return self.run / "checkpoints" / f"step-{step:08}.safetensors"

    def left_over(self):
        return [file.name for file in self.run.rglob(".*.tmp-*")]

    def lines(self, name):
        """Of metrics.jsonl or digests.jsonl, but for what the clock tells. Torn lines do not count."""
        lines = []
        file = self.run / name
        for text in file.read_text().splitlines() if file.exists() else []:
            try:
                line = json.loads(text)
            except ValueError:
                continue
            lines.append({key: value for key, value in line.items() if key not in OF_THE_CLOCK})
        return lines


class Undisturbed:
    """The run that nothing happened to: what all others must come to."""

    def __init__(self, folder, steps, every, **how):
        self.job = Job(folder, steps, every, **{**how, "keep": 1000})
        result = run("train", self.job.config, timeout=PATIENCE)
        expect(result.code == 0, f"the undisturbed run: code {result.code}\n{result.err}")
        self.seconds = result.seconds
        self.checkpoints = {step: self.job.checkpoint(step).read_bytes() for step in self.job.steps_saved()}
        self.final = (self.job.run / "final.safetensors").read_bytes()
        self.lines = {name: self.job.lines(name) for name in ["metrics.jsonl", "digests.jsonl"]}

    def require_whole(self, job, may_miss=0):
        """Every checkpoint that is there is whole, the newest loads, and later steps prove that none is lost: but for
        so many whose save failed."""
        saved = job.steps_saved()
        for step in saved:
            expect(job.checkpoint(step).read_bytes() == self.checkpoints[step], f"the checkpoint of step {step} is damaged")
        expect(job.latest() in [0, *saved], f"latest names step {job.latest()}, there are {saved}")
        done = max((line["step"] for line in job.lines("metrics.jsonl")), default=0)
        proven = ((done - 1) // job.every - may_miss) * job.every
        expect(max(saved, default=0) >= proven, f"step {done} was done, but there are only {saved}")
        if saved:
            told = run("inspect", job.checkpoint(saved[-1]), "--json", timeout=PATIENCE)
            expect(told.code == 0, f"the newest checkpoint does not load: {told.err}")

    def require_resumed(self, job):
        """Goes on from what is left, says from where, and comes to the same end."""
        from_step = job.latest() or max(job.steps_saved(), default=0)
        finished = (job.run / "final.safetensors").exists()
        result = run("train", job.config, "--resume", timeout=PATIENCE)
        told = f"{result.command}: code {result.code}\n{result.err}"
        expect(result.code == 0, told)
        says = "is finished" if finished else f"after step {from_step}\n" if from_step else "writing"
        expect(says in result.err, f"does not say '{says}': {told}")
        self.require_same_end(job)

    def require_same_end(self, job):
        expect((job.run / "final.safetensors").read_bytes() == self.final, "another final.safetensors")
        expect(job.checkpoint(job.steps).read_bytes() == self.checkpoints[job.steps], "another last checkpoint")
        for name, lines in self.lines.items():
            expect(job.lines(name) == lines, f"{name} has a gap, a repeat or another line:\n{job.lines(name)}")
        expect(not job.left_over(), f"left over: {job.left_over()}")


class Drills:
    """Trials of several drills, what was seen in each, and the table of it all."""

    def __init__(self, description, **numbers):
        """`numbers`: what the command line may change, --like-this, with the values of the short form."""
        parser = argparse.ArgumentParser(description=description)
        for name, value in {**numbers, "seed": random.randrange(1 << 32)}.items():
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"default: {value}")
        self.options = parser.parse_args()
        self.random = random.Random(self.options.seed)
        self.seen = {}
        self.failures = []
        print(f"seed {self.options.seed}", flush=True)

    def trial(self, drill, work, *arguments):
        """`work` gets a folder of its own, and answers in a few words what was seen. So does this."""
        seen = self.seen.setdefault(drill, collections.Counter())
        try:
            with tempfile.TemporaryDirectory(prefix="lockstep_drill.") as folder:
                told = work(Path(folder), *arguments)
        except Failure as failure:
            told = "FAILED"
            self.failures.append(f"{drill} {[str(argument) for argument in arguments]}: {failure}")
            print(f"FAILED {self.failures[-1]}", flush=True)
        seen[told] += 1
        return told

    def skipped(self, drill, reason):
        self.seen[drill] = collections.Counter({f"skipped: {reason}": 0})

    def sample(self, population, most):
        """At most so many, in their order."""
        if len(population) <= most:
            return population
        return [population[i] for i in sorted(self.random.sample(range(len(population)), most))]

    def end(self):
        """Prints the table, and ends with 1 where a trial failed."""
        def what(seen):
            return "; ".join(f"{text} ({count})" if count else text for text, count in sorted(seen.items()))

        print_table((drill, seen.total(), what(seen)) for drill, seen in self.seen.items())
        sys.exit(1 if self.failures else 0)
