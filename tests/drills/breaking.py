"""Jobs that are broken at random moments: what is done to them, the judge of what becomes of them, and the table."""

import argparse
import collections
import contextlib
import dataclasses
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "binary"))
from binary import LAUNCH, LOCKSTEP, MPIRUN, Failure, command, expect, run  # noqa: E402, F401: for the drills too
from table import print_table  # noqa: E402

TIMEOUT = 2  # comm.timeout_s
GONE_AFTER = TIMEOUT + 10
STOPPED = 75

CONFIG = f"""\
run_dir: {{room}}/run
model: {{{{name: cnn}}}}
batch: {{{{global: 64, shards: 8}}}}
data: {{{{dataset: synthetic, synthetic: {{{{samples: 2000, test_samples: 512}}}}}}}}
schedule: {{{{steps: 100000, decay: constant}}}}
evaluation: {{{{every_steps: 4, batch: 64}}}}
checkpoint: {{{{every_steps: 3}}}}
train: {{{{log_every: 1}}}}
comm: {{{{timeout_s: {TIMEOUT}}}}}
"""


def step_of(name):
    return int(name.removeprefix("step-").removesuffix(".safetensors"))


def until(holds, seconds, pause=0.01):
    """Waits for `holds` to be true, and answers what it last was."""
    end = time.monotonic() + seconds
    while not (last := holds()) and time.monotonic() < end:
        time.sleep(pause)
    return last


class Job:
    """A training under a launcher, or alone where `workers` is None, whose processes are known by its folder's name."""

    def __init__(self, folder, workers, **how):
        self.folder = Path(folder)
        self.workers = workers
        self.checkpoints = self.folder / "run" / "checkpoints"
        self.metrics = self.folder / "run" / "metrics.jsonl"
        self.config = self.folder / "config.yaml"
        self.config.write_text(CONFIG.format(room=self.folder))
        self.said = self.folder / "said"
        self.command = command(["train", self.config], workers, **how)

    def start(self, stderr=None):
        with self.said.open("w") as said:
            self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=stderr or said,
                                            start_new_session=True)

    def processes(self):
        """Everything of this job that is alive: {pid: rank, or None for a launcher}."""
        found = {}
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if str(self.config).encode() not in (entry / "cmdline").read_bytes():
                    continue
                if (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                    continue
                rank = re.search(rb"OMPI_COMM_WORLD_RANK=(\d+)", (entry / "environ").read_bytes())
                found[int(entry.name)] = int(rank[1]) if rank else None
        return found

    def ranks(self):
        return {rank: pid for pid, rank in self.processes().items() if rank is not None}

    def over(self):
        return self.process.poll() is not None

    def text(self):
        return self.said.read_text(errors="replace")

    def logged(self):
        with contextlib.suppress(OSError):
            return self.metrics.read_text()
        return ""

    def latest(self):
        """What `latest` names; nothing where there is none yet."""
        with contextlib.suppress(OSError):
            return (self.checkpoints / "latest").read_text().strip()
        return ""

    def newest(self):
        return max(self.checkpoints.glob("step-*.safetensors"), default=None)

    def kill_all(self):
        for pid in self.processes():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


# Moments: each waits until the run is there.


def at_start(job, dice):
    until(lambda: job.over() or len(job.ranks()) == job.workers, 60)
    time.sleep(dice.uniform(0, 0.6))


def in_a_step(job, dice):
    until(lambda: job.over() or job.logged(), 60)
    time.sleep(dice.uniform(0, 1.5))


def after_a_step(job, dice):
    """At the latest while the run evaluates."""
    until(lambda: job.over() or job.logged(), 60)
    seen = job.logged().count("\n") + dice.randrange(6)
    until(lambda: job.over() or job.logged().count("\n") > seen, 30, pause=0.001)


def while_saving(job, _dice):
    """When a file appears beside the checkpoints that is none yet."""
    def temporary():
        with contextlib.suppress(OSError):
            return [name for name in os.listdir(job.checkpoints) if not re.fullmatch(r"step-.*safetensors|latest", name)]
    expect(until(lambda: job.over() or temporary(), 60, pause=0.0005), "no save was seen within a minute")


MOMENTS = [at_start, in_a_step, after_a_step, while_saving]


@dataclasses.dataclass
class Drill:
    name: str
    break_it: object
    # What must be said where the run was already under way: who is missing, or what befell it.
    says: str = ""
    moments: list = dataclasses.field(default_factory=lambda: MOMENTS)


@dataclasses.dataclass
class Seen:
    code: int
    seconds: float
    place: str


def place_of(text):
    """The phase that the first who spoke was in."""
    phase = re.search(r"\(\w+ #\d+, ([^)]*)\):|in phase '([^']*)'", text)
    name = (phase[1] or phase[2]) if phase else "nobody spoke"
    return re.sub(r"step \d+ ?", "step ", name).strip()


def judge(drill, job, victim):
    """After the fault: what was seen. Raises Failure where something must not be."""
    broken = time.monotonic()
    gone = until(lambda: job.over() and not job.processes(), GONE_AFTER, pause=0.05)
    seconds = time.monotonic() - broken
    text = job.text()
    expect(gone, f"after {GONE_AFTER} s still there: {job.processes()}\n{text}")
    code = job.process.returncode
    expect(code != 0, f"exit code 0\n{text}")
    under_way = bool(job.logged())
    if drill.says and under_way:
        expect(re.search(drill.says.format(rank=victim), text), f"rank {victim} is not named\n{text}")
    require_whole(job)
    return Seen(code, seconds, place_of(text))


def require_whole(job):
    """What `latest` names is there and loads, and the run goes on from it, or from one that is newer still."""
    named, newest = job.latest(), job.newest()
    if named:
        result = run("inspect", job.checkpoints / named)
        expect(result.code == 0, f"{named}, which `latest` names, does not load: {result.err}")
    until_step = step_of(newest.name) + 2 if newest else 2
    result = run("train", job.config, "--resume", "--set", f"train.stop_at_step={until_step}", timeout=180)
    expect(result.code == STOPPED, f"does not go on: code {result.code}\n{result.err}")
    resumed = re.search(r"resuming .* after step (\d+)\n", result.err)
    step = int(resumed[1]) if resumed else 0
    expect(step >= (step_of(named) if named else 0), f"goes on from step {step}, but `latest` names {named}")


def trial(drill, dice, make_job):
    """One run that is broken; None where it was over before that."""
    with tempfile.TemporaryDirectory(prefix="lockstep_drill.") as folder:
        job = make_job(folder)
        job.start()
        try:
            dice.choice(drill.moments)(job, dice)
            victim = None if job.over() else drill.break_it(job, dice)
            return None if victim is None else judge(drill, job, victim)
        finally:
            job.kill_all()


def again(once, dice):
    """Until the fault came before the end of the run."""
    for _ in range(5):
        if seen := once(dice):
            return seen
    raise Failure("the run ended by itself before anything went wrong, five times")


def counted(values):
    """"a (3), b (1)", the most frequent first."""
    return ", ".join(f"{value} ({count})" for value, count in collections.Counter(values).most_common())


def arguments(description):
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "little"))
    parser.add_argument("--drill", action="append", help="only this one; may be given several times")
    return parser.parse_args()


def main(options, drills, last=None):
    """So many trials, all drills in turn: {name: what does it once, with dice}. `last`: a name, and what is done in the
    end and tells what was seen."""
    dice = random.Random(options.seed)
    print(f"{options.trials} trials, --seed {options.seed}", flush=True)
    chosen = options.drill or list(drills)
    seen = collections.defaultdict(list)
    failures = collections.Counter()
    for number in range(options.trials):
        name = chosen[number % len(chosen)]
        try:
            result = again(drills[name], dice)
            seen[name].append(result)
            print(f"ok      {number + 1:3} {name}: code {result.code} after {result.seconds:.1f} s, {result.place}",
                  flush=True)
        except Failure as failure:
            failures[name] += 1
            print(f"FAILED  {number + 1:3} {name}: {failure}", flush=True)

    rows = []
    for name in chosen[:options.trials]:
        results = seen[name]
        slowest = max((result.seconds for result in results), default=0)
        wrong = f"FAILED ({failures[name]}); " if failures[name] else ""
        rows.append((name, len(results) + failures[name], f"{wrong}all gone after {slowest:.1f} s at most; "
                     f"exit codes {counted(result.code for result in results)}; "
                     f"in {counted(result.place for result in results)}"))
    if last:
        name, work = last
        try:
            rows.append((name, 1, work()))
        except Failure as failure:
            failures[name] += 1
            rows.append((name, 1, f"FAILED: {failure}"))
    print_table(rows)
    sys.exit(1 if failures else 0)
