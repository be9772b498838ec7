#!/usr/bin/python3
"""Draws loss, accuracy, learning rate and throughput of one or several runs, from their metrics.jsonl.

  scripts/plot_run.py RUN... [--output NAME]

writes NAME.png and NAME.svg; by default RUN/plot of a single run, plot in this folder of several.
"""

import argparse
import json
import os
import sys
from pathlib import Path

try:
    import matplotlib
except ImportError:
    sys.exit("plot_run.py: needs matplotlib for /usr/bin/python3: apt install python3-matplotlib")

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (after the choice of what it draws with)
from matplotlib.lines import Line2D  # noqa: E402
from matplotlib.ticker import EngFormatter, MaxNLocator, PercentFormatter  # noqa: E402

# Okabe and Ito's colours, which all eyes can tell apart.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
DASHES = ["-", (0, (5, 2)), (0, (1, 1.5))]  # of more runs than colours
SMOOTHED_FROM = 60  # points of a line, above which its trend is drawn over it
NUMBERS = ["step", "loss", "accuracy", "lr", "images_per_s", "val_loss", "val_accuracy", "skipped"]


class Broken(Exception):
    """What is wrong with a run's file."""


def lines_of(file):
    """The lines of a metrics.jsonl. A last one without its end is left: the run is writing it, or was killed there."""
    text = file.read_text()
    for number, line in enumerate(text[: text.rfind("\n") + 1].splitlines(), 1):
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise Broken(f"{file}:{number}: no line of JSON: {error}") from None
        if not isinstance(entry, dict) or not is_number(entry.get("step")):
            raise Broken(f"{file}:{number}: not a line of metrics, which is an object with a step")
        for key in NUMBERS:
            if entry.get(key) is not None and not is_number(entry[key]):
                raise Broken(f"{file}:{number}: {key} is no number: {entry[key]!r}")
        yield entry


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read(run):
    """By key, the steps and the values of a run. What was not finite is a gap."""
    file = run / "metrics.jsonl" if run.is_dir() else run
    if not file.exists():
        raise Broken(f"{file} is not there; a run directory that `lockstep train` wrote has one")
    try:
        lines = list(lines_of(file))
    except (OSError, UnicodeDecodeError) as error:
        raise Broken(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from None
    series = {key: ([], []) for key in NUMBERS}
    for line in lines:
        for key, (steps, values) in series.items():
            if key in line:
                steps.append(line["step"])
                values.append(float("nan") if line[key] is None else line[key])
    if not series["loss"][0] and not series["val_loss"][0]:
        raise Broken(f"{file} tells nothing yet: neither of training nor of an evaluation")
    return series


def names_of(runs):
    """What tells runs apart: the ends of their paths, without what all of them share behind it."""
    paths = [Path(os.path.abspath(run)) for run in runs]
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        names = ["/".join(path.parts[-parts:]) for path in paths]
        if len(set(names)) == len(set(paths)):
            break
    return names


def smoothed(values):
    """Means over a window around each point, a fiftieth of all."""
    half = max(1, len(values) // 100)
    means = []
    for i in range(len(values)):
        window = [value for value in values[max(0, i - half) : i + half + 1] if value == value]
        means.append(sum(window) / len(window) if window else float("nan"))
    return means


def draw_training(panel, steps, values, style):
    if len(values) < SMOOTHED_FROM:
        panel.plot(steps, values, linewidth=1.4, **style)
        return
    panel.plot(steps, values, linewidth=0.7, alpha=0.3, **style)
    panel.plot(steps, smoothed(values), linewidth=1.6, **style)


def draw_evaluations(panel, steps, values, style):
    panel.plot(steps, values, linewidth=0.9, marker="o", markersize=4, markeredgecolor="white", markeredgewidth=0.6,
               zorder=3, **style)


def draw(runs, series):
    figure, grid = pyplot.subplots(2, 2, figsize=(11, 7), sharex=True, layout="constrained")
    loss, accuracy, rate, speed = grid.flat
    for number, it in enumerate(series):
        style = {"color": COLOURS[number % len(COLOURS)], "linestyle": DASHES[number // len(COLOURS) % len(DASHES)]}
        draw_training(loss, *it["loss"], style)
        draw_training(accuracy, *it["accuracy"], style)
        draw_training(speed, *it["images_per_s"], style)
        rate.plot(*it["lr"], linewidth=1.6, **style)
        draw_evaluations(loss, *it["val_loss"], style)
        draw_evaluations(accuracy, *it["val_accuracy"], style)
        for step in it["skipped"][0]:
            loss.axvline(step, color=style["color"], linewidth=0.8, linestyle=":", alpha=0.7)
    for panel, title in [(loss, "loss"), (accuracy, "accuracy"), (rate, "learning rate"), (speed, "images/s")]:
        panel.set_title(title, loc="left", fontsize=10, fontweight="bold")
        panel.grid(True, color="#e6e6e6", linewidth=0.7)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    speed.yaxis.set_major_formatter(EngFormatter(sep=""))
    speed.set_ylim(bottom=0)
    rate.set_ylim(bottom=0)
    for panel in (rate, speed):
        panel.set_xlabel("step")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    add_legends(figure, loss, accuracy, runs, series)
    return figure


def add_legends(figure, loss, accuracy, runs, series):
    names = names_of(runs)
    if len(runs) == 1:
        figure.suptitle(names[0], fontsize=12)
    else:
        handles = [Line2D([], [], color=COLOURS[i % len(COLOURS)], linestyle=DASHES[i // len(COLOURS) % len(DASHES)],
                          linewidth=2) for i in range(len(runs))]
        accuracy.legend(handles, names, frameon=False, fontsize=8, loc="lower right")
    kinds = [("training", Line2D([], [], color="#555555", linewidth=1.6))]
    if any(it["val_loss"][0] for it in series):
        kinds.append(("evaluation", Line2D([], [], color="#555555", linewidth=0.9, marker="o", markersize=4)))
    if any(it["skipped"][0] for it in series):
        kinds.append(("step undone", Line2D([], [], color="#555555", linewidth=0.8, linestyle=":")))
    loss.legend([handle for _, handle in kinds], [name for name, _ in kinds], frameon=False, fontsize=8,
                loc="upper right")


def save(figure, name):
    # Equal runs give equal files: nothing of the clock, nothing random.
    matplotlib.rcParams["svg.hashsalt"] = "lockstep"
    for file, metadata in [(f"{name}.png", {"Software": None}), (f"{name}.svg", {"Date": None})]:
        try:
            figure.savefig(file, dpi=150, metadata=metadata)
        except OSError as error:
            raise Broken(f"{file}: cannot be written: {error.strerror}") from None
        print(file)


def main():
    parser = argparse.ArgumentParser(description="Draws loss, accuracy, learning rate and throughput of runs.")
    parser.add_argument("run", nargs="+", type=Path, help="a run directory, or its metrics.jsonl")
    parser.add_argument("--output", type=Path, metavar="NAME", help="write NAME.png and NAME.svg")
    options = parser.parse_args()
    try:
        series = [read(run) for run in options.run]
        first = options.run[0] if options.run[0].is_dir() else options.run[0].parent
        save(draw(options.run, series), options.output or (first / "plot" if len(options.run) == 1 else Path("plot")))
    except Broken as broken:
        sys.exit(f"plot_run.py: {broken}")


if __name__ == "__main__":
    main()
