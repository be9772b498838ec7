"""The processes of a running job."""

import subprocess
from pathlib import Path


def children(pid):
    listed = subprocess.run(["pgrep", "-P", str(pid)], stdout=subprocess.PIPE, check=False).stdout
    return [int(child) for child in listed.split()]


def name_of(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


def mpirun_of(process):
    """The process itself, or its child where launch.sh started it; None where there is none (yet)."""
    if name_of(process.pid) == "mpirun":
        return process.pid
    return next((child for child in children(process.pid) if name_of(child) == "mpirun"), None)


def rank_of(process, rank):
    """The process that is this rank."""
    mark = f"\0OMPI_COMM_WORLD_RANK={rank}\0"
    return next(child for child in children(mpirun_of(process)) if mark in Path(f"/proc/{child}/environ").read_text())
