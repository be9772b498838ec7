#!/usr/bin/env python3
"""What `cmake --install` puts down: that it is whole, works where it lies, and can be built on.

The environment names the folder that build_consumer.sh made: INSTALLED=build/release/tests/install
"""

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

import binary  # noqa: E402
from binary import Cases, expect  # noqa: E402

INSTALLED = Path(os.environ.get("INSTALLED", binary.ROOT / "build" / "release" / "tests" / "install"))
PREFIX = INSTALLED / "prefix"
CONSUMER = INSTALLED / "consumer"
HEADERS = PREFIX / "include" / "lockstep"
OPEN_TO_USERS = ("fmt/", "spdlog/")  # third parties that a public header may include

binary.LOCKSTEP = str(PREFIX / "bin" / "lockstep")
cases = Cases()


def text_of(*command, **how):
    """What a command prints; it must succeed."""
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True, **how)
    told = f"code {result.returncode} from {command}\n{result.stdout}{result.stderr}"
    expect(result.returncode == 0, told)
    return result.stdout


@cases
def public_headers_need_no_others(_room):
    headers = sorted(HEADERS.rglob("*.h"))
    expect(len(headers) > 50, f"only {len(headers)} headers in {HEADERS}")
    for header in headers:
        for opening, name in re.findall(r'^#include ([<"])([^>"]+)', header.read_text(), re.MULTILINE):
            if opening == '"':
                expect((HEADERS / name).is_file(), f"{header} includes {name}, which is not installed")
            else:
                ours = "." not in name or name.startswith(OPEN_TO_USERS)
                expect(ours, f"{header} shows the third party {name}")


@cases
def package_knows_no_folder_of_the_build(_room):
    files = list(PREFIX.rglob("*.cmake"))
    expect(files, f"no CMake package in {PREFIX}")
    for file in files:
        for folder in (binary.ROOT, INSTALLED):
            expect(str(folder) not in file.read_text(), f"{file} mentions {folder}")


@cases
def each_library_works_by_itself(_room):
    expect(text_of(CONSUMER / "uses_comm") == "0 1 2 of 3\n", "comm")
    expect(text_of(CONSUMER / "uses_layers") == "11 parameters\n", "layers")


@cases
def a_run_from_c_plus_plus_gives_what_the_program_gives(room):
    text_of(CONSUMER / "uses_trainer", room.config, 3)
    from_cpp = room.final().read_bytes()
    room.train("--overwrite", workers=2)
    expect(room.final().read_bytes() == from_cpp, "another final.safetensors")


@cases
def installed_program_trains_from_any_folder(room):
    """With its launcher, by their names alone, on a configuration that came with it."""
    path = {**os.environ, "PATH": f"{PREFIX}/bin:{os.environ['PATH']}"}
    config = PREFIX / "share" / "lockstep" / "configs" / "mlp.yaml"
    words = ["lockstep", "train", config, "--set", f"run_dir={room.run}", "--set", f"data.path={room.data}",
             "--set", "schedule.steps=2", "--set", "comm.timeout_s=8"]
    results = []
    for launcher in (["lockstep-launch", "-n", "2"], ["lockstep-mpirun", "-n", "2"], []):
        text_of(*launcher, *words, "--overwrite", env=path, cwd=room.folder)
        results.append(room.final().read_bytes())
    expect(results[0] == results[1] == results[2], "another final.safetensors by another launcher")
    told = subprocess.run(["lockstep-launch"], env=path, capture_output=True, text=True)
    expect(told.returncode == 2 and "--restarts K" in told.stderr, f"its help: {told.stderr}")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
