#!/usr/bin/env python3
"""TensorBoard's own reader on the events of a run: whole, interrupted, resumed, and watched all the while.

  tensorboard_events.py LOCKSTEP_BINARY
"""
import json
import sys
import tempfile
from pathlib import Path

import pypi
from checks import expect, finish, train

try:
    import numpy as np
    from safetensors.numpy import load_file
    from tensorboard.backend.event_processing.event_accumulator import STORE_EVERYTHING_SIZE_GUIDANCE, EventAccumulator
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator as OfPlugins
except ImportError as error:
    pypi.not_there(error)

STEPS, EVERY, SAVED = 8, 2, 4  # steps; between evaluations and checkpoints; done when it goes on
SETTINGS = [f"schedule.steps={STEPS}", f"evaluation.every_steps={EVERY}", f"checkpoint.every_steps={EVERY}",
            "checkpoint.keep=8", "normalization.running_stats=[ema, cumulative]"]


def readers(run):
    """That which other programs use, and the one behind what TensorBoard shows."""
    return EventAccumulator(str(run), size_guidance=STORE_EVERYTHING_SIZE_GUIDANCE), OfPlugins(str(run))


def files(run):
    return sorted(run.glob("events.*"))


def metrics(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def check_scalars(events, run, what):
    """Every number of metrics.jsonl, at its step, and nothing else."""
    lines = metrics(run)
    told = {}
    for line in lines:
        for key, value in line.items():
            if key not in ("step", "epoch"):
                told.setdefault(key, []).append((line["step"], np.float32(value)))
    scalars = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    expect({"loss", "accuracy", "lr", "images_per_s", "val_loss", "val_accuracy.cumulative"} <= set(told), "metrics")
    expect(sorted(scalars) == sorted(told), f"{what}: scalars {sorted(scalars)}")
    for key in told:
        expect(scalars.get(key) == told[key], f"{what}: {key} at steps {[step for step, _ in scalars.get(key, [])]}")
    expect([step for step, _ in scalars["loss"]] == list(range(1, STEPS + 1)), f"{what}: neither gap nor repeat")


def check_histograms(events, run, what):
    """Each checkpoint has the statistics of the evaluation before it."""
    tags = set(events.Tags()["histograms"])
    for step in range(EVERY, STEPS + 1, EVERY):
        saved = {name: tensor for name, tensor in load_file(run / "checkpoints" / f"step-{step:08}.safetensors").items()
                 if name.endswith((".running_mean", ".running_var"))}
        expect(tags == set(saved) and any(tag.startswith("stats.cumulative.") for tag in tags), f"{what}: {sorted(tags)}")
        for tag, values in saved.items():
            [it] = [event.histogram_value for event in events.Histograms(tag) if event.step == step]
            edges = [it.min, *it.bucket_limit]
            inside = np.histogram(values.astype(np.float64), [it.min, *it.bucket_limit[:-1], it.max])[0]
            same = (it.min == values.min() and it.max == values.max() and it.num == values.size
                    and np.isclose(it.sum, values.sum(dtype=np.float64))
                    and np.isclose(it.sum_squares, np.square(values.astype(np.float64)).sum())
                    and sorted(edges) == edges and sum(it.bucket) == values.size
                    and np.abs(np.cumsum(inside) - np.cumsum(it.bucket)).max() <= 1)  # a value on an edge
            expect(same, f"{what}: {tag} at step {step}")


def check_config(events, run, what, steps):
    told = [(event.step, event.tensor_proto.string_val[0].decode()) for event in events.Tensors("config")]
    text = f"```\n{(run / 'config.yaml').read_text()}```\n"
    expect(told == [(step, text) for step in steps], f"{what}: the configuration at steps {[step for step, _ in told]}")


def check_plugins(events, what):
    """What TensorBoard shows goes by the plugins' names."""
    shown = {plugin: len(events.PluginTagToContent(plugin)) for plugin in ("scalars", "histograms", "text")}
    expect(shown["scalars"] >= 6 and shown["histograms"] >= 4 and shown["text"] == 1, f"{what}: by plugin {shown}")


def interrupt(run, torn):
    """As if it had been killed while it wrote, and nothing newer than a checkpoint of step SAVED were there."""
    (run / "final.safetensors").unlink()
    (run / "checkpoints" / "latest").unlink()
    for file in (run / "checkpoints").glob("step-*.safetensors"):
        if int(file.stem[5:]) > SAVED:
            file.unlink()
    if torn:
        newest = files(run)[-1]
        newest.write_bytes(newest.read_bytes()[:-7])


def main():
    [lockstep] = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        run = Path(name) / "run"
        start = lambda *how: train(lockstep, run, SETTINGS, "--workers", "2", *how)

        def check(readers, what, config_steps):
            old, new = readers
            old.Reload()
            new.Reload()
            check_scalars(old, run, what)
            check_histograms(old, run, what)
            check_plugins(new, what)
            check_config(new, run, what, config_steps)

        start()
        watched = readers(run)
        check(watched, "whole", [1])
        expect(next(iter(LegacyEventFileLoader(str(files(run)[0])).Load())).file_version == "brain.Event:2", "version")
        for torn in (False, True, True):
            interrupt(run, torn)
            start("--resume")
            what = f"resumed, {'torn' if torn else 'as it was'}"
            check(readers(run), what, [1, SAVED + 1])
            check(watched, f"{what}, watched", [1, SAVED + 1])
        expect(len(files(run)) == 4, f"{len(files(run))} files")
        start("--overwrite")
        check(readers(run), "overwritten", [1])
        expect(len(files(run)) == 1, "an old file was left")
    finish()


main()
