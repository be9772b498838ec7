#!/usr/bin/env python3
"""my_lockstep, a program of somebody else's: lockstep with one more layer, from the configuration to the exit code.

The environment names the folder that build_consumer.sh made: INSTALLED=build/release/tests/install
"""

import json
import os
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "binary"))

import binary  # noqa: E402
from binary import Cases, expect, run, write_png  # noqa: E402

INSTALLED = Path(os.environ.get("INSTALLED", binary.ROOT / "build" / "release" / "tests" / "install"))
CONFIG = Path(__file__).parent / "consumer" / "config.yaml"
MINE = str(INSTALLED / "consumer" / "my_lockstep")
THEIRS = str(INSTALLED / "prefix" / "bin" / "lockstep")
USAGE, DATA = 2, 3

binary.LOCKSTEP = MINE
cases = Cases()


def must(code, *arguments, **how):
    result = run(*arguments, **how)
    expect(result.code == code, f"code {result.code} instead of {code}: {result.command}\n{result.err}")
    return result


def train(room, code, *arguments, **how):
    return must(code, "train", CONFIG, "--set", f"run_dir={room.run}", "--set", "comm.timeout_s=20", *arguments, **how)


def tensors(file):
    told = json.loads(must(0, "inspect", file, "--json").out)["tensors"]
    return {tensor["name"]: tensor for tensor in told}


@cases
def checkpoints_hold_its_parameters(room):
    train(room, 0, workers=2)
    final = tensors(room.final())
    for name, slopes, start in [("prelu1", 8, 0.25), ("block.prelu1", 2, 0.1), ("last", 1, 0.25)]:
        weight = final[f"{name}.weight"]
        expect(weight["shape"] == [slopes], f"{weight}")
        expect(abs(weight["mean"] - start) > 1e-5, f"did not learn: {weight}")
    resumable = tensors(room.last_checkpoint())
    expect("optimizer.momentum.block.prelu1.weight" in resumable, f"{sorted(resumable)}")


@cases
def a_trained_network_is_evaluated_and_predicts(room):
    train(room, 0, "--workers", "3")
    lines = [json.loads(line) for line in (room.run / "metrics.jsonl").read_text().splitlines()]
    written = [line for line in lines if "val_loss" in line][-1]
    told = json.loads(must(0, "evaluate", room.final(), "--json").out)
    expect(told["loss"] == written["val_loss"], f"{told} after {written}")
    picture = room.folder / "picture.png"
    write_png(picture, 8, 8, bytes(range(64)))
    must(0, "predict", room.final(), picture, "--json")


@cases
def its_mistakes_are_told_like_those_of_ours(room):
    text = CONFIG.read_text().replace("run_dir: runs/prelu", f"run_dir: {room.run}")
    for wrong, says in [
        ("{prelu: {slopes: 0}}", "prelu.slopes: expected a whole number, 1 to 1000000; found '0'"),
        ("{prelu: {slope: 8, slopes: 8}}", "prelu: unknown attribute 'slope'; did you mean 'slopes'?"),
        ("{prelu: {slopes: 8, start: high}}", "prelu.start: expected a number, 0 to 1; found 'high'"),
        ("prelu", "prelu: 'slopes' is missing"),
        ("{perlu: {slopes: 8}}", "unknown key 'perlu'; did you mean 'prelu'?"),
        ("{prelu: {slopes: 3}}",
         "layer 'prelu1' (prelu): 3 slopes do not divide the 8 channels of its input 4x4x8"),
    ]:
        room.config.write_text(text.replace("{prelu: {slopes: 8}}", wrong))
        for workers in (None, 2):
            told = must(USAGE, "train", room.config, workers=workers)
            expect(len(told.lines_with(says)) == 1, f"does not say once '{says}':\n{told.err}")
            in_file = "slopes: 3" in wrong or f"{room.config}:6:" in told.err
            expect(in_file, f"does not name the line:\n{told.err}")
        expect(not room.run.exists(), f"left {room.run}")


@cases
def its_keys_are_in_the_manual(_room):
    told = must(0, "config", "--keys").out
    expect("| `prelu` | | | | | negative values become smaller by a learned factor |" in told, told)
    expect("| | `start` | number | 0 to 1 | `0.25` | what they start as |" in told, told)


@cases
def its_help_has_its_name(room):
    helps = [must(0, *command, "--help").out for command in [[], ["train"], ["bench"], ["bench", "step"], ["config"]]]
    wrong = [must(USAGE, *command).err for command in [["tarin"], ["train"], ["bench", "allreduce"], ["train", "--overwriet", room.config]]]
    for text in helps + wrong:
        expect("my_lockstep " in text, f"does not have its name:\n{text}")
        ours = re.findall(r"(?<!my_)lockstep [a-z-]+", text)
        expect(not ours, f"tells to call {ours}:\n{text}")


@cases
def export_says_that_it_cannot(room):
    train(room, 0)
    file = room.folder / "network.onnx"
    told = must(USAGE, "export", room.final(), "--onnx", file)
    expect("layer 'prelu1' (prelu) cannot be exported" in told.err, told.err)
    left = [entry.name for entry in room.folder.iterdir() if "onnx" in entry.name]
    expect(not left, f"left {left}")


@cases
def a_program_without_the_layer_says_what_it_lacks(room):
    train(room, 0)
    binary.LOCKSTEP = THEIRS
    for command in (["evaluate", room.final()], ["train", CONFIG, "--set", f"run_dir={room.run}", "--resume"]):
        told = run(*command)
        expect(told.code in (USAGE, DATA), f"code {told.code} from {told.command}\n{told.err}")
        expect("'prelu'" in told.err, told.err)
    binary.LOCKSTEP = MINE


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
