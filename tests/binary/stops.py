#!/usr/bin/env python3
"""A run that is asked to stop saves, answers 75, and goes on to the bytes of the run that was never asked. Nothing else
may pass for such a request."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

from binary import LAUNCH, Cases, command, expect, run
from processes import children, rank_of

DATA, PEER, STOPPED = 3, 4, 75
PROMPT = 6  # seconds: a step, and five
# Every step is told, so that a test sees it begin, and there are more than it can do meanwhile. Nothing is saved but
# what a stop saves.
LONG = ["--set", "schedule.steps=100000", "--set", "train.log_every=1", "--set", "train.digest_every=1",
        "--set", "evaluation.every_steps=100000", "--set", "checkpoint.every_steps=100000",
        "--set", "data.augment.flip=true", "--set", "data.augment.pad_crop=2"]

cases = Cases()


def wait_until(holds, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        expect(time.monotonic() < deadline, f"{what}: not within {seconds} s")
        time.sleep(0.02)


def command_line(pid):
    """Of a process that may have ended meanwhile."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


class Running:
    """A run that has begun its steps, in a session of its own, as a terminal gives it."""

    def __init__(self, room, workers, *arguments, **how):
        full = command(["train", room.config, *LONG, *arguments], workers, **how)
        self.process = subprocess.Popen(full, stderr=subprocess.PIPE, text=True, start_new_session=True)
        log = room.run / "metrics.jsonl"
        try:
            wait_until(lambda: log.exists() and log.stat().st_size, "the first step")
        except BaseException:
            self.end()
            raise

    def end(self, timeout=60):
        """Its exit code and what it said."""
        err = ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            err = self.process.communicate(timeout=timeout)[1]
        if self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            err = "did not end by itself: " + self.process.communicate()[1]
        return self.process.returncode, err


def told(room):
    """What metrics and digests tell, but for the clock."""
    clock = ["images_per_s", "val_seconds", "precise_seconds"]
    lines = [json.loads(line) for name in ["metrics.jsonl", "digests.jsonl"]
             for line in (room.run / name).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in clock} for line in lines]


def checkpoints(room):
    return {file.name: file.read_bytes() for file in (room.run / "checkpoints").glob("step-*.safetensors")}


def asked(room, ask, workers, *arguments, **how):
    """`ask` asks a run to stop, after its first step; answers the step of which it saved."""
    running = Running(room, workers, *arguments, **how)
    ask(running.process)
    start = time.monotonic()
    code, err = running.end()
    seconds = time.monotonic() - start
    expect(code == STOPPED, f"code {code}: {err}")
    expect("stopped after step" in err, err)
    expect(seconds < PROMPT, f"it took {seconds:.1f} s")

    step = int(room.last_checkpoint().stem.removeprefix("step-"))
    last = max(line["step"] for line in told(room))
    expect(last == step, f"the checkpoint is of step {step}, but step {last} was done")
    return step


def goes_on(room, workers, *arguments, until):
    """With so many workers, to the checkpoint and the lines of a run that was never asked."""
    further = [*LONG, *arguments, "--set", f"train.stop_at_step={until}"]
    for way, how in [("--resume", {"workers": workers}), ("--overwrite", {})]:
        result = run("train", room.config, way, *further, **how)
        expect(result.code == STOPPED, f"code {result.code} from {result.command}\n{result.err}")
        if way == "--resume":
            resumed = checkpoints(room), told(room)
    for name, content in checkpoints(room).items():
        expect(resumed[0].get(name) == content, f"the resumed run has another {name}")
    expect(told(room) == resumed[1], f"a gap, a repeat or another line:\n{told(room)}\n{resumed[1]}")


def stops(room, ask, workers, then, **how):
    """`ask` asks it to stop; it goes on with `then` workers."""
    step = asked(room, ask, workers, **how)
    goes_on(room, then, until=step + 3)


@cases
def usr1_without_a_launcher(room):
    stops(room, lambda process: process.send_signal(signal.SIGUSR1), workers=None, then=2)


@cases
def usr1_to_mpirun(room):
    stops(room, lambda process: process.send_signal(signal.SIGUSR1), workers=2, then=3)


@cases
def usr1_to_one_rank(room):
    stops(room, lambda process: os.kill(rank_of(process, 2), signal.SIGUSR1), workers=3, then=None)


@cases
def term_to_one_rank(room):
    stops(room, lambda process: os.kill(rank_of(process, 1), signal.SIGTERM), workers=2, then=4)


@cases
def term_to_launch(room):
    stops(room, lambda process: process.send_signal(signal.SIGTERM), workers=2, then=1, launcher=LAUNCH)


@cases
def int_from_the_terminal_of_launch(room):
    stops(room, lambda process: os.killpg(process.pid, signal.SIGINT), workers=3, then=2, launcher=LAUNCH)


@cases
def hang_up_of_the_terminal_of_launch(room):
    stops(room, lambda process: os.killpg(process.pid, signal.SIGHUP), workers=2, then=3, launcher=LAUNCH)


@cases
def asked_before_anybody_can_hear(room):
    process = subprocess.Popen(command(["train", room.config, *LONG], 2, launcher=LAUNCH), stderr=subprocess.PIPE,
                               text=True, start_new_session=True)
    wait_until(lambda: any(b"mpirun" in command_line(child) for child in children(process.pid)),
               "mpirun")
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=60)[1]
    expect(process.returncode == STOPPED, f"code {process.returncode}: {err}")
    expect(room.last_checkpoint().exists(), err)


@cases
def its_time_is_over(room):
    result = run("train", room.config, *LONG, "--set", "train.max_time=3s", workers=3)
    expect(result.code == STOPPED and "as train.max_time was over" in result.err, f"code {result.code}: {result.err}")
    step = int(room.last_checkpoint().stem.removeprefix("step-"))
    expect(max((line["step"] for line in told(room)), default=0) == step, f"saved step {step} of {told(room)}")
    goes_on(room, 2, until=step + 3)


@cases
def asked_while_it_evaluates(room):
    """It leaves the evaluation, and makes up for it when it goes on."""
    room.images(room.TEST_IMAGES, 4000)
    room.labels(room.TEST_LABELS, 4000)
    evaluating = ["--set", "evaluation.every_steps=1", "--set", "evaluation.batch=1"]
    step = asked(room, lambda process: process.send_signal(signal.SIGUSR1), 2, *evaluating)
    expect(step == 1 and not any("val_loss" in line for line in told(room)), f"it evaluated: {told(room)}")
    goes_on(room, None, *evaluating, until=2)


@cases
def asked_while_it_evaluates_for_the_best(room):
    """The evaluation that it left counts once, for early stopping and for the best model."""
    # Enough to be asked in the midst of it. Workers that wait for each other at every image take long where others
    # compute too: all that is evaluated to its end is left to one.
    room.images(room.TRAIN_IMAGES, 2000)
    room.labels(room.TRAIN_LABELS, 2000)
    evaluating = ["--set", "evaluation.every_steps=1", "--set", "evaluation.batch=1", "--set", "data.validation=0.95",
                  "--set", "checkpoint.best=true", "--set", "train.early_stopping={patience: 2, min_delta: 100}"]
    step = asked(room, lambda process: process.send_signal(signal.SIGUSR1), 3, *evaluating)
    expect(step == 1 and not any("val_loss" in line for line in told(room)), f"it evaluated: {told(room)}")
    files = []
    for way in ["--resume", "--overwrite"]:
        result = run("train", room.config, way, *LONG, *evaluating)
        expect(result.code == 0 and "training ends early" in result.err, f"code {result.code}: {result.err}")
        files.append({name: (room.run / name).read_bytes() for name in ["best.safetensors", "final.safetensors"]}
                     | {"last": room.last_checkpoint().read_bytes(), "told": told(room)})
    for name, content in files[1].items():
        expect(files[0][name] == content, f"the resumed run has another {name}")
    expect(max(line["step"] for line in files[1]["told"]) == 3, "another end than after the third evaluation")


@cases
def asked_while_it_makes_precise_statistics(room):
    """It saves without them; they are in the checkpoint that was due once it has gone on."""
    room.images(room.TRAIN_IMAGES, 32000)
    room.labels(room.TRAIN_LABELS, 32000)
    precise = ["--set", "normalization.running_stats=[precise,ema]", "--set", "normalization.precise_batches=1000",
               "--set", "checkpoint.every_steps=1"]
    step = asked(room, lambda process: process.send_signal(signal.SIGUSR1), 2, *precise)
    expect(step == 1, f"it went on to step {step}")
    saved = room.last_checkpoint()
    result = run("evaluate", saved)
    expect(result.code == DATA and "--resume makes them" in result.err, f"code {result.code}: {result.err}")
    goes_on(room, 1, *precise, until=2)


def looks_like_no_stop(room, code, err):
    expect("stopped after step" not in err, f"claims a stop: {err}")
    expect(code not in [0, STOPPED, None], f"code {code}: {err}")
    saved = list((room.run / "checkpoints").iterdir())
    expect(not saved, f"saved {saved}: {err}")


@cases
def a_killed_peer_is_no_request(room):
    """mpirun sends SIGTERM to the others when one has died, and kills them a second later."""
    running = Running(room, 3)
    os.kill(rank_of(running.process, 1), signal.SIGKILL)
    looks_like_no_stop(room, *running.end())


@cases
def a_killed_peer_is_no_request_however_long_they_live(room):
    patient = ["--mca", "odls_base_sigkill_timeout", "8"]
    running = Running(room, 3, "--set", "comm.timeout_s=3", options=patient)
    os.kill(rank_of(running.process, 2), signal.SIGKILL)
    looks_like_no_stop(room, *running.end())


@cases
def a_request_that_a_peer_does_not_answer_finds_it_dead(room):
    running = Running(room, 3, "--set", "comm.timeout_s=3")
    os.kill(rank_of(running.process, 1), signal.SIGSTOP)
    os.kill(rank_of(running.process, 0), signal.SIGTERM)
    code, err = running.end()
    looks_like_no_stop(room, code, err)
    expect(code == PEER, f"code {code}: {err}")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
