#!/usr/bin/env python3
"""`train --trace FILE`: what is in the file, and what becomes of the run."""

import collections
import json
import struct

from binary import Cases, expect, run

DATA, STOPPED = 3, 75
STEPS = 4
# Several buckets, large ones and small ones, and shards that the workers do not share evenly.
MANY = ["--set", "batch.shards=5", "--set", "comm.bucket_mib=0.1", "--set", "comm.overlap=on", "--set", "data.drop_last=true"]

cases = Cases()


def must(code, result):
    expect(result.code == code, f"code {result.code} instead of {code}: {result.command}\n{result.err}")
    return result


def tensors(file):
    data = file.read_bytes()
    return [name for name in json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]]) if name != "__metadata__"]


def nanoseconds(microseconds):
    return round(microseconds * 1000)


class Slices:
    """The slices of a trace; times in whole nanoseconds."""

    def __init__(self, file):
        self.all, self.processes, self.rows = [], {}, {}
        for event in json.loads(file.read_text())["traceEvents"]:
            if event["ph"] == "X":
                begin = nanoseconds(event["ts"])
                self.all.append(event | {"begin": begin, "end": begin + nanoseconds(event["dur"])})
            elif event["name"] == "process_name":
                self.processes[event["pid"]] = event["args"]["name"]
            elif event["name"] == "thread_name":
                self.rows[event["pid"], event["tid"]] = event["args"]["name"]

    def of(self, **wanted):
        return [it for it in self.all if all(it[key] == value for key, value in wanted.items())]


def lies_in(inner, outer):
    return outer["begin"] <= inner["begin"] and inner["end"] <= outer["end"]


def check_nesting(slices):
    """On each row a slice lies in another or beside it."""
    rows = collections.defaultdict(list)
    for it in slices.all:
        expect(it["end"] >= it["begin"] >= 0, f"ends before it begins: {it}")
        expect((it["pid"], it["tid"]) in slices.rows, f"on a row without a name: {it}")
        rows[it["pid"], it["tid"]].append(it)
    for row in rows.values():
        open_ = []
        for it in sorted(row, key=lambda it: (it["begin"], -it["end"])):
            while open_ and open_[-1]["end"] <= it["begin"]:
                open_.pop()
            expect(not open_ or it["end"] <= open_[-1]["end"], f"{it}\nhangs over {open_ and open_[-1]}")
            open_.append(it)


def check_layers(room, slices, blocks):
    """Each layer with parameters, of each step and shard, forward and backward, on the worker that has the shard."""
    layers = {name.rsplit(".", 1)[0] for name in tensors(room.final())}
    norms = {name.rsplit(".", 1)[0] for name in tensors(room.final()) if name.endswith(".running_mean")}
    expect(len(norms) >= 2 and len(layers - norms) >= 2, f"layers {layers}")
    for rank, shards in enumerate(blocks):
        evaluations = slices.of(pid=rank, name="evaluation")
        trained = [it for it in slices.of(pid=rank) if not any(lies_in(it, phase) for phase in evaluations)]
        for layer in [*layers, "loss"]:
            for way in ["forward", "backward"] if layer != "loss" else ["forward"]:
                parts = {"forward": ["moments", "normalize"], "backward": ["sums", "apply"]}[way] if layer in norms else [None]
                for part in parts:
                    found = [it["args"]["shard"] for it in trained
                             if (it["name"], it["cat"], it["args"].get("part")) == (layer, way, part)]
                    expect(sorted(found) == sorted(STEPS * shards), f"{way} {layer} {part} of rank {rank}: shards {found}")
    return norms


def check_collectives(slices, norms, workers):
    """Each worker has the same ones, and none ends on any before it began on all."""
    lanes = {name: {key for key, row in slices.rows.items() if row == name} for name in ("statistics", "scatter", "gather")}
    calls = collections.defaultdict(dict)
    for it in slices.of(cat="collective"):
        lane = next(name for name, rows in lanes.items() if (it["pid"], it["tid"]) in rows)
        calls[lane, it["args"]["sequence"], it["name"], it["args"]["part"]][it["pid"]] = it
    times = collections.Counter()
    for (lane, _, name, part), ranks in calls.items():
        if name == "trace":
            continue  # recording ends in between
        expect(sorted(ranks) == list(range(workers)), f"{name} on {lane}: ranks {sorted(ranks)}")
        if part == "all_gather":
            expect(max(it["begin"] for it in ranks.values()) <= min(it["end"] for it in ranks.values()),
                   f"{name} on {lane} ended before all had begun: {ranks}")
        times[lane, name.split(" [")[0], part] += 1
    for norm in norms:
        for what in ("moments", "gradient sums"):
            expect(times["statistics", f"{norm} {what}", "all_gather"] == STEPS, f"{norm} {what}: {times}")
    # A small bucket goes whole to everybody, and needs no gathering.
    scattered, gathered = (times[lane, "gradients", "exchange"] for lane in ("scatter", "gather"))
    told = f"{scattered} scattered, {gathered} gathered"
    expect(scattered >= gathered > STEPS and scattered % STEPS == 0 and gathered % STEPS == 0, told)


def check_phases(slices, rank):
    phases = [it["name"] for it in sorted(slices.of(pid=rank, cat="phase"), key=lambda it: it["begin"])]
    steps = [name for step in range(1, STEPS + 1) for name in (f"step {step}", f"step {step} forward", f"step {step} backward")]
    told = [name for name in phases if name in steps]
    expect(told == steps, f"rank {rank} went through {phases}")
    work = {it["name"] for it in slices.of(pid=rank, cat="work")}
    expect({"next batch", "weights", "optimizer", "evaluate a batch"} <= work, f"rank {rank} worked at {work}")


def check_run(room, file, blocks, threads):
    slices = Slices(file)
    expect(sorted(slices.processes) == list(range(len(blocks))), f"processes {slices.processes}")
    for rank, name in slices.processes.items():
        expect(name.startswith(f"rank {rank} on "), f"rank {rank} is called {name}")
        computing = sorted(row for (pid, _), row in slices.rows.items() if pid == rank and row.startswith("compute "))
        expect(computing == [f"compute {i}" for i in range(threads)], f"rank {rank} has {computing}")
        check_phases(slices, rank)
    check_nesting(slices)
    norms = check_layers(room, slices, blocks)
    check_collectives(slices, norms, len(blocks))
    expect(any(it["cat"] == "wait" for it in slices.all), "nobody waited")


@cases
def every_worker_layer_and_collective_is_there(room):
    file = room.folder / "trace.json"
    told = room.train("--trace", file, *MANY, workers=3).err
    expect(f"trace of steps 1 to {STEPS}: {file}" in told, told)
    check_run(room, file, [[0, 1], [2, 3], [4]], threads=1)


@cases
def threads_are_traced_too(room):
    file = room.folder / "trace.json"
    room.train("--trace", file, *MANY, "--workers", "2", "--set", "threads=2")
    check_run(room, file, [[0, 1, 2], [3, 4]], threads=2)


@cases
def layers_stand_alone_without_fusion(room):
    for fuse in ("true", "false"):
        file = room.folder / f"{fuse}.json"
        room.train("--trace", file, "--overwrite", "--set", f"plan.fuse={fuse}")
        relus = {it["name"] for it in Slices(file).of(cat="forward") if "relu" in it["name"]}
        expect(bool(relus) == (fuse == "false"), f"plan.fuse={fuse}: {relus}")


@cases
def a_trace_changes_no_bit(room):
    results = lambda: {name: sum_ for name, sum_ in room.snapshot().items() if name.endswith((".safetensors", "digests.jsonl"))}
    settings = [*MANY, "--set", "train.digest_every=1"]
    room.train(*settings, workers=2)
    untraced = results()
    expect(any("digests" in name for name in untraced) and len(untraced) >= 3, f"only {untraced}")
    room.train(*settings, "--overwrite", "--trace", room.run / "trace.json", workers=2)
    expect(results() == untraced, "other files than without a trace")
    expect((room.run / "trace.json").exists(), "no trace")


@cases
def a_run_that_stops_leaves_its_trace(room):
    first, second = room.folder / "first.json", room.folder / "second.json"
    told = must(STOPPED, run("train", room.config, "--trace", first, "--set", "train.stop_at_step=3", workers=2)).err
    expect("trace of steps 1 to 3" in told, told)
    room.train("--resume", "--trace", second, workers=2)
    phases = {it["name"] for it in Slices(second).of(cat="phase")}
    expect("step 4 forward" in phases and "step 3 forward" not in phases, f"phases {phases}")
    expect("checkpoint of step 3" in {it["name"] for it in Slices(first).of(cat="phase")}, "no checkpoint is seen")


@cases
def a_file_that_cannot_be_written_is_refused_before_anything_is_changed(room):
    room.train()
    before = room.snapshot()
    for file, why in [(room.data, "is a folder"), (room.config / "trace.json", "Not a directory")]:
        for workers in (None, 2):
            told = must(DATA, run("train", room.config, "--overwrite", "--trace", file, workers=workers)).err
            expect(told.count(str(file)) == 1 and why in told, told)
    expect(room.snapshot() == before, "something was changed")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
