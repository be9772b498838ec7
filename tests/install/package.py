#!/usr/bin/env python3
"""The Debian packages: what is in them, what they ask for, and that the program in them runs, on old processors too.

The environment names the folder that they lie in: PACKAGES=build/release/tests/install/packages
"""

import os
import re
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

import binary  # noqa: E402
from binary import Cases, expect  # noqa: E402

PACKAGES = Path(os.environ.get("PACKAGES", binary.ROOT / "build" / "release" / "tests" / "install" / "packages"))
USAGE = 2

cases = Cases()


def package(name):
    found = list(PACKAGES.glob(f"{name}_*.deb"))
    expect(len(found) == 1, f"{name}: {found} in {PACKAGES}")
    return found[0]


def answer(*command, **how):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **how)


def text_of(*command, **how):
    result = answer(*command, **how)
    expect(result.returncode == 0, f"code {result.returncode} from {command}\n{result.stdout}{result.stderr}")
    return result.stdout


def depends(name):
    field = text_of("dpkg-deb", "--field", package(name), "Depends")
    return {re.split(r"[ (|]", each.strip())[0] for each in field.split(",")}


@cases
def are_not_made_without_what_finds_libraries(room):
    config = binary.ROOT / "build" / "release" / "CPackConfig.cmake"
    told = answer("cpack", "-D", "CMAKE_IGNORE_PATH=/usr/bin;/bin", "--config", config, "-B", room.folder / "packages")
    expect(told.returncode != 0 and "install dpkg-dev" in " ".join(told.stderr.split()), f"{told.returncode}: {told}")
    expect(not list(room.folder.rglob("*.deb")), "a package was made")


def extracted(room):
    folder = room.folder / "root"
    text_of("dpkg-deb", "--extract", package("lockstep"), folder)
    return folder / "usr"


@cases
def ask_for_what_they_need(_room):
    wanted = depends("lockstep")
    for name in ["libc6", "libstdc++6", "libgomp1", "libdnnl2", "libopenmpi3", "libpng16-16", "libturbojpeg0",
                 "openmpi-bin", "procps"]:
        expect(name in wanted, f"lockstep does not depend on {name}: {sorted(wanted)}")
    for name in ["lockstep", "libdnnl-dev", "libopenmpi-dev", "libyaml-cpp-dev"]:
        expect(name in depends("lockstep-dev"), f"lockstep-dev does not depend on {name}")


@cases
def hold_what_was_installed_for_everybody(_room):
    runtime = text_of("dpkg-deb", "--contents", package("lockstep"))
    development = text_of("dpkg-deb", "--contents", package("lockstep-dev"))
    for line in (runtime + development).splitlines():
        rights, owner, *_ = line.split()
        expect(owner == "root/root", line)
        for_all = rights[7] == "r" and "w" not in (rights[5], rights[8])
        expect(for_all or rights[0] == "l", f"not for everybody to read and root alone to write: {line}")
        expect(re.search(r" \./($|usr/)", line), f"lies outside of /usr: {line}")
    for name in ["bin/lockstep\n", "bin/lockstep-launch -> ../share/lockstep/scripts/launch.sh",
                 "configs/fashion_mnist.yaml", "scripts/sweep.sh"]:
        expect(name in runtime, f"{name} is not in\n{runtime}")
    for name in ["lockstepConfig.cmake", "liblockstep_trainer.a", "lockstep/layers/nn/layer.h"]:
        expect(name in development and name not in runtime, f"{name} is not in\n{development}")


@cases
def hold_nothing_of_the_build(room):
    for file in extracted(room).rglob("*"):
        if file.is_file() and not file.is_symlink():
            expect(str(binary.ROOT).encode() not in file.read_bytes(), f"{file} mentions {binary.ROOT}")


SMALL = """\
run_dir: {run}
model: {{layers: [{{conv2d: {{out: 4}}}}, batch_norm, relu, max_pool, flatten, {{linear: {{out: 2}}}}]}}
batch: {{global: 8, shards: 2}}
data: {{dataset: synthetic, synthetic: {{samples: 8, test_samples: 4, height: 8, width: 8, classes: 2}}}}
schedule: {{steps: 1}}
"""


def trained(room, *before, **environment):
    """The bytes of final.safetensors after a step, with what comes before the program."""
    room.config.write_text(SMALL.format(run=room.run))
    train = [*before, extracted(room) / "bin" / "lockstep", "train", room.config, "--overwrite"]
    text_of(*train, env={**os.environ, **environment})
    return room.final().read_bytes()


CAPPED = {"ONEDNN_MAX_CPU_ISA": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"}


@cases
def train_without_avx512(room):
    """On a processor that has none, and where oneDNN is told so."""
    expect(trained(room, **CAPPED), "nothing")
    expect(trained(room, "qemu-x86_64", "-cpu", "Haswell"), "nothing")


@cases
def say_which_processor_is_too_old(room):
    lockstep = extracted(room) / "bin" / "lockstep"
    for processor, lacks in [("Nehalem", "AVX2 FMA BMI"), ("IvyBridge", "AVX2 FMA BMI"), ("Haswell,-fma", "FMA")]:
        told = answer("qemu-x86_64", "-cpu", processor, lockstep, "--version")
        expect(told.returncode == USAGE, f"{processor}: code {told.returncode}\n{told.stderr}")
        expect(told.stdout == "", f"{processor}: it went on: {told.stdout}")
        lines = [line for line in told.stderr.splitlines() if "cannot run lockstep" in line]
        expect(len(lines) == 1 and lines[0].endswith(f"it lacks {lacks}"), f"{processor}: {told.stderr}")
    expect(answer("qemu-x86_64", "-cpu", "Haswell", lockstep, "--version").returncode == 0, "Haswell is new enough")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
