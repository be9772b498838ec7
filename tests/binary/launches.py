#!/usr/bin/env python3
"""scripts/launch.sh: when a job is run again, with how many workers, and when not. A program that answers as it is told
stands in for lockstep; stops.py and the drills have the real one."""

import json
import os
import signal
import subprocess
import time

from binary import LAUNCH, LOCKSTEP, Cases, expect

# Answers the code that its turn has, and tells how it was started. Before a code, "." begins a run in the run directory,
# "+" leaves a new checkpoint there too, "!" is asked to stop before it listens, "?" waits for that and dies of it.
STAND_IN = """\
#!/usr/bin/env python3
import os, pathlib, signal, sys
room = pathlib.Path({room!r})
run = room / {run!r}
if sys.argv[1] == "config":
    os.chdir(room)
    os.execv({lockstep!r}, ["lockstep", *sys.argv[1:]])
if os.environ["OMPI_COMM_WORLD_RANK"] != "0":
    sys.exit()
turns = room / "turns"
turn = len(turns.read_text().splitlines()) if turns.exists() else 0
answers = {answers!r}
answer = answers[min(turn, len(answers) - 1)]
if answer[0] == "?":
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
with turns.open("a") as file:
    print(os.environ["OMPI_COMM_WORLD_SIZE"], *sys.argv[2:], file=file)
if answer[0] in ".+":
    run.mkdir(exist_ok=True)
    (run / "config.yaml").unlink(missing_ok=True)
    (run / "config.yaml").write_text(str(turn))
if answer[0] == "+":
    (run / "checkpoints").mkdir(parents=True, exist_ok=True)
    (run / "checkpoints" / "latest").write_text(f"step-{{turn:08}}.safetensors\\n")
if answer[0] == "!":
    os.kill(os.getpid(), signal.SIGUSR1)
if answer[0] == "?":
    signal.pause()
sys.exit(int(answer.lstrip(".+!?")))
"""
# For ssh: the host "gone" does not answer.
SSH = """\
#!/usr/bin/env bash
[[ " $* " != *" gone "* ]]
"""

cases = Cases()


class Launched:
    def __init__(self, room, answers, *options, arguments=(), run="run", wait=True):
        program = room.folder / "lockstep"
        program.write_text(STAND_IN.format(lockstep=os.path.abspath(LOCKSTEP), room=str(room.folder), run=run,
                                           answers=answers))
        (room.folder / "my.yaml").write_text("run_dir: " + json.dumps(str(room.folder / run)))
        ssh = room.folder / "ssh"
        ssh.write_text(SSH)
        for file in [program, ssh]:
            file.chmod(0o755)
        self.turns_file = room.folder / "turns"
        self.process = subprocess.Popen(
            [LAUNCH, *options, str(program), "train", "my.yaml", *arguments], stderr=subprocess.PIPE,
            text=True, env={**os.environ, "PATH": f"{room.folder}:{os.environ['PATH']}"})
        if wait:
            self.end()

    def end(self):
        self.err = self.process.communicate(timeout=120)[1]
        self.code = self.process.returncode

    def turns(self):
        """Of each run: workers and arguments."""
        return self.turns_file.read_text().splitlines() if self.turns_file.exists() else []

    def expect(self, code, turns):
        expect(self.code == code, f"code {self.code} instead of {code}: {self.err}")
        expect(self.turns() == turns, f"was started so: {self.turns()}, not {turns}\n{self.err}")


QUICK = ["--pause", "0.01"]
FIRST, AGAIN = "1 my.yaml", "1 my.yaml --resume"


@cases
def runs_once_what_would_answer_the_same(room):
    for code in [0, 2, 3, 5, 75]:
        (room.folder / "turns").unlink(missing_ok=True)
        Launched(room, [str(code)], "-n", "1", *QUICK).expect(code, [FIRST])


@cases
def starts_where_the_cores_cannot_be_told(room):
    lscpu = room.folder / "lscpu"
    lscpu.write_text("#!/bin/sh\necho no /sys >&2\nexit 1\n")
    lscpu.chmod(0o755)
    Launched(room, ["0"], "-n", "2", *QUICK).expect(0, ["2 my.yaml"])


@cases
def gives_up_after_so_many_failures(room):
    Launched(room, ["4"], "-n", "1", "--restarts", "2", *QUICK).expect(4, [FIRST, AGAIN, AGAIN])


@cases
def progress_starts_the_count_anew(room):
    answers = ["4", "+4", "+1", "+4", "0"]
    Launched(room, answers, "-n", "1", "--restarts", "1", *QUICK).expect(0, [FIRST, *4 * [AGAIN]])


@cases
def progress_is_seen_in_a_folder_of_any_name(room):
    name = 'a "new" run\'s\\n \tdir 50 % $HOME'
    Launched(room, ["4", "+4", "+4", "0"], "-n", "1", "--restarts", "1", *QUICK, run=name).expect(0, [FIRST, *3 * [AGAIN]])


@cases
def waits_longer_each_time_until_there_is_progress(room):
    launched = Launched(room, ["4", "4", "+4", "4", "4"], "-n", "1", "--restarts", "2", *QUICK)
    pauses = [line.split(" in ")[1].split(" s ")[0] for line in launched.err.splitlines() if "it goes on" in line]
    expect(pauses == ["0.01", "0.02", "0.01", "0.02"], f"pauses {pauses}: {launched.err}")


def old_run(room):
    """A run directory that holds a run of another job."""
    (room.folder / "run" / "checkpoints").mkdir(parents=True)
    (room.folder / "run" / "config.yaml").write_text("old")
    (room.folder / "run" / "checkpoints" / "latest").write_text("step-00000500.safetensors\n")


@cases
def overwrites_once(room):
    old_run(room)
    launched = Launched(room, [".4", "0"], "-n", "1", *QUICK, arguments=["--overwrite", "--set", "data.path=b c"])
    launched.expect(0, ["1 my.yaml --overwrite --set data.path=b c", "1 my.yaml --set data.path=b c --resume"])


@cases
def resumes_no_run_of_another_job(room):
    old_run(room)
    overwrite = "1 my.yaml --overwrite"
    launched = Launched(room, ["4", "137", ".4", "0"], "-n", "1", *QUICK, arguments=["--overwrite"])
    launched.expect(0, [overwrite, overwrite, overwrite, AGAIN])
    (room.folder / "turns").unlink()
    Launched(room, ["4", "3"], "-n", "1", *QUICK).expect(3, [FIRST, FIRST])


@cases
def knows_the_run_directory_whatever_else_train_is_told(room):
    """So an old run there is not resumed, and progress is seen."""
    old_run(room)
    for other in ["--trace my.json", "--trace=my.json", "--workers 1"]:
        (room.folder / "turns").unlink(missing_ok=True)
        launched = Launched(room, ["4", "+4", "+4", "0"], "-n", "1", "--restarts", "1", *QUICK,
                            arguments=[*other.split(), "--set", "seed=2", "--overwrite"])
        first, again = f"1 my.yaml {other} --set seed=2 --overwrite", f"1 my.yaml {other} --set seed=2 --resume"
        launched.expect(0, [first, first, again, again])


@cases
def settings_tell_the_run_directory(room):
    old_run(room)
    for setting in ["--set run_dir=new", "--set=run_dir=new"]:
        (room.folder / "turns").unlink(missing_ok=True)
        launched = Launched(room, ["4", "0"], "-n", "1", *QUICK, arguments=setting.split())
        launched.expect(0, [f"1 my.yaml {setting}", f"1 my.yaml {setting} --resume"])


@cases
def refuses_what_has_no_run_directory(room):
    for arguments in [["--set", "run_dir=${LOCKSTEP_TEST_NOTHING}"], ["--set", "seeed=1"], ["--set"]]:
        Launched(room, ["0"], "-n", "1", *QUICK, arguments=arguments).expect(2, [])


@cases
def progress_over_an_old_run_counts(room):
    old_run(room)
    launched = Launched(room, ["+4", "+4", "+4", "0"], "-n", "1", "--restarts", "1", *QUICK, arguments=["--overwrite"])
    launched.expect(0, ["1 my.yaml --overwrite", AGAIN, AGAIN, AGAIN])


@cases
def what_cannot_be_started_is_a_failure(room):
    launched = Launched(room, ["127"], "-n", "1", "--restarts", "1", *QUICK)
    launched.expect(127, [FIRST, AGAIN])


@cases
def what_does_not_start_is_tried_with_fewer_workers(room):
    launched = Launched(room, ["4", "4", "4", "+4", "0"], "-n", "3", "--least", "2", "--restarts", "3", *QUICK)
    expect([turn[0] for turn in launched.turns()] == ["3", "2", "2", "2", "3"], f"{launched.turns()} {launched.err}")


@cases
def hosts_that_are_gone_are_left_out(room):
    launched = Launched(room, ["0"], "-n", "3", "--least", "2", "--hosts", "localhost:2,gone:2", *QUICK)
    launched.expect(0, ["2 my.yaml"])
    expect("gone does not answer" in launched.err, launched.err)


@cases
def too_few_hosts_are_a_failure(room):
    launched = Launched(room, ["0"], "-n", "3", "--hosts", "localhost:2,gone:2", "--restarts", "1", *QUICK)
    launched.expect(4, [])


@cases
def a_request_in_a_pause_ends_it(room):
    launched = Launched(room, ["4"], "-n", "1", "--pause", "1000", wait=False)
    for line in launched.process.stderr:
        if "it goes on" in line:
            break
    launched.process.send_signal(signal.SIGTERM)
    launched.end()
    launched.expect(75, [FIRST])


@cases
def a_request_harms_none_that_does_not_listen_yet(room):
    Launched(room, ["!0"], "-n", "1", *QUICK).expect(0, [FIRST])


@cases
def a_request_that_ends_a_worker_is_answered(room):
    launched = Launched(room, ["?0"], "-n", "1", *QUICK, wait=False)
    while not launched.turns() and launched.process.poll() is None:
        time.sleep(0.01)
    launched.process.send_signal(signal.SIGTERM)
    launched.end()
    launched.expect(75, [FIRST])


@cases
def refuses_what_it_does_not_understand(room):
    for options in [["-n", "0"], ["-n", "two"], ["--restarts", "1"], ["-n", "2", "--least", "3"], ["-n", "1", "--pause", "x"]]:
        launched = Launched(room, ["0"], *options)
        launched.expect(2, [])
        expect("scripts/launch.sh -n WORKERS" in launched.err, launched.err)


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
