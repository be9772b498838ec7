#!/usr/bin/python3
"""Table, plots and page of scripts/study_running_stats.sh, from the runs that it trained.

  running_stats.py OUT    reads OUT/runs and OUT/cost.jsonl; writes OUT/table.csv, OUT/*.png and OUT/README.md
"""

import csv
import json
import pathlib
import statistics
import string
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

HERE = pathlib.Path(__file__).parent
MODELS = ["cnn", "resnet20"]
ENTRIES = ["batch", "ema:0.5", "ema:0.1", "ema:0.01", "ema:0.001", "cumulative", "precise"]
TEST_MODE = ENTRIES[1:]
SHARDS = [2, 8, 32]
CLOSE = 0.005  # of accuracy: test mode has met training mode where it is no more below it
COLUMNS = ["part", "model", "seed", "shard_samples", "sync", "step", "epoch", "statistics",
           "val_accuracy", "val_loss", "mean_error", "variance_error", "drift_mean", "drift_variance"]


# Reading what lockstep wrote

def evaluations(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "val_accuracy" in line]


def tensors(file):
    """A safetensors file's fp32 tensors by name."""
    contents = file.read_bytes()
    length = int.from_bytes(contents[:8], "little")
    header = json.loads(contents[8:8 + length])
    found = {}
    for name, it in header.items():
        if name != "__metadata__" and it["dtype"] == "F32":
            begin, end = (8 + length + offset for offset in it["data_offsets"])
            found[name] = np.frombuffer(contents[begin:end], np.float32).astype(np.float64)
    return found


def running(file, entries):
    """Mean and variance of every channel of every batch_norm, one after the other, for each entry."""
    all_tensors = tensors(file)
    first, result = entries[0], {}
    for entry in entries:
        prefix = "" if entry == first else f"stats.{entry}."
        names = sorted(name for name in all_tensors if name.endswith(".running_mean")
                       and name.startswith("stats.") == bool(prefix) and name.startswith(prefix))
        result[entry] = [np.concatenate([all_tensors[name.replace("running_mean", what)] for name in names])
                         for what in ("running_mean", "running_var")]
    return result


def distance(a, b):
    """How far statistics a are from b, a mean over channels: of means, in b's deviations; of variances, the size of the log ratio."""
    return (np.mean(np.abs(a[0] - b[0]) / np.sqrt(b[1] + 1e-5)),
            np.mean(np.abs(np.log((a[1] + 1e-5) / (b[1] + 1e-5)))))


# From runs to rows

def watched_rows(out):
    rows = []
    for model in MODELS:
        for run in sorted((out / "runs/watched").glob(f"{model}-*")):
            if not run.is_dir():
                continue
            kept = ["ema:0.1", "ema:0.5", "ema:0.01", "ema:0.001", "cumulative", "precise"]
            before = None
            for line in evaluations(run):
                stats = running(run / f"checkpoints/step-{line['step']:08d}.safetensors", kept)
                drift = (None, None)
                if before:
                    steps = line["step"] - before[0]
                    drift = [value / steps for value in distance(before[1], stats["precise"])]
                before = (line["step"], stats["precise"])
                for entry in ENTRIES:
                    error = distance(stats[entry], stats["precise"]) if entry in stats else (None, None)
                    rows.append(dict(part="watched", model=model, seed=int(run.name.split("-")[1]),
                                     shard_samples=32, sync="global", step=line["step"], epoch=line["epoch"],
                                     statistics=entry, val_accuracy=line[f"val_accuracy.{entry}"],
                                     val_loss=line[f"val_loss.{entry}"], mean_error=error[0],
                                     variance_error=error[1], drift_mean=drift[0], drift_variance=drift[1]))
    return rows


def shard_rows(out):
    rows = []
    for run in sorted((out / "runs/shards").iterdir()):
        if not run.is_dir():
            continue
        model, samples, sync, seed = run.name.split("-")
        line = evaluations(run)[-1]
        for entry in ["batch", "ema", "precise"]:
            rows.append(dict(part="shards", model=model, seed=int(seed), shard_samples=int(samples), sync=sync,
                             step=line["step"], epoch=line["epoch"], statistics=entry,
                             val_accuracy=line[f"val_accuracy.{entry}"], val_loss=line[f"val_loss.{entry}"]))
    return rows


def pick(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def points(values):
    """Median and range over seeds of fractions, in percent."""
    return f"{100 * statistics.median(values):.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"


# Tables of the page

def markdown(header, lines):
    table = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(table + ["| " + " | ".join(map(str, line)) + " |" for line in lines])


def steps_of(rows, model):
    return sorted({row["step"] for row in pick(rows, part="watched", model=model)})


def seeds_of(rows):
    return sorted({row["seed"] for row in rows})


def accuracy_table(rows, model):
    steps = steps_of(rows, model)
    early = [step for step in steps if step in (4, 20, 60, 180, 200)]
    shown = early + [step for step in steps if step > 200]
    lines = []
    for entry in ENTRIES:
        name = "the batch's own (training mode)" if entry == "batch" else f"`{entry}`"
        lines.append([name] + [points([row["val_accuracy"] for row in
                                       pick(rows, part="watched", model=model, step=step, statistics=entry)])
                               for step in shown])
    return markdown(["statistics"] + [f"step {step}" for step in shown], lines)


def meeting_step(rows, model, seed, entry):
    """The first watched step from which on test mode is never CLOSE below training mode; None: there is none."""
    met = None
    for step in reversed(steps_of(rows, model)):
        here = {row["statistics"]: row["val_accuracy"]
                for row in pick(rows, part="watched", model=model, seed=seed, step=step)}
        if here["batch"] - here[entry] > CLOSE:
            break
        met = step
    return met


def meeting_table(rows):
    lines = []
    for entry in TEST_MODE:
        cells = []
        for model in MODELS:
            met = [meeting_step(rows, model, seed, entry) for seed in seeds_of(rows)]
            cells.append(", ".join("never" if step is None else str(step) for step in met))
        lines.append([f"`{entry}`"] + cells)
    return markdown(["statistics"] + [f"{model}: step, for each seed" for model in MODELS], lines)


def error_table(rows):
    """How far each entry's statistics are from those of the same weights."""
    lines = []
    for entry in TEST_MODE[:-1]:
        cells = []
        for model in MODELS:
            steps = steps_of(rows, model)
            for step in (20, steps[-1]):
                here = pick(rows, part="watched", model=model, step=step, statistics=entry)
                cells.append(f"{statistics.median(row['mean_error'] for row in here):.3f}, "
                             f"{statistics.median(row['variance_error'] for row in here):.3f}")
        lines.append([f"`{entry}`"] + cells)
    header = [f"{model}, step {step}" for model in MODELS for step in (20, steps_of(rows, model)[-1])]
    return markdown(["statistics"] + header, lines)


def drift_table(rows):
    lines = []
    for model in MODELS:
        for step in steps_of(rows, model)[1:]:
            here = pick(rows, part="watched", model=model, step=step, statistics="precise")
            lines.append([model, step] + [f"{statistics.median(row[key] for row in here):.5f}"
                                          for key in ("drift_mean", "drift_variance")])
    return markdown(["model", "up to step", "means, deviations a step", "variances, log ratio a step"], lines)


def shard_table(rows, model):
    lines = []
    for samples in SHARDS:
        for sync in ("global", "local"):
            here = pick(rows, part="shards", model=model, shard_samples=samples, sync=sync)
            lines.append([samples, sync] + [points([row["val_accuracy"] for row in pick(here, statistics=entry)])
                                            for entry in ("batch", "ema", "precise")])
    return markdown(["samples a shard", "sync", "training mode", "`ema`", "`precise`"], lines)


def cost_table(out):
    found = {}
    for line in (out / "cost.jsonl").read_text().splitlines():
        it = json.loads(line)
        found.setdefault((it["model"], it["stats"]), []).append(it["step"]["images_per_s"])
    lines = []
    for (model, stats), speeds in found.items():
        ratios = [base / speed for speed, base in zip(speeds, found[(model, "[ema]")])]
        lines.append([model, f"`{stats}`", f"{256e3 / statistics.median(speeds):.1f} ms",
                      f"{statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"])
    return markdown(["model", "`running_stats`", "a step of 256", "against `[ema]`, in turn"], lines)


def precise_table(out):
    lines = []
    for model in MODELS:
        seconds, size = [], 0
        for run in sorted((out / "runs/watched").glob(f"{model}-*")):
            if run.is_dir():
                seconds += [line["precise_seconds"] for line in evaluations(run)]
                mean, variance = running(run / "final.safetensors", ["ema:0.1"])["ema:0.1"]
                size = 4 * (len(mean) + len(variance))
        lines.append([model, f"{size / 1024:.1f} KiB",
                      f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"])
    return markdown(["model", "memory of an entry", "making `precise` once, from 8 batches of 256"], lines)


def quoted(rows):
    """Single accuracies that the page's text quotes, medians over seeds in percent."""
    def percent(**wanted):
        return f"{100 * statistics.median(row['val_accuracy'] for row in pick(rows, **wanted)):.1f}"

    figures = {}
    for model in MODELS:
        first_epoch = [step for step in steps_of(rows, model) if step <= 200][-1]
        for moment, step in [("mid", first_epoch), ("end", steps_of(rows, model)[-1])]:
            for entry in ["batch", "ema:0.1", "cumulative"]:
                figures[f"{moment}_{entry.split(':')[0]}_{model}"] = percent(part="watched", model=model, step=step,
                                                                             statistics=entry)
        figures[f"mid_step_{model}"] = first_epoch
        for sync in ["global", "local"]:
            figures[f"shard_{sync}_2_{model}"] = percent(part="shards", model=model, sync=sync, shard_samples=2,
                                                         statistics="precise")
            for samples in [2, 8]:
                figures[f"ema_{sync}_{samples}"] = percent(part="shards", model="resnet20", sync=sync,
                                                           shard_samples=samples, statistics="ema")
    watched = {(row["model"], row["seed"], row["step"], row["statistics"]): row["val_accuracy"]
               for row in pick(rows, part="watched")}
    behind = [watched[*key[:3], "batch"] - accuracy for key, accuracy in watched.items() if key[3] == "precise"]
    figures["worst_precise"] = f"{100 * max(behind):.1f}"
    at_40 = {entry: statistics.median(row["val_accuracy"] for row in pick(rows, part="watched", model="resnet20",
                                                                          step=40, statistics=entry))
             for entry in ["ema:0.5", "ema:0.1"]}
    figures["fast_gain_resnet20"] = f"{100 * (at_40['ema:0.5'] - at_40['ema:0.1']):.0f}"
    return figures


# Plots

def plot(name, draw, columns=2):
    figure, axes = plt.subplots(1, columns, figsize=(6 * columns, 4.2), constrained_layout=True)
    draw(axes)
    figure.savefig(name, dpi=110)
    plt.close(figure)


def over_steps(axis, rows, model, entry, key, label=None, **style):
    steps = [step for step in steps_of(rows, model)]
    values = [[row[key] for row in pick(rows, part="watched", model=model, step=step, statistics=entry)
               if row[key] is not None] for step in steps]
    shown = [(step, value) for step, value in zip(steps, values) if value]
    axis.plot([step for step, _ in shown], [statistics.median(value) for _, value in shown], label=label or entry,
              **style)
    axis.fill_between([step for step, _ in shown], [min(value) for _, value in shown],
                      [max(value) for _, value in shown], alpha=0.15, color=style.get("color"))
    axis.set(xscale="log", xlabel="step", title=model)


def draw_all(out, rows):
    colours = dict(zip(ENTRIES, ["black", "tab:cyan", "tab:blue", "tab:purple", "tab:red", "tab:orange", "tab:green"]))

    def accuracy(axes):
        for axis, model in zip(axes, MODELS):
            for entry in ENTRIES:
                over_steps(axis, rows, model, entry, "val_accuracy", color=colours[entry],
                           linestyle="--" if entry == "batch" else "-")
            axis.set(ylabel="accuracy on the validation split")
        axes[0].legend()

    def error(axes):
        for axis, model in zip(axes, MODELS):
            for entry in TEST_MODE[:-1]:
                over_steps(axis, rows, model, entry, "mean_error", color=colours[entry])
            axis.set(yscale="log", ylabel="error of the means, in deviations")
        axes[0].legend()

    def drift(axes):
        for axis, model in zip(axes, MODELS):
            over_steps(axis, rows, model, "precise", "drift_mean", "means, deviations", color="tab:blue")
            over_steps(axis, rows, model, "precise", "drift_variance", "variances, log ratio", color="tab:orange")
            axis.set(yscale="log", ylabel="drift of the statistics, a step")
        axes[0].legend()

    def shards(axes):
        for axis, model in zip(axes, MODELS):
            for sync, entry, style in [("global", "ema", "o-"), ("global", "precise", "o--"), ("local", "ema", "s-"),
                                       ("local", "precise", "s--"), ("local", "batch", "s:")]:
                values = [[row["val_accuracy"] for row in pick(rows, part="shards", model=model, sync=sync,
                                                               shard_samples=samples, statistics=entry)]
                          for samples in SHARDS]
                middle = [statistics.median(value) for value in values]
                axis.errorbar(SHARDS, middle, [[m - min(v) for m, v in zip(middle, values)],
                                               [max(v) - m for m, v in zip(middle, values)]],
                              fmt=style, capsize=3, label=f"{sync}, {entry}")
            axis.set(xscale="log", xlabel="samples a shard", ylabel="accuracy on the validation split", title=model)
            axis.set_xticks(SHARDS, SHARDS)
        axes[0].legend()

    for name, draw in [("accuracy", accuracy), ("error", error), ("drift", drift), ("shards", shards)]:
        plot(out / f"{name}.png", draw)


def main():
    out = pathlib.Path(sys.argv[1])
    rows = watched_rows(out) + shard_rows(out)
    with open(out / "table.csv", "w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS)
        table.writeheader()
        table.writerows(rows)
    draw_all(out, rows)

    figures = {f"accuracy_{model}": accuracy_table(rows, model) for model in MODELS}
    figures |= {f"shards_{model}": shard_table(rows, model) for model in MODELS}
    figures |= quoted(rows)
    figures |= dict(meeting=meeting_table(rows), error=error_table(rows), drift=drift_table(rows),
                    cost=cost_table(out), precise=precise_table(out), close=f"{100 * CLOSE:g}",
                    seeds=len(seeds_of(rows)))
    page = string.Template((HERE / "running_stats.md.in").read_text()).substitute(figures)
    (out / "README.md").write_text(page)
    print(page)


if __name__ == "__main__":
    main()
