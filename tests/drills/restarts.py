#!/usr/bin/env python3
"""A random rank of a job is killed every few seconds, and the job goes on with another number of workers, until it is
done. Most of the time must go into steps that count, and the final file must be that of the undisturbed run."""

import json
import math
import os
import signal
import subprocess
import time

from drill import LAUNCH, Drills, children, command, expect, latest_step, mpirun_of, run

BATCH = 32
CONFIG = """\
run_dir: {run}
model: {{name: resnet20}}
batch: {{global: {batch}, shards: 8}}
data:
  dataset: synthetic
  synthetic: {{samples: 1024, test_samples: 32, height: 16, width: 16, channels: 3}}
  augment: {{flip: true}}
optimizer: {{lr: 0.02}}
schedule: {{steps: {steps}, decay: constant}}
evaluation: {{every_steps: 1000000000, batch: {batch}}}
checkpoint: {{every_steps: {save_every}}}
train: {{log_every: 1}}
"""


class Job:
    def __init__(self, folder, steps, save_every):
        folder.mkdir()
        self.run = folder / "run"
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG.format(run=self.run, batch=BATCH, steps=steps, save_every=save_every))
        self.said = folder / "said"

    def train(self, *arguments):
        result = run("train", self.config, *arguments, workers=2, timeout=7200)
        expect(result.code == 0, f"code {result.code} from {result.command}: {result.err}")
        return self

    def start(self, workers):
        """Goes on; this drill restarts it, with other workers, and not launch.sh."""
        full = command(["train", self.config, "--resume"], workers, launcher=LAUNCH, options=["--restarts", "0"])
        with self.said.open("w") as said:
            return subprocess.Popen(full, stderr=said, start_new_session=True)

    def seconds_of_steps(self, last):
        """Of each step up to this one. A step that was done again has lost its first line."""
        lines = [json.loads(line) for line in (self.run / "metrics.jsonl").read_text().splitlines()]
        return [BATCH / line["images_per_s"] for line in lines if "images_per_s" in line and line["step"] <= last]

    def saved_step(self):
        return latest_step(self.run)

    def final(self):
        return (self.run / "final.safetensors").read_bytes()


def kill_one(process, random):
    """A random rank; where there is none yet, or none any more, what is there."""
    mpirun = mpirun_of(process)
    victims = (children(mpirun) or [mpirun]) if mpirun else []
    if victims:
        os.kill(random.choice(victims), signal.SIGKILL)
    return bool(victims)


def restarts(folder, drills):
    options = drills.options
    steps = 100
    undisturbed = Job(folder / "undisturbed", steps, save_every=1000000000).train()
    # It gets longer until its steps take the time that was asked for.
    while (spent := sum(undisturbed.seconds_of_steps(steps))) < options.work:
        steps = math.ceil(1.1 * options.work / spent * steps)
        undisturbed.train("--resume", "--set", f"schedule.steps={steps}")
    save_every = max(1, int(options.save_every / spent * steps))

    job = Job(folder / "job", steps, save_every)
    kills, workers, start = 0, [], time.monotonic()
    while time.monotonic() - start < options.seconds and not (job.run / "final.safetensors").exists():
        workers.append(drills.random.randint(1, 8))
        process = job.start(workers[-1])
        try:
            code = process.wait(timeout=options.kill_every)
        except subprocess.TimeoutExpired:
            kills += kill_one(process, drills.random)
            code = process.wait(timeout=120)
        expect(code in [0, 4, 137], f"code {code} with {workers[-1]} workers: {job.said.read_text()}")
    total = time.monotonic() - start
    saved = job.saved_step()
    share = sum(job.seconds_of_steps(saved)) / total if saved else 0

    job.train("--resume")
    expect(job.final() == undisturbed.final(), f"another final.safetensors after {workers} workers")
    seen = (f"{kills} kills in {total:.0f} s, {min(workers)} to {max(workers)} workers, {saved} of {steps} steps saved, "
            f"{share:.0%} of the time in steps that count; the same final file")
    expect(share >= options.least_share, f"less than {options.least_share:.0%}: {seen}")
    return seen


if __name__ == "__main__":
    drills = Drills(__doc__, seconds=20.0, work=8.0, kill_every=3.0, save_every=1.0, least_share=0.0)
    drills.trial("a random rank killed again and again", restarts, drills)
    drills.end()
