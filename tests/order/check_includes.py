#!/usr/bin/env python3
"""Fails on an include against trainer -> layers -> comm, or of a third party outside its folder.

    check_includes.py ROOT      ROOT holds the folders comm, layers and trainer
"""

import re
import sys
from pathlib import Path

# Each folder may include itself and what stands left of it.
STREAM = ["comm", "layers", "trainer"]

# Third parties (a prefix of the header's name) and the only folders that may include them.
THIRD_PARTIES = {
    "fmt/": STREAM,
    "spdlog/": STREAM,
    "mpi": ["comm/mpi"],
    "nccl": ["comm/nccl"],
    "cuda": ["comm/nccl", "layers/ops/cuda"],
    "cudnn": ["layers/ops/cuda"],
    "cublas": ["layers/ops/cuda"],
    "nvrtc.": ["layers/ops/cuda"],
    "xxhash": ["comm"],
    "xxh3": ["comm"],
    "dnnl": ["layers"],
    "oneapi/dnnl": ["layers"],
    "hwy/": ["layers"],
    "Random123/": ["layers"],
    "omp.h": ["layers"],
    "Eigen/": ["layers", "trainer"],
    "boost/program_options": ["trainer"],
    "yaml-cpp/": ["trainer"],
    "nlohmann/": ["trainer"],
    "zlib.h": ["trainer"],
    "google/protobuf/": ["trainer"],
    "turbojpeg.h": ["trainer/data/images"],
    "png.h": ["trainer/data/images"],
}

# The language, the C library, the processor and POSIX are nobody's third party.
SYSTEM = re.compile(
    r"[a-z_]+|[a-z]*intrin\.h|(sys|linux|gnu)/[\w-]+\.h"
    r"|(dirent|fcntl|fnmatch|poll|pthread|sched|signal|termios|unistd)\.h"
)

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def inside(folder, allowed):
    return any(folder == a or folder.startswith(a + "/") for a in allowed)


def complaint(folder, quote, name):
    """What is wrong with this include in a file of `folder`; None if nothing is."""
    top = folder.split("/")[0]
    target = name.split("/")[0]
    if quote == '"':
        if target not in STREAM:
            return "is not a path from the root into comm, layers or trainer"
        if STREAM.index(target) > STREAM.index(top):
            return f"flows upstream: {top} may not know {target}"
        return None
    for prefix, allowed in THIRD_PARTIES.items():
        if name.startswith(prefix):
            return None if inside(folder, allowed) else f"belongs in {' or '.join(allowed)}"
    return None if SYSTEM.fullmatch(name) else "is a third party that no folder may use"


def findings(root):
    for top in STREAM:
        for file in sorted((root / top).rglob("*")):
            if file.suffix not in (".h", ".cpp", ".cu", ".cuh"):
                continue
            path = file.relative_to(root)
            for number, line in enumerate(file.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                wrong = match and complaint(path.parent.as_posix(), *match.groups())
                if wrong:
                    yield f"{path}:{number}: {match[2]} {wrong}"


def main():
    root = Path(sys.argv[1])
    if not all((root / top).is_dir() for top in STREAM):
        sys.exit(f"{root} lacks one of the folders {', '.join(STREAM)}")
    wrong = list(findings(root))
    print("\n".join(wrong) if wrong else "every include is in order")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
