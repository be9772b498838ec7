#!/usr/bin/env python3
"""What all workers fail with alike is told by rank 0, and told even where the others leave long before it.

The environment names the binary and the library that makes rank 0 slow to leave:
LOCKSTEP=build/release/lockstep LATE_LEAVER=build/release/tests/mpi/liblate_leaver.so
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

import binary  # noqa: E402
from binary import Cases, expect  # noqa: E402

LATE_LEAVER = os.environ.get("LATE_LEAVER", str(binary.ROOT / "build" / "release" / "tests" / "mpi" / "liblate_leaver.so"))
USAGE, DATA, DIVERGED = 2, 3, 5

cases = Cases()


def must_tell(code, words, *arguments, workers=2, **how):
    result = binary.run(*arguments, workers=workers, options=["-x", f"LD_PRELOAD={LATE_LEAVER}"], **how)
    told = f"{result.command}: code {result.code}\n{result.err}"
    expect(result.lines_with("late_leaver"), f"rank 0 was not slow: {told}")
    expect(len(result.lines_with(words)) == 1, f"does not say '{words}' once: {told}")
    expect(result.code == code, told)


@cases
def of_a_command_line(room):
    must_tell(USAGE, "unknown option '--overwriet'", "train", room.config, "--overwriet")


@cases
def of_the_command_line_of_one_worker(room):
    must_tell(USAGE, "unknown option '--overwriet'", "train", room.config, workers=1, other=["train", room.config, "--overwriet"])


@cases
def of_missing_data(room):
    must_tell(DATA, str(room.data / "none"), "train", room.config, "--set", f"data.path={room.data}/none")


@cases
def of_a_divergence(room):
    must_tell(DIVERGED, "are not finite", "train", room.config, "--set", "optimizer.lr=1e30")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
