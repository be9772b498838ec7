#!/usr/bin/env python3
"""scripts/cluster/train.sbatch on a real Slurm of one node: the same bits as without it; preempted, out of time or
cancelled it saves first, and goes on where it should.

    tests/cluster/under_slurm.py [CASE]...

The environment names the binary: LOCKSTEP=build/release/lockstep.
"""

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

from binary import LOCKSTEP, ROOT, Cases, Room, expect, long_run  # noqa: E402
from slurm import Slurm, missing  # noqa: E402

SBATCH = ROOT / "scripts" / "cluster" / "train.sbatch"
CORES = 4  # that Slurm believes in
USAGE, STOPPED = 2, 75

cases = Cases()


class Job:
    def __init__(self, slurm, room, *arguments, workers=2):
        self.slurm, self.room = slurm, room
        self.log = room.folder / "job.log"
        self.number = slurm.call("sbatch", "--parsable", "--ntasks", workers, "--output", self.log,
                                 "--chdir", room.folder, SBATCH, room.config, *arguments)

    def state(self):
        return self.slurm.job(self.number)["JobState"]

    def wait_for_steps(self):
        metrics = self.room.run / "metrics.jsonl"
        self.wait_until(lambda: metrics.exists() and metrics.stat().st_size, "the first step")

    def wait_until(self, holds, what):
        try:
            self.slurm.wait_until(holds, what)
        except RuntimeError as error:
            expect(False, f"{error}\n{self.said()}")

    def said(self):
        return self.log.read_text() if self.log.exists() else ""

    def end(self, state="COMPLETED", code=0):
        over = ["COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED"]
        self.wait_until(lambda: self.state() in over, "the end of the job")
        told = self.slurm.job(self.number)
        expect(told["JobState"] == state and told["ExitCode"] == f"{code}:0",
               f"{told['JobState']}, {told['ExitCode']}, not {state}, {code}: {self.said()}")
        return told


@functools.cache
def undisturbed(*arguments):
    """What the run of any room comes to without a launcher."""
    with tempfile.TemporaryDirectory(prefix="lockstep_test.") as folder:
        room = Room(folder)
        room.train("--workers", "2", *arguments, timeout=300)
        return room.final().read_bytes()


@cases
def a_job_comes_to_the_bits_of_one_process(slurm, room):
    final = undisturbed()
    job = Job(slurm, room, workers=3)
    job.end()
    expect(room.final().read_bytes() == final, "another final.safetensors")
    for line in ["3 workers on 1 host\n", "messages: shared memory (vader) within a host; Open MPI v"]:
        expect(job.said().count(line) == 1, f"does not say '{line}' once: {job.said()}")


def srun(slurm, room, mpi, *arguments):
    """Exit code and standard error of a training started by srun alone."""
    command = ["srun", mpi, "-n", "2", LOCKSTEP, "train", str(room.config), *arguments]
    result = subprocess.run(command, env=slurm.environment, capture_output=True, text=True, timeout=300, check=False)
    return result.returncode, result.stderr


@cases
def srun_answers_with_the_exit_code(slurm, room):
    for arguments, code in [([], 0), (["--set", "batch.shard=4"], USAGE), (["--set", "train.stop_at_step=1"], STOPPED)]:
        answer, err = srun(slurm, room, "--mpi=pmix", "--overwrite", *arguments)
        expect(answer == code, f"code {answer}, not {code}, with {arguments}: {err}")


@cases
def srun_whose_processes_cannot_meet_is_refused(slurm, room):
    code, err = srun(slurm, room, "--mpi=none")
    expect(code == USAGE and "srun --mpi=pmix" in err, f"code {code}: {err}")
    expect(not room.run.exists(), "something was written")


@cases
def a_job_goes_on_after_the_signal_of_its_time_limit(slurm, room):
    final = undisturbed(*long_run())
    job = Job(slurm, room, *long_run())
    job.wait_for_steps()
    slurm.call("scancel", "--batch", "--signal=USR1", job.number)
    goes_on(job, final)


@cases
def a_job_goes_on_after_it_was_preempted(slurm, room):
    final = undisturbed(*long_run())
    job = Job(slurm, room, *long_run(), workers=CORES)
    job.wait_for_steps()
    urgent = slurm.call("sbatch", "--parsable", "--partition", "urgent", "--output", "/dev/null", "--wrap", "sleep 1")
    goes_on(job, final, preempted=True)
    expect(slurm.job(urgent)["JobState"] == "COMPLETED", f"the urgent job: {slurm.job(urgent)}")


def goes_on(job, final, preempted=False):
    told = job.end()
    expect(told["Restarts"] == "1", f"{told}: {job.said()}")
    expect(("asked to stop" in job.said()) != preempted, f"who asked it? {job.said()}")
    for words in ["stopped after step ", "queued again", "resuming ", "finished "]:
        expect(job.said().count(words) == 1, f"does not say '{words}' once: {job.said()}")
    expect(job.room.final().read_bytes() == final, "another final.safetensors")


@cases
def a_job_that_is_cancelled_saves_and_stays_away(slurm, room):
    job = Job(slurm, room, *long_run())
    job.wait_for_steps()
    slurm.call("scancel", job.number)
    job.wait_until(lambda: job.state() == "CANCELLED", "the end of the job")
    job.wait_until(lambda: "stopped after step " in job.said(), "a checkpoint")
    expect(room.last_checkpoint().exists() and not room.final().exists(), "it should have stopped between")
    expect(slurm.job(job.number)["Restarts"] == "0" and "queued again" not in job.said(), job.said())


@cases
def a_job_that_stops_by_itself_stays_away(slurm, room):
    job = Job(slurm, room, "--set", "train.stop_at_step=2")
    job.end("FAILED", STOPPED)
    expect("queued again" not in job.said(), job.said())


@cases
def a_run_is_not_overwritten_again_and_again(slurm, room):
    Job(slurm, room, "--overwrite").end("FAILED", USAGE)


def main():
    if reason := missing():
        print(f"skipped: {reason}")
        return
    with Slurm(CORES) as slurm:
        cases.main(lambda case, room: case(slurm, room))


if __name__ == "__main__":
    main()
