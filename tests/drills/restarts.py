#!/usr/bin/env python3
"""A random rank of a job is killed every few seconds, and launch.sh runs it again; after every second kill it is asked to
stop, and goes on with another number of workers. Most of the time must go into steps that count, and the final file
must be that of the undisturbed run."""

import contextlib
import json
import math
import os
import signal
import subprocess
import time

from drill import LAUNCH, Drills, children, command, expect, latest_step, mpirun_of, run

STOPPED = 75
KILLED = [4, 137]
KILL, STOP = "kill", "stop"
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
    """`steps` may grow: the schedule lets a run go on that had come to its end."""

    def __init__(self, folder, steps, save_every):
        folder.mkdir()
        self.steps = steps
        self.run = folder / "run"
        self.config = folder / "config.yaml"
        self.config.write_text(CONFIG.format(run=self.run, batch=BATCH, steps=steps, save_every=save_every))
        self.said = folder / "said"

    def go_on(self):
        return ["train", self.config, "--resume", "--set", f"schedule.steps={self.steps}"]

    def train(self):
        result = run(*self.go_on(), workers=2, timeout=7200)
        expect(result.code == 0, f"code {result.code} from {result.command}: {result.err}")
        return self

    def start(self, workers):
        full = command(self.go_on(), workers, launcher=LAUNCH, options=["--pause", "0.1"])
        with self.said.open("w") as said:
            self.process = subprocess.Popen(full, stderr=said, start_new_session=True)

    def ended_by(self, when):
        """Its exit code; None where it still runs then."""
        try:
            return self.process.wait(timeout=max(0, when - time.monotonic()))
        except subprocess.TimeoutExpired:
            return None

    def stop(self):
        """75, 0 where it had just finished, or what became of it where it was not over a kill yet."""
        self.process.send_signal(signal.SIGTERM)
        code = self.ended_by(time.monotonic() + 60)
        expect(code is not None, f"does not end within a minute of being asked to: {self.said.read_text()}")
        return code

    def restarted(self):
        """How often launch.sh ran it again since `start`."""
        return self.said.read_text().count("launch: code ")

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
    with contextlib.suppress(ProcessLookupError):
        if victims:
            os.kill(random.choice(victims), signal.SIGKILL)
            return True
    return False


def events(every, kills):
    """What is done to the job, and when: kills, some more than are wanted, as one may find nothing to kill; and other
    workers after every second one."""
    for number in range(1, 2 * kills + 1):
        yield number * every, KILL
        if number % 2 == 0:
            yield (number + 0.5) * every, STOP


def drive(job, options, random):
    """Until as many kills came as there is time for. Answers their number, how often launch.sh ran the job again, and
    with how many workers it was started each time."""
    wanted = int(options.seconds / options.kill_every)
    kills, restarted, workers, code, start = 0, 0, [], STOPPED, time.monotonic()
    for seconds, what in events(options.kill_every, wanted):
        if code is not None:
            workers.append(random.randint(1, 8))
            job.start(workers[-1])
        code = job.ended_by(start + seconds)
        if code is None and what == KILL:
            kills += kill_one(job.process, random)
        if code is None and (what == STOP or kills == wanted):
            code = job.stop()
        if code is not None:
            restarted += job.restarted()
            expect(code in [0, STOPPED, *KILLED], f"code {code} with {workers[-1]} workers: {job.said.read_text()}")
        if code == 0:
            job.steps *= 2
        if kills == wanted:
            return kills, restarted, workers
    expect(False, f"only {kills} kills of {wanted}")


def restarts(folder, drills):
    options = drills.options
    undisturbed = Job(folder / "undisturbed", 100, save_every=1000000000).train()
    # It gets longer until its steps take the time that was asked for.
    while (spent := sum(undisturbed.seconds_of_steps(undisturbed.steps))) < options.work:
        undisturbed.steps = math.ceil(1.1 * options.work / spent * undisturbed.steps)
        undisturbed.train()
    save_every = max(1, int(options.save_every / spent * undisturbed.steps))

    job = Job(folder / "job", undisturbed.steps, save_every)
    start = time.monotonic()
    kills, restarted, workers = drive(job, options, drills.random)
    total = time.monotonic() - start
    saved = job.saved_step()
    share = sum(job.seconds_of_steps(saved)) / total if saved else 0

    job.train()
    undisturbed.steps = job.steps
    undisturbed.train()
    expect(job.final() == undisturbed.final(), f"another final.safetensors after {workers} workers")
    seen = (f"{kills} kills in {total:.0f} s, {restarted} restarts, {min(workers)} to {max(workers)} workers, {saved} of "
            f"{job.steps} steps saved, {share:.0%} of the time in steps that count; the same final file")
    expect(share >= options.least_share, f"less than {options.least_share:.0%}: {seen}")
    return seen


if __name__ == "__main__":
    drills = Drills(__doc__, seconds=20.0, work=8.0, kill_every=4.0, save_every=1.0, least_share=0.0)
    drills.trial("a random rank killed again and again", restarts, drills)
    drills.end()
