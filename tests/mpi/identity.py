#!/usr/bin/env python3
"""Something goes wrong in the memory of one worker, and the job notices before anything is saved from it.

The environment names the binary and the library that spoils what a worker receives:
LOCKSTEP=build/release/lockstep SPOIL_MESSAGE=build/release/tests/mpi/libspoil_message.so
"""

import json
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

import binary  # noqa: E402
from binary import Cases, expect  # noqa: E402

LIBRARY = binary.ROOT / "build" / "release" / "tests" / "mpi" / "libspoil_message.so"
SPOIL_MESSAGE = os.environ.get("SPOIL_MESSAGE", str(LIBRARY))
USAGE, PEER, DIVERGED, STOPPED = 2, 4, 5, 75

cases = Cases()


def first_byte(checkpoint, tensor):
    """Where a tensor begins in a safetensors file."""
    content = checkpoint.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return 8 + length + json.loads(content[8 : 8 + length])[tensor]["data_offsets"][0]


def run_spoiled(*arguments, workers, **how):
    """Runs lockstep, and spoils a message as tests/mpi/spoil_message.cpp has it."""
    environment = {"LD_PRELOAD": SPOIL_MESSAGE, **{f"SPOIL_{name.upper()}": value for name, value in how.items()}}
    exported = [option for name, value in environment.items() for option in ("-x", f"{name}={value}")]
    result = binary.run(*arguments, workers=workers, options=exported)
    expect("spoil_message:" in result.err, f"nothing was spoiled: {result.command}\n{result.err}")
    return result


def resume_with_flip(room, workers, rank, tensor, check_every):
    """Resumes with the highest bit of the mantissa of the tensor's first value flipped on one rank."""
    checkpoint = room.last_checkpoint()
    arguments = ["train", room.config, "--resume", "--set", f"comm.check_every={check_every}"]
    return run_spoiled(*arguments, workers=workers, rank=rank, size=checkpoint.stat().st_size,
                       byte=first_byte(checkpoint, tensor), xor=1 << 22)


def saved(room):
    return {name: sum_ for name, sum_ in room.snapshot().items() if "checkpoints" in name or "final" in name}


def notices(room, workers, rank, tensor, check_every, step, finished=False):
    """An undisturbed run; then one that resumes with a flipped bit, and once more without."""
    room.train()
    undisturbed = saved(room)
    if finished:
        room.final().unlink()
    else:
        stopped = binary.run("train", room.config, "--overwrite", "--set", "train.stop_at_step=2")
        expect(stopped.code == STOPPED, f"code {stopped.code} from a stop\n{stopped.err}")

    before = saved(room)
    disturbed = resume_with_flip(room, workers, rank, tensor, check_every)
    told = f"{disturbed.command}\n{disturbed.err}"
    expect(disturbed.code == PEER, f"code {disturbed.code} instead of {PEER}: {told}")
    expect(f"step {step}: the workers no longer hold the same state" in disturbed.err, f"not at step {step}: {told}")
    expect(disturbed.err.count("no longer hold") == 1, f"not told once: {told}")
    expect(f"'{tensor}'" in disturbed.err, f"does not name {tensor}: {told}")
    for each in range(workers):
        (line,) = disturbed.lines_with(f"  rank {each} on ")
        expect(("odd one out" in line) == (workers > 2 and each == rank), f"the wrong one is marked: {told}")
    expect(saved(room) == before, f"something was saved from it: {told}")

    room.train("--resume", workers=workers)
    expect(saved(room) == undisturbed, "the run that went on saved other files than the undisturbed one")


@cases
def a_weight_is_noticed_after_the_next_step(room):
    notices(room, workers=2, rank=1, tensor="conv1.weight", check_every=1, step=3)


@cases
def a_running_statistic_is_noticed_before_the_next_checkpoint(room):
    notices(room, workers=3, rank=1, tensor="bn2.running_var", check_every=0, step=4)


@cases
def a_momentum_is_noticed_before_the_final_model(room):
    tensor = "optimizer.momentum.fc1.weight"
    notices(room, workers=3, rank=2, tensor=tensor, check_every=0, step=4, finished=True)


# What one of two workers receives of the other's gradients of the convolutions, once a step, and adds to its own. NaN.
GRADIENT = {"workers": 2, "size": 19008, "or": 0x7FC00000}


@cases
def a_gradient_that_one_worker_alone_has_spoiled_ends_all_alike(room):
    told = run_spoiled("train", room.config, rank=1, count=2, **GRADIENT)
    expect(told.code == DIVERGED, f"code {told.code}: {told.err}")
    expect(len(told.lines_with("step 2: the gradient of")) == 1, f"does not say where, once: {told.err}")
    expect("rank 1 on " in told.err, f"does not say on which worker: {told.err}")
    expect(not saved(room), f"something was saved from it: {told.err}")


@cases
def a_step_that_one_worker_alone_has_spoiled_is_undone_on_all(room):
    finals = set()
    for rank in [0, 1]:
        keys = ["train.on_divergence=skip", "comm.check_every=1", "train.digest_every=1", "train.log_every=1"]
        skip = ["--overwrite", *(part for key in keys for part in ("--set", key))]
        told = run_spoiled("train", room.config, *skip, rank=rank, count=2, **GRADIENT)
        expect(told.code == 0, f"code {told.code}: {told.err}")
        lines = [json.loads(line) for line in (room.run / "metrics.jsonl").read_text().splitlines()]
        expect([line["step"] for line in lines if "skipped" in line] == [2], f"other steps were skipped: {lines}")
        expect([line["step"] for line in lines if "loss" in line] == [1, 3, 4], f"an undone step has a loss: {lines}")
        digests = [json.loads(line)["step"] for line in (room.run / "digests.jsonl").read_text().splitlines()]
        expect(digests == [1, 3, 4], f"digests of steps {digests}")
        finals.add(room.final().read_bytes())
    expect(len(finals) == 1, "what was undone depends on whose memory failed")


# The moments of the last batch_norm are exchanged after those of 4 steps, and the gradient sums, which are as long.
@cases
def precise_statistics_that_one_worker_alone_has_spoiled_end_all_alike(room):
    arguments = ["--set", "normalization.running_stats=[precise]", "--set", "checkpoint.every_steps=4"]
    told = run_spoiled("train", room.config, *arguments, workers=2, rank=1, size=2048, count=9, byte=12, **{"or": 0x7FF80000})
    expect(told.code == DIVERGED, f"code {told.code}: {told.err}")
    expect(told.lines_with("rank 1 on ") and "precise statistics of layer 'bn3'" in told.err, f"does not say where: {told.err}")
    expect(not saved(room), f"something was saved from it: {told.err}")


@cases
def memory_that_one_worker_lacks_ends_the_job(room):
    """In the first step the plan does not fit; later it did, and may again."""
    for step, code in [(1, USAGE), (3, PEER)]:
        told = run_spoiled("train", room.config, "--overwrite", workers=2, rank=1, starve=1, count=step,
                           size=GRADIENT["size"])
        expect(told.code == code, f"code {told.code} in step {step}: {told.err}")
        (line,) = told.lines_with("out of memory")
        expect(f"(rank 1, step {step} " in line, f"does not say where: {line}")
        expect(("after step 2, for which there was enough" in line) == (step == 3), line)


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
