#!/usr/bin/env python3
"""scripts/plot_run.py on runs of lockstep, and on what is no run: the pictures that it writes, and its messages.

  plots.py LOCKSTEP_BINARY
"""
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path

import numpy as np
from checks import expect, finish, train
from PIL import Image

PLOT = Path(__file__).resolve().parents[2] / "scripts" / "plot_run.py"
sys.path.insert(0, str(PLOT.parent))
import plot_run  # noqa: E402  (a script, not a package)

SETTINGS = ["schedule.steps=12", "schedule.warmup_epochs=1", "evaluation.every_steps=4"]


def plot(*arguments, cwd=None):
    return subprocess.run([sys.executable, PLOT, *arguments], text=True, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def colours(png):
    """The colours of a picture that are no gray, and how many pixels have each."""
    pixels = np.asarray(Image.open(png).convert("RGB")).reshape(-1, 3)
    values, counts = np.unique(pixels, axis=0, return_counts=True)
    return {"#%02X%02X%02X" % tuple(value): count for value, count in zip(values, counts) if len(set(value)) > 1}


def texts(svg):
    """What stands in an SVG, which matplotlib draws as outlines with the text in a comment before them."""
    xml.parse(svg)
    return set(re.findall(r"<!-- (.*?) -->", svg.read_text()))


def check_pictures(told, name, runs, legend):
    expect(told.returncode == 0, f"{name.name}: code {told.returncode}: {told.stderr}")
    expect(told.stdout.split() == [f"{name}.png", f"{name}.svg"], f"says what it wrote: {told.stdout}")
    found = colours(f"{name}.png")
    for colour in ["#0072B2", "#D55E00"][:runs]:
        expect(found.get(colour, 0) > 500, f"{name.name}: {found.get(colour, 0)} pixels of {colour}")
    for colour in ["#0072B2", "#D55E00"][runs:]:
        expect(colour not in found, f"{name.name}: no pixel of {colour}")
    wanted = {"loss", "accuracy", "learning rate", "images/s", "step", "training", "evaluation", *legend}
    said = texts(Path(f"{name}.svg"))
    expect(wanted <= said, f"{name.name}: reads {sorted(wanted - said) or 'all of it'}")


def check_runs(lockstep, folder):
    small, large = folder / "small", folder / "large"
    train(lockstep, small, SETTINGS)
    train(lockstep, large, [*SETTINGS, "optimizer.lr=0.2"])
    check_pictures(plot(small), small / "plot", 1, ["small"])
    check_pictures(plot(small, large / "metrics.jsonl", "--output", folder / "both"), folder / "both", 2, ["small"])
    first = (folder / "both.svg").read_bytes(), (folder / "both.png").read_bytes()
    plot(small, large / "metrics.jsonl", "--output", folder / "both")
    expect(first == ((folder / "both.svg").read_bytes(), (folder / "both.png").read_bytes()), "drawn again, to the byte")
    told = plot("small", "large", cwd=folder)
    expect(told.stdout.split() == ["plot.png", "plot.svg"] and (folder / "plot.png").exists(), "several, into this folder")
    expect({"small", "large"} <= texts(folder / "plot.svg"), "names both runs")


def check_names(folder):
    """Runs of one name are told apart by their folders."""
    for name in ("a/run", "b/run"):
        (folder / name).mkdir(parents=True)
        (folder / name / "metrics.jsonl").write_text('{"step":1,"loss":2}\n{"step":2,"skipped":1}\n{"step":3,"loss":null}\n')
    told = plot(folder / "a/run", folder / "b/run", "--output", folder / "named")
    expect(told.returncode == 0 and {"a/run", "b/run", "step undone"} <= texts(folder / "named.svg"), f"named {told.stderr}")
    expect("evaluation" not in texts(folder / "named.svg"), "speaks of no evaluation where there is none")


def check_torn(folder):
    run = folder / "torn"
    run.mkdir()
    (run / "metrics.jsonl").write_text('{"step":1,"loss":2}\n{"step":2,"lo')
    expect(plot_run.read(run)["loss"] == ([1], [2]), "a line that is being written is passed over")


def refusal(run):
    try:
        plot_run.read(run)
        return "none"
    except plot_run.Broken as broken:
        return str(broken)


def check_messages(folder):
    cases = {
        "not there": (None, "metrics.jsonl is not there"),
        "empty": ("", "tells nothing yet"),
        "of a run that did nothing": ('{"step":1,"skipped":1}\n', "tells nothing yet"),
        "broken": ('{"step":1,"loss":2}\n{"step":2,"loss\n{"step":3,"loss":1}\n', "metrics.jsonl:2: no line of JSON"),
        "something else": ('[1, 2]\n', "metrics.jsonl:1: not a line of metrics"),
        "without steps": ('{"step":1,"loss":2}\n{"loss":2}\n', "metrics.jsonl:2: not a line of metrics"),
        "with a word": ('{"step":1,"loss":"low"}\n', "metrics.jsonl:1: loss is no number: 'low'"),
    }
    for number, (name, (text, message)) in enumerate(cases.items()):
        run = folder / f"bad{number}"
        run.mkdir()
        if text is not None:
            (run / "metrics.jsonl").write_text(text)
        told = refusal(run)
        expect(message in told and "\n" not in told, f"a file {name}: {told}")
    run = folder / "bad_bytes"
    run.mkdir()
    (run / "metrics.jsonl").write_bytes(b'{"step":1,"loss":2}\n\xff\n')
    expect("cannot be read" in refusal(run), "bytes that are no text")
    told = plot(run)
    expect(told.returncode == 1 and told.stderr.startswith(f"plot_run.py: {run}"), f"ends with the message: {told.stderr}")
    expect(len(told.stderr.splitlines()) == 1 and not list(run.glob("plot.*")), "and draws nothing")
    told = plot(folder / "torn", "--output", folder / "nowhere" / "x")
    expect(told.returncode == 1 and "cannot be written" in told.stderr, f"a folder that is not there: {told.stderr}")


def main():
    [lockstep] = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_runs(lockstep, folder)
        check_names(folder)
        check_torn(folder)
        check_messages(folder)
    finish()


main()
