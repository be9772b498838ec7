#!/usr/bin/env python3
"""Runs a script of this folder with PyPI's newest packages, those of build/python_newest, and tells their versions.

  newest.py SCRIPT [ARGUMENT]...
"""
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
ENVIRONMENT = ROOT / "build" / "python_newest"
MISSING = ROOT / "build" / "python_newest.missing"
PACKAGES = ROOT / "scripts" / "packages" / "python_newest.txt"
SKIPPED = 77
TELL = "import importlib.metadata as m, sys; print(*(f'{name} {m.version(name)}' for name in sys.argv[1:]), sep=', ')"


def main():
    script, *arguments = sys.argv[1:]
    if MISSING.exists():
        print(f"skipped: {MISSING.read_text().strip()}")
        return SKIPPED
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        sys.exit(f"{python} is not there; scripts/test.sh --all makes it")
    packages = [line for line in PACKAGES.read_text().split("\n") if line and not line.startswith("#")]
    subprocess.run([python, "-c", TELL, *packages], check=True)
    return subprocess.run([python, "-B", HERE / script, *arguments], check=False).returncode


sys.exit(main())
