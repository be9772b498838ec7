#!/usr/bin/env python3
"""One bit goes wrong in the memory of one worker, and the job notices before anything is saved from it.

The environment names the binary and the library that flips the bit as a run resumes:
LOCKSTEP=build/release/lockstep FLIP_BIT=build/release/tests/mpi/libflip_bit.so
"""

import json
import os
import struct
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

import binary  # noqa: E402
from binary import Cases, expect  # noqa: E402

FLIP_BIT = os.environ.get("FLIP_BIT", str(binary.ROOT / "build" / "release" / "tests" / "mpi" / "libflip_bit.so"))
PEER, STOPPED = 4, 75

cases = Cases()


def first_byte(checkpoint, tensor):
    """Where a tensor begins in a safetensors file."""
    content = checkpoint.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return 8 + length + json.loads(content[8 : 8 + length])[tensor]["data_offsets"][0]


def resume_with_flip(room, workers, rank, tensor, check_every):
    """Resumes with the highest bit of the mantissa of the tensor's first value flipped on one rank."""
    # Little-endian fp32: bit 22 is bit 6 of byte 2.
    flip = {
        "LD_PRELOAD": FLIP_BIT,
        "FLIP_RANK": rank,
        "FLIP_BYTE": first_byte(room.last_checkpoint(), tensor) + 2,
        "FLIP_BIT": 6,
        "FLIP_SIZE": room.last_checkpoint().stat().st_size,
    }
    exported = [option for name, value in flip.items() for option in ("-x", f"{name}={value}")]
    arguments = ["train", room.config, "--resume", "--set", f"comm.check_every={check_every}"]
    return binary.run(*arguments, workers=workers, options=exported)


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


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
