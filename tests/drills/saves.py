#!/usr/bin/env python3
"""Saving is disturbed in every way there is; no checkpoint may be lost or half there, and --resume must come to the end
of the undisturbed run. With strace for what happens at one system call, and a small tmpfs for a full disk."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from drill import PATIENCE, ROOT, Drills, Job, Undisturbed, command, expect, run

DATA = 3
FAILED = "could not be saved"
SHORT_WRITES = os.environ.get("SHORT_WRITES", str(ROOT / "build/release/tests/drills/libshort_writes.so"))

# What strace tells of a call of the main thread, the only one that it follows: the one that saves.
CALL = re.compile(r"^(\w+)\((.*)$")
ERRORS = {
    "openat": ["ENOSPC", "EIO", "EMFILE"],
    "write": ["ENOSPC", "EIO"],
    "fsync": ["ENOSPC", "EIO"],
    "close": ["EIO"],
    "rename": ["ENOSPC", "EIO"],
    "newfstatat": ["EIO"],
    "getdents64": ["EIO"],
    "unlink": ["EIO", "EACCES"],
}


def wait_until(holds, process):
    deadline = time.monotonic() + PATIENCE
    while not holds() and process.poll() is None:
        expect(time.monotonic() < deadline, f"nothing happened within {PATIENCE} s")
        time.sleep(0.002)


# Moments that are no trial of a save.
OUTSIDE = ["between two saves", "had ended before"]


def where(job):
    """How far the save was in which the run was killed."""
    left = " ".join(job.left_over())
    saved = job.steps_saved()
    if ".step-" in left:
        return "a checkpoint half written"
    if ".latest" in left:
        return "`latest` half written"
    if saved and saved[-1] > job.latest():
        return "`latest` one behind"
    if len(saved) > job.keep:
        return "one to prune"
    return OUTSIDE[0]


# A run that does little else than saving.
BUSY = {"steps": 40, "every": 1}


def killed_at_random(folder, undisturbed, drills):
    job = Job(folder / "job", **BUSY)
    process = subprocess.Popen(command(["train", job.config]), stderr=subprocess.DEVNULL)
    step = drills.random.randrange(job.steps - 2)
    wait_until(lambda: job.latest() >= step, process)
    time.sleep(drills.random.uniform(0, undisturbed.seconds / job.steps))
    process.kill()
    ended = process.wait() == 0
    undisturbed.require_whole(job)
    seen = OUTSIDE[1] if ended else where(job)
    undisturbed.require_resumed(job)
    return seen


# One save among others, which prunes too.
SHORT = {"steps": 8, "every": 2, "keep": 2}
WATCHED = 6


class Traced:
    """The calls of one save, each with its number among those of its name since the start."""

    def __init__(self, folder):
        self.job = Job(folder / "traced", **SHORT)
        trace = folder / "trace"
        with_strace(["-y", "-o", trace], self.job)
        numbers, calls = {}, []
        for line in trace.read_text(errors="replace").splitlines():
            if match := CALL.match(line):
                name, rest = match.groups()
                numbers[name] = numbers.get(name, 0) + 1
                calls.append((name, numbers[name], rest))
        first = next(i for i, call in enumerate(calls) if f"/.step-{WATCHED:08}." in call[2])
        while "metrics.jsonl" not in calls[first][2]:  # its fsync begins the save
            first -= 1
        gone = self.job.checkpoint(WATCHED - 2 * SHORT["every"])
        last = next(i for i, call in enumerate(calls) if call[0] == "unlink" and str(gone) in call[2])
        self.calls = calls[first:last + 1]

    def disturbable(self):
        """Calls on files of the run directory that may fail, with the errors they may fail with."""
        run_directory = str(self.job.run)
        return [(name, number, error) for name, number, rest in self.calls if run_directory in rest
                for error in ERRORS.get(name, [])]


def with_strace(options, job):
    full = ["strace", *map(str, options), *command(["train", job.config])]
    return subprocess.run(full, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=PATIENCE)


def inject(job, name, what):
    trace = job.folder / "trace"
    result = with_strace(["-o", trace, "-e", f"trace={name}", "-e", f"inject={name}:{what}"], job)
    return result, trace.read_text(errors="replace")


def killed_at_a_call(folder, undisturbed, name, number):
    job = Job(folder / "job", **SHORT)
    result, trace = inject(job, name, f"signal=KILL:when={number}")
    expect(result.returncode == -signal.SIGKILL, f"was not killed: {result.returncode} {result.stderr}\n{trace}")
    undisturbed.require_whole(job)
    seen = where(job)
    undisturbed.require_resumed(job)
    return seen


def one_error_at_a_call(folder, undisturbed, name, number, error):
    """The save fails or does not; the run ends well."""
    job = Job(folder / "job", **SHORT)
    result, trace = inject(job, name, f"error={error}:when={number}")
    told = f"code {result.returncode}: {result.stderr}"
    expect("(INJECTED)" in trace, f"nothing was injected: {told}")
    expect(result.returncode == 0, told)
    undisturbed.require_whole(job)
    undisturbed.require_same_end(job)
    if f"step {WATCHED}: the checkpoint {FAILED}" in result.stderr:
        expect("1 save failed" in result.stderr, f"was not counted: {told}")
        return "told, and saved the next time"
    if "an old one is left" in result.stderr:
        return "saved; told that an old one is left"
    if "lines are kept" in result.stderr:
        return "told, and its line written later"
    expect(name in ["close", "newfstatat"], f"{name}: nobody was told: {told}")
    return "harmless"


def errors_that_stay(folder, undisturbed, name, number, error):
    """From one call on all of that name fail: the run gives up, and goes on when it may."""
    job = Job(folder / "job", **SHORT)
    result, _ = inject(job, name, f"error={error}:when={number}+")
    told = f"code {result.returncode}: {result.stderr}"
    expect(result.returncode == DATA, told)
    expect(f"3 in a row" in result.stderr and "is whole, and loads" in result.stderr, f"does not say it: {told}")
    undisturbed.require_whole(job, may_miss=3)
    undisturbed.require_resumed(job)
    return "gave up after three, and resumed"


def short_writes(folder, undisturbed):
    job = Job(folder / "job", **SHORT)
    environment = {**os.environ, "LD_PRELOAD": SHORT_WRITES}
    result = subprocess.run(command(["train", job.config]), env=environment, stderr=subprocess.PIPE, text=True)
    expect(result.returncode == 0 and "cannot be preloaded" not in result.stderr, result.stderr)
    undisturbed.require_whole(job)
    undisturbed.require_same_end(job)
    return "the same files"


def size_limit(folder, undisturbed, drills):
    """A write that falls short and then fails, as on a full disk."""
    job = Job(folder / "job", **SHORT)
    limit = drills.random.randrange(4 << 10, len(undisturbed.checkpoints[2]))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        result = run("train", job.config, timeout=PATIENCE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    expect(result.code == DATA and "File too large" in result.err, f"code {result.code}: {result.err}")
    expect(not job.steps_saved() and not job.left_over(), f"left {job.steps_saved()}, {job.left_over()}")
    undisturbed.require_resumed(job)
    return "gave up after three, and resumed"


# A full disk

LONG = {"steps": 400, "every": 100, "keep": 2}


@contextlib.contextmanager
def small_disk(folder, room):
    """A tmpfs as the run directory, filled up but for `room` bytes; gives the function that makes room."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "none", folder], check=True, stderr=subprocess.PIPE)
    filler = folder / "filler"
    try:
        with open(filler, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, (8 << 20) - room)
        yield filler.unlink
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def why_not_mountable(folder):
    try:
        with small_disk(folder, 1 << 20):
            return None
    except (OSError, subprocess.CalledProcessError) as error:
        return str(getattr(error, "stderr", None) or error).strip()


def full_disk(folder, undisturbed):
    """There is room for one checkpoint, not for two."""
    job = Job(folder / "job", **LONG)
    with small_disk(job.run, 3 * len(undisturbed.checkpoints[100]) // 2 + (128 << 10)) as make_room:
        result = run("train", job.config, timeout=PATIENCE)
        told = f"code {result.code}: {result.err}"
        expect(result.code == DATA and "No space left on device" in result.err, told)
        expect("step-00000100.safetensors is whole, and loads" in result.err, told)
        undisturbed.require_whole(job, may_miss=3)
        make_room()
        undisturbed.require_resumed(job)
    return "gave up after three, and resumed"


def disk_full_for_a_while(folder, undisturbed):
    job = Job(folder / "job", **LONG)
    with small_disk(job.run, 3 * len(undisturbed.checkpoints[100]) // 2 + (128 << 10)) as make_room:
        process = subprocess.Popen(command(["train", job.config]), stderr=subprocess.PIPE, text=True)
        lines = []
        for line in process.stderr:
            lines.append(line)
            if FAILED in line and len([told for told in lines if FAILED in told]) == 1:
                make_room()
        code = process.wait()
        expect(any(FAILED in line for line in lines), f"the disk was never full: code {code}\n{''.join(lines)}")
        undisturbed.require_whole(job, may_miss=3)
        if code == 0:
            undisturbed.require_same_end(job)
            return "told, and saved the next time"
        # Three saves came before this drill could make room.
        expect(code == DATA, f"code {code}: {''.join(lines)}")
        undisturbed.require_resumed(job)
        return "gave up after three, and resumed"


def require_hits(_folder, hits, trials):
    expect(hits >= trials, f"only {hits} of {20 * trials} kills came while saving")
    return f"{hits} came while saving"


def main():
    drills = Drills(__doc__, trials=6)
    trials = drills.options.trials
    with tempfile.TemporaryDirectory(prefix="lockstep_drill.") as name:
        folder = Path(name)
        busy = Undisturbed(folder / "busy", **BUSY)
        while_saving = 0
        for _ in range(20 * trials):
            seen = drills.trial("SIGKILL at a random moment", killed_at_random, busy, drills)
            while_saving += seen not in OUTSIDE
            if while_saving == trials:
                break
        drills.trial("of these kills", require_hits, while_saving, trials)

        short = Undisturbed(folder / "short", **SHORT)
        traced = Traced(folder)
        for name, number, _ in drills.sample(traced.calls, trials):
            drills.trial("SIGKILL at a system call of one save", killed_at_a_call, short, name, number)
        errors = traced.disturbable()
        for name, number, error in drills.sample(errors, trials):
            drills.trial("an error at a system call of one save", one_error_at_a_call, short, name, number, error)
        first_of_each = {name: (name, number, error) for name, number, error in reversed(errors)
                         if name in ["fsync", "rename"]}
        for what in first_of_each.values():
            drills.trial("an error from one system call on", errors_that_stay, short, *what)
        drills.trial("every write falls short", short_writes, short)
        for _ in range(min(trials, 20)):
            drills.trial("a file above its size limit", size_limit, short, drills)

        if reason := why_not_mountable(folder / "disk"):
            drills.skipped("a full disk", reason)
        else:
            long = Undisturbed(folder / "long", **LONG)
            drills.trial("a full disk", full_disk, long)
            drills.trial("a disk that is full for a while", disk_full_for_a_while, long)
    drills.end()


if __name__ == "__main__":
    main()
