#!/usr/bin/env python3
"""What a training tells at its start of hosts, cores, messages and shards is what mpirun did; hosts of two kinds are
refused.

The environment names the binary, and a library: LOCKSTEP=build/release/lockstep
OTHER_JPEG=build/release/tests/mpi/libother_jpeg.so.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

import binary  # noqa: E402
from binary import LOCKSTEP, MPIRUN, Cases, expect  # noqa: E402

USAGE = 2
HOST = os.uname().nodename
OTHER_JPEG = os.environ.get("OTHER_JPEG", str(Path(LOCKSTEP).parent / "tests" / "mpi" / "libother_jpeg.so"))

cases = Cases()


def core_of(processor):
    siblings = Path(f"/sys/devices/system/cpu/cpu{processor}/topology/thread_siblings_list")
    return int(siblings.read_text().replace("-", ",").split(",")[0]) if siblings.exists() else processor


def two_processors():
    """Of different cores."""
    processors = sorted({core_of(processor): processor for processor in os.sched_getaffinity(0)}.values())
    expect(len(processors) >= 2, "this test needs two cores")
    return processors[:2]


def launch(*commands):
    """One rank a command, in one job."""
    full = [MPIRUN]
    for rank, command in enumerate(commands):
        full += [*([":"] if rank else []), "-n", "1", *map(str, command)]
    result = subprocess.run(full, capture_output=True, text=True, timeout=120, check=False)
    return binary.Result(" ".join(full), result.returncode, result.stdout, result.stderr, 0)


def train_on(room, *processors):
    """A worker on each of these."""
    result = launch(*(["taskset", "-c", processor, LOCKSTEP, "train", room.config] for processor in processors))
    expect(result.code == 0, f"code {result.code} from {result.command}\n{result.err}")
    return result


def require_line(result, line, times=1):
    found = [told for told in result.err.splitlines() if told == line]
    expect(len(found) == times, f"'{line}' occurs {len(found)} times, not {times}: {result.command}\n{result.err}")


@cases
def the_core_of_each_worker_is_told_by_rank_0_alone(room):
    first, second = two_processors()
    result = train_on(room, second, first)
    require_line(result, "2 workers on 1 host")
    require_line(result, f"host {HOST}: rank 0 bound to core {core_of(second)}; rank 1 bound to core {core_of(first)}")
    require_line(result, "4 shards on 2 workers divide evenly")
    expect(not result.lines_with("take turns"), f"warns of nothing: {result.err}")


@cases
def workers_that_share_a_core_are_warned_of(room):
    first, _ = two_processors()
    (line,) = train_on(room, first, first).lines_with("take turns")
    expect(line.startswith(f"ranks 0-1 on {HOST} share core {core_of(first)} with 2 threads"), line)
    expect("--bind-to core" in line, line)


@cases
def the_binding_is_what_open_mpi_made_of_its_options(room):
    show = "import os; print(*sorted(os.sched_getaffinity(0)))"
    for bind in ["core:overload-allowed", "none"]:
        bound = [MPIRUN, "-n", "1", "--bind-to", bind, sys.executable, "-c", show]
        shown = subprocess.run(bound, capture_output=True, text=True, check=True, timeout=60).stdout
        cores = {core_of(int(processor)) for processor in shown.split()}
        result = room.train("--overwrite", workers=1, options=["--bind-to", bind])
        word = "not bound, on" if cores == {core_of(processor) for processor in os.sched_getaffinity(0)} else "bound to"
        expect(len(cores) == 1 or bind == "none", f"--bind-to {bind} leaves {cores}")
        (line,) = result.lines_with("rank 0 ")
        expect(f"rank 0 {word} core" in line, f"--bind-to {bind} leaves {cores}, but: {line}")


def messages(room, *options):
    (line,) = room.train("--overwrite", workers=2, options=options).lines_with("messages")
    expect("Open MPI v" in line and "between hosts" not in line, line)
    return line


@cases
def the_way_of_messages_is_what_open_mpi_was_told(room):
    expect("shared memory (vader) within a host" in messages(room), "by default")
    for options in [["btl", "self,tcp"], ["btl", "^vader"], ["btl_tcp_exclusivity", "100000"]]:
        line = messages(room, "--mca", *options)
        expect("messages: TCP on all networks but " in line, f"{options}: {line}")
    line = messages(room, "--mca", "btl", "self,tcp", "--mca", "btl_tcp_if_include", "lo")
    expect("messages: TCP on lo within a host" in line, line)


@cases
def messages_go_where_it_is_told(room):
    """A message by TCP is a call of writev, one through shared memory is no call."""
    calls = {}
    # The address sanitizer cannot look for leaks in what is traced.
    no_leaks = f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0"
    for way, options in {"shared memory": [], "TCP": ["--mca", "btl_tcp_exclusivity", "100000"]}.items():
        file = room.folder / "calls"
        train = [LOCKSTEP, "train", room.config, "--overwrite"]
        result = launch([*options, "strace", "-f", "-qq", "-E", no_leaks, "-o", file, "-e", "trace=writev", *train], train)
        expect(result.code == 0 and f"messages: {way}" in result.err, f"code {result.code}: {result.err}")
        calls[way] = file.read_text().count("writev(")
    steps = 4
    expect(calls["TCP"] > calls["shared memory"] + 10 * steps, f"calls of writev: {calls}")


@cases
def shards_that_divide_badly_are_told_with_what_would_be_better(room):
    room.write_config("shards: 4", "shards: 8")
    (line,) = room.train(workers=7).lines_with("busy")
    expect(line.startswith("8 shards on 7 workers keep them 57 % busy: 4 workers would be as quick"), line)


@cases
def threads_of_one_process_are_told_too(room):
    result = room.train("--workers", "2")
    require_line(result, "2 workers on 1 host")
    require_line(result, "messages: memory of one process within a host")


def programs(result):
    """What the refusal says of each rank's program: {rank: digest}."""
    return dict(re.findall(rf"^  rank (\d) on {HOST}: .*; program (\w+)$", result.err, re.MULTILINE))


@cases
def another_build_of_the_program_is_refused_by_name(room):
    """So is one of somebody else's: what is compared is the file that runs, to its last byte."""
    other = room.folder / "program"
    shutil.copy(LOCKSTEP, other)
    train = ["train", room.config, "--overwrite"]
    same = launch([other, *train], [LOCKSTEP, *train])
    expect(same.code == 0, f"equal files are refused: {same.command}\n{same.err}")
    with other.open("ab") as file:
        file.write(b"\0")
    before = room.snapshot()
    for arguments in [train, ["bench", "step", room.config]]:
        result = launch([other, *arguments], [LOCKSTEP, *arguments])
        expect(result.code == USAGE, f"code {result.code} from {result.command}\n{result.err}")
        expect(len(result.lines_with("hosts differ in what the bits of a result depend on")) == 1, result.err)
        expect(len(set(programs(result).values())) == 2, f"does not tell them apart: {result.err}")
    expect(room.snapshot() == before, f"something was written: {result.err}")


@cases
def hosts_that_compute_other_bits_are_refused_by_name(room):
    train = [LOCKSTEP, "train", room.config]
    for other in ["ONEDNN_MAX_CPU_ISA=SSE41", f"LD_PRELOAD={OTHER_JPEG}"]:
        result = launch(train, ["env", other, *train])
        expect(result.code == USAGE, f"code {result.code} from {result.command}\n{result.err}")
        expect(len(result.lines_with("hosts differ in what the bits of a result depend on")) == 1, result.err)
    for rank in [0, 1]:
        expect(len(result.lines_with(f"  rank {rank} on {HOST}: ")) == 1, f"does not name rank {rank}: {result.err}")
    expect(not room.run.exists(), f"something was written: {result.err}")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
