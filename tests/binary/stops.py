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

PEER, STOPPED = 4, 75
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
    lines = [json.loads(line) for name in ["metrics.jsonl", "digests.jsonl"]
             for line in (room.run / name).read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "images_per_s"} for line in lines]


def stops(room, ask, workers, then, **how):
    """`ask` asks it to stop; it goes on with `then` workers."""
    running = Running(room, workers, **how)
    ask(running.process)
    code, err = running.end()
    expect(code == STOPPED, f"code {code}: {err}")
    expect("stopped after step" in err, err)

    step = int(room.last_checkpoint().stem.removeprefix("step-"))
    last = max(line["step"] for line in told(room))
    expect(last == step, f"the checkpoint is of step {step}, but step {last} was done")
    further = [*LONG, "--set", f"train.stop_at_step={step + 3}"]
    for way, how in [("--resume", {"workers": then}), ("--overwrite", {})]:
        result = run("train", room.config, way, *further, **how)
        expect(result.code == STOPPED, f"code {result.code} from {result.command}\n{result.err}")
        if way == "--resume":
            resumed = room.last_checkpoint().read_bytes(), told(room)
    expect(room.last_checkpoint().read_bytes() == resumed[0], "the resumed run has another checkpoint")
    expect(told(room) == resumed[1], f"a gap, a repeat or another line:\n{told(room)}\n{resumed[1]}")


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
    wait_until(lambda: any(b"mpirun" in Path(f"/proc/{child}/cmdline").read_bytes() for child in children(process.pid)),
               "mpirun")
    process.send_signal(signal.SIGTERM)
    err = process.communicate(timeout=60)[1]
    expect(process.returncode == STOPPED, f"code {process.returncode}: {err}")
    expect(room.last_checkpoint().exists(), err)


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
    patient = ["--mca", "odls_base_sigkill_timeout", "20"]
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
