#!/usr/bin/env python3
"""Makes a small data set of files, and lets scripts/check_one_answer.sh train on it.

  one_answer_of_files.py cifar10|image_folder [OPTION OF check_one_answer.sh]...
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from data_sets import write_cifar10, write_image_folder

HERE = Path(__file__).resolve().parent
WRITERS = {"cifar10": write_cifar10, "image_folder": write_image_folder}


def main():
    name, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="lockstep_test.") as folder:
        data = Path(folder) / "data"
        WRITERS[name](data)
        check = HERE.parents[1] / "scripts" / "check_one_answer.sh"
        command = [check, HERE / f"one_answer_{name}.yaml", "--set", f"data.path={data}", *options]
        sys.exit(subprocess.run(command, check=False).returncode)


main()
