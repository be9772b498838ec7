#!/usr/bin/env python3
"""What is drawn where standard error is a terminal, and that nothing of it gets anywhere else."""

import os
import pty
import re
import subprocess

from binary import Cases, command, expect

LIVE = re.compile(r"\r\x1b\[\?7l *\d+ %  step (\d+)/4  epoch \d+(?:/\d+)?  loss \S+  accuracy \S+ %  \d+ images/s"
                  r"  \d+:\d\d left\x1b\[K\x1b\[\?7h")
STEPS = ["--set", "train.log_every=1", "--set", "evaluation.every_steps=2"]

cases = Cases()


def on_terminal(arguments, stdout=subprocess.PIPE, **how):
    """Runs lockstep with a terminal behind standard error; answers its code, and what the terminal was told."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(command(arguments, **how), stdin=subprocess.DEVNULL, stdout=stdout, stderr=terminal)
    os.close(terminal)
    told = b""
    try:
        while piece := os.read(master, 65536):
            told += piece
    except OSError:  # how Linux says that nobody holds the other end any more
        pass
    os.close(master)
    process.communicate(timeout=60)
    return process.returncode, told.decode().replace("\r\n", "\n")


def check_live(told):
    steps = [int(step) for step in LIVE.findall(told)]
    expect(steps and steps[-1] == 4 and steps == sorted(steps), f"live lines of steps {steps} in {told!r}")


def check_table(told, rows):
    heading = r"\n +step +epoch +loss +accuracy +lr +images/s +val_loss +val_accuracy\n"
    expect(len(re.findall(heading, told)) == 1, f"no table in {told!r}")
    lines = re.split(heading, told)[1].splitlines()
    steps = [line.split()[0] for line in lines[: len(rows)]]
    expect(steps == rows, f"rows of steps {steps} in {told!r}")
    for line in lines[: len(rows)]:
        expect(re.fullmatch(r" +\d+ +\d +\d\.\d{4} +\S+ % +0\.05 +\d+ +\d\.\d{4} +\S+ %", line), f"row {line!r}")
    expect(lines[len(rows)].startswith("  best val_accuracy: "), f"not the best: {lines[len(rows)]!r}")


def check_plain(told):
    expect("\x1b" not in told and "\r" not in told, f"drawn into a log: {told!r}")
    expect("best val_accuracy" not in told and "images/s  val" not in told, f"a table in a log: {told!r}")
    expect("100 %  step 4/4" in told and "finished 4 steps" in told, f"no plain lines: {told!r}")


@cases
def a_terminal_has_a_live_line_and_a_table(room):
    for how in [dict(), dict(workers=2)]:
        code, told = on_terminal(["train", room.config, "--overwrite", *STEPS], **how)
        expect(code == 0, f"code {code}: {told}")
        check_live(told)
        check_table(told, ["2", "4"])
        expect(re.search(r"\nfinished 4 steps at \d+ images/s; ", told), f"not the last line: {told!r}")


@cases
def a_run_that_stops_and_goes_on_has_one_table(room):
    code, told = on_terminal(["train", room.config, *STEPS, "--set", "train.stop_at_step=3"])
    expect(code == 75, f"code {code}: {told}")
    expect(re.search(r"\n +3 +1 .* - +-\n  best val_accuracy: ", told), f"no row of step 3: {told!r}")
    code, told = on_terminal(["train", room.config, *STEPS, "--resume"])
    expect(code == 0, f"code {code}: {told}")
    check_table(told, ["2", "4"])


@cases
def a_log_file_has_neither(room):
    log = room.folder / "log"
    for how in [dict(), dict(workers=2)]:
        # A terminal behind standard output makes no difference.
        master, terminal = pty.openpty()
        with open(log, "w") as file:
            subprocess.run(command(["train", room.config, "--overwrite", *STEPS], **how), check=True, stdout=terminal,
                           stderr=file, timeout=60)
        os.close(terminal)
        os.close(master)
        check_plain(log.read_text())


@cases
def what_mpirun_changes_is_no_terminal(room):
    for options in [["--tag-output"], ["--timestamp-output"], ["--mca", "orte_tag_output", "1"]]:
        code, told = on_terminal(["train", room.config, "--overwrite", *STEPS], workers=2, options=options)
        expect(code == 0, f"code {code}: {told}")
        check_plain(told.replace("\r", ""))


@cases
def a_path_changes_no_terminal(room):
    run_dir = ["--set", f"run_dir={room.folder}/output/run"]
    code, told = on_terminal(["train", room.config, *STEPS, *run_dir], workers=2, options=["--wdir", room.folder])
    expect(code == 0, f"code {code}: {told}")
    check_live(told)


@cases
def the_run_says_the_same_without_a_terminal(room):
    """But for the live line and the table, which are all that a terminal is told besides."""
    _, told = on_terminal(["train", room.config, "--overwrite", *STEPS])
    kept = [line for line in LIVE.sub("", told).splitlines() if re.match(r"writing|step \d|finished", line)]
    plain = [line for line in room.train("--overwrite", *STEPS).err.splitlines() if re.match(r"writing|step \d|finished", line)]
    without = lambda lines: [re.sub(r"\d+ images/s", "", line) for line in lines]
    expect(without(kept) == without(plain) and len(kept) == 4, f"{kept} instead of {plain}")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
