#!/usr/bin/env python3
"""What `lockstep bench` and scripts/bench_peers.sh print. Their numbers are the machine's; nobody judges them here."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

from binary import Cases, LOCKSTEP, ROOT, expect, run, skip
from data_sets import write_cifar10

PEERS = ROOT / "scripts" / "peers"
USAGE = 2

cases = Cases()


def bench(*arguments, workers=None):
    """In windows that would be too short for a judgement."""
    result = run("bench", *arguments, "--window-ms", "20", workers=workers, timeout=150)
    expect(result.code == 0, f"code {result.code} from {result.command}\n{result.err}")
    return result.out


def bench_json(*arguments, workers=None):
    told = bench(*arguments, "--json", workers=workers)
    expect(told.count("\n") == 1, f"more than one object: {told}")
    return json.loads(told)


@cases
def step_tells_a_rate(_):
    told = bench_json("step", "--model", "mlp", "--batch", "16", "--workers", "2")
    expect(0 < told["min"] <= told["images_per_s"] <= told["max"], told)
    expect((told["model"], told["batch"], told["shards"], told["workers"]) == ("mlp", 16, 8, 2), told)
    expect(0 < told["first_step_s"] < 150 and 1 < told["peak_memory_mib"] < 10000, told)


@cases
def a_window_is_as_long_as_asked(_):
    arguments = ["bench", "predict", "--model", "mlp", "--batch", "1", "--json", "--window-ms"]
    short, long = (json.loads(run(*arguments, window).out)["images_per_window"] for window in ["1", "200"])
    expect(10 * short < long, (short, long))


@cases
def step_runs_on_the_data_set(room):
    settings = ["--set", "data.dataset=cifar10", "--set", f"data.path={room.folder}/cifar10", "--set", "data.threads=2"]
    write_cifar10(room.folder / "cifar10")
    told = bench_json("step", "--data", "--model", "mlp", "--batch", "16", *settings, workers=2)
    expect(0 < told["min"] <= told["images_per_s"] <= told["max"], told)
    expect((told["images"], told["workers"]) == ("data set", 2), told)
    (room.folder / "cifar10" / "test_batch.bin").unlink()
    failed = run("bench", "step", "--data", "--model", "mlp", *settings)
    expect(failed.code == 3 and "test_batch.bin" in failed.err, failed.err)


@cases
def step_tells_a_ratio_to_another_setting(_):
    told = bench_json("step", "--model", "mlp", "--batch", "16", "--against", "batch.shards=2", workers=2)
    expect(0 < told["min"] <= told["low"] <= told["ratio"] <= told["high"] <= told["max"], told)
    expect((told["against"], told["shards"], told["workers"]) == ("batch.shards=2", 8, 2), told)
    expect(told["configured_ms"] > 0 and told["against_ms"] > 0, told)


@cases
def step_against_what_cannot_take_turns(_):
    for setting, workers, words in [
        ("batch.shard=2", 1, "batch.shards"),
        ("batch.shards=1", 2, "every worker needs a shard"),
        ("comm.backend=threads", 2, "the same communicator"),
    ]:
        told = run("bench", "step", "--model", "mlp", "--against", setting, workers=workers)
        expect(told.code == USAGE and words in told.err, f"code {told.code}: {told.err}")
    told = run("bench", "step", "--model", "mlp", "--data", "--against", "batch.shards=2")
    expect(told.code == USAGE and "--data" in told.err and "--against" in told.err, told.err)


@cases
def peak_tells_all_primitives(_):
    told = bench_json("peak", "--model", "cnn", "--batch", "17", "--set", "batch.shards=2", workers=2)
    expect(0 < told["min"] <= told["ratio"] <= told["max"], told)
    passes = ["forward", "backward_data", "backward_weight"]
    wanted = [(layer, each) for layer in ["conv1", "conv2", "fc1", "fc2"] for each in passes]
    wanted.remove(("conv1", "backward_data"))  # it reads images
    primitives = told["primitives"]
    expect([(it["layer"], it["pass"]) for it in primitives] == wanted, primitives)
    for each in passes:
        total = sum(it["ms"] for it in primitives if it["pass"] == each)
        expect(0 < total and abs(told[f"{each}_ms"] - total) < 1e-6 * total, told)


@cases
def peak_tells_a_reader(_):
    first, *lines = bench("peak", "--model", "mlp", "--batch", "16").splitlines()
    expect("times its bare primitives" in first, first)
    expect(any("fc1" in line and "backward_weight" in line for line in lines), lines)


@cases
def norm_tells_a_ratio(_):
    told = bench_json("norm", "--model", "mlp", "--batch", "18", "--set", "normalization.sync=2", workers=2)
    expect(0 < told["min"] <= told["ratio"] <= told["max"], told)
    expect(told["global_ms"] > 0 and told["local_ms"] > 0, told)
    expect((told["model"], told["batch"], told["shards"], told["workers"]) == ("mlp", 18, 8, 2), told)


@cases
def norm_tells_a_reader(_):
    told = bench("norm", "--model", "mlp", "--batch", "16", "--workers", "2")
    expect("a step with synchronized batch norm takes" in told, told)


@cases
def predict_tells_a_rate(_):
    told = bench_json("predict", "--model", "cnn", "--batch", "20")
    expect(0 < told["min"] <= told["images_per_s"] <= told["max"], told)
    expect((told["model"], told["batch"], told["threads"]) == ("cnn", 20, 1), told)
    expect(told["images_per_window"] % 20 == 0, told)


@cases
def predict_tells_a_reader(_):
    told = bench("predict", "--model", "mlp", "--batch", "1")
    expect(told.startswith("mlp on 28x28x1: ") and "predicted by one thread" in told, told)


@cases
def predict_is_for_one_worker(_):
    for words, workers in [((), 2), (("--workers", "2"), None)]:
        told = run("bench", "predict", "--model", "mlp", *words, workers=workers)
        expect(told.code == USAGE, f"code {told.code}: {told.err}")


@cases
def bf16_has_primitives_of_its_own(_):
    if "avx512bw" not in Path("/proc/cpuinfo").read_text():
        return
    arguments = ["peak", "--model", "cnn", "--batch", "16", "--set", "batch.shards=2"]
    exact, told = (bench_json(*arguments, "--set", f"precision={each}") for each in ["fp32", "bf16"])
    names = [[it["implementation"] for it in each["primitives"]] for each in [exact, told]]
    expect(all(a != b for a, b in zip(*names, strict=True)), names)


@cases
def allreduce_tells_every_size(_):
    told = bench_json("allreduce", workers=3)
    sizes = told["sizes"]
    expect([it["bytes"] for it in sizes] == [2**power for power in range(6, 25)], sizes)
    for it in sizes:
        expect(0 < it["min"] <= it["ratio"] <= it["max"] and it["tree_us"] > 0 and it["mpi_us"] > 0, it)
    worst = max(sizes, key=lambda it: it["ratio"])
    expect((told["worst"], told["worst_bytes"]) == (worst["ratio"], worst["bytes"]), told)
    mean = math.prod(it["ratio"] for it in sizes) ** (1 / len(sizes))
    expect(abs(told["geometric_mean"] - mean) < 1e-6 * mean, told)
    expect((told["workers"], told["shards"]) == (3, 8), told)


# scripts/peers


def load_compare():
    specification = importlib.util.spec_from_file_location("compare", PEERS / "compare.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


compare = load_compare()


def measured(rates):
    """In place of starting somebody: what each answers, in order. What has no answer left is not to be had."""
    answers = {name: iter(values) for name, values in rates.items()}

    def run(command):
        name = "lockstep" if "bench" in command else command[0]
        rate = next(answers[name], None)
        if rate is None:
            raise compare.Skipped(f"no {name} here")
        return {"images_per_s": rate}

    return run


def table_row(rounds=3, **rates):
    peers = {name: [name] for name in rates if name != "lockstep"}
    row = compare.Row("cnn", 64, (28, 28, 1), 10, peers)
    return compare.measure_row(row, [], rounds, lambda line: None, measured(rates))


@cases
def peers_ratios_are_those_of_a_round(_):
    row = table_row(lockstep=[10, 30, 20], one=[5, 10, 20], other=[10, 5, 5])
    one, other = (row["images_per_s"][name]["ratio"] for name in ["one", "other"])
    expect(one == {"median": 2, "min": 1, "max": 3}, one)
    expect(other == {"median": 4, "min": 1, "max": 6}, other)
    expect(row["against_fastest"] == {"median": 1, "min": 1, "max": 3}, row["against_fastest"])
    expect(row["images_per_s"]["lockstep"] == {"median": 20, "min": 10, "max": 30}, row)


@cases
def peers_memory_is_told_where_both_tell_it(_):
    def run(command):
        memory = {"peak_memory_mib": 100 if "bench" in command else 250} if command[0] != "silent" else {}
        return {"images_per_s": 1, **memory}

    row = compare.Row("cnn", 64, (28, 28, 1), 10, {"one": ["one"], "silent": ["silent"]})
    numbers = compare.measure_row(row, [], 3, lambda line: None, run)
    expect(numbers["peak_memory_mib"] == {"lockstep": 100, "one": 250}, numbers)
    told = [line for line in compare.describe("cnn-64", numbers) if "MiB" in line]
    expect(len(told) == 1 and "one" in told[0] and "0.40 x" in told[0], told)


@cases
def peers_that_are_missing_are_named(_):
    row = table_row(lockstep=[10, 30, 20], one=[5, 10, 20], other=[])
    expect(row["skipped_peers"] == {"other": "no other here"}, row)
    expect(list(row["images_per_s"]) == ["lockstep", "one"], row)
    row = table_row(lockstep=[10, 30, 20], one=[], other=[5])
    expect(row == {"skipped": "one: no one here; other: no other here"}, row)


@cases
def peers_skip_what_lockstep_cannot_do(_):
    row = table_row(lockstep=[], one=[5, 10, 20])
    expect(row == {"skipped": "lockstep: no lockstep here"}, row)


@cases
def peers_settings_are_lockstep_s(room):
    for name in ["cnn-64", "resnet20-64", "resnet20-8"]:
        command = compare.ROWS[name].ours(["plan.memory_mib=1"])
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        expect(ended.returncode == USAGE and "plan.memory_mib" in ended.stderr, f"{command}: {ended.stderr}")


@cases
def peers_say_why_a_row_is_skipped(room):
    script = [sys.executable, PEERS / "compare.py"]
    told = subprocess.run([*script, "cnn-64", "--rounds", "1", "--out", room.folder, "--set", "batch.shard=4"],
                          capture_output=True, text=True, check=False)
    row = json.loads(told.stdout)["rows"]["cnn-64"]
    expect("batch.shard" in row["skipped"], f"{row}\n{told.stderr}")
    expect(json.loads((room.folder / "peers.json").read_text())["rows"]["cnn-64"] == row, told.stderr)
    told = subprocess.run([*script, "cnn-65"], capture_output=True, text=True, check=False)
    expect(told.returncode == USAGE and "cnn-65" in told.stderr and "resnet20-64" in told.stderr, told.stderr)


@cases
def peers_on_a_gpu_are_measured_where_one_asks_for_them(room):
    expect(compare.chosen(["cnn-64", "gpu"]) == ["cnn-64", *compare.GPU_ROWS], compare.chosen(["cnn-64", "gpu"]))
    expect(compare.chosen([]) == list(compare.ROWS), compare.chosen([]))
    name = "gpu-resnet50-fp32-shards-1"
    script = [sys.executable, PEERS / "compare.py", name, "--rounds", "1", "--out", room.folder]
    told = subprocess.run(script, env={**os.environ, "LOCKSTEP_ON_GPU": LOCKSTEP, "CUDA_VISIBLE_DEVICES": ""}, capture_output=True, text=True,
                          check=False)
    row = json.loads(told.stdout)["rows"][name]
    expect("CUDA" in row["skipped"], row)
    for precision, option in [("fp32", "--batch"), ("tf32", "--tf32"), ("bf16", "--bf16")]:
        row = compare.GPU_ROWS[f"gpu-resnet50-{precision}-shards-8"]
        expect({"device=gpu", f"precision={precision}"} <= set(row.ours([])), row.ours([]))
        (peer,) = row.peers.values()
        expect({"cuda", "--sync-bn", option} <= set(peer), peer)

    def run(command):
        return {"images_per_s": 1, **({"shards": 8, "threads": 4} if "bench" in command else {"gpu": "a card", "threads": 1})}

    numbers = compare.measure_row(row, [], 1, lambda line: None, run)
    expect((numbers["shards"], numbers["threads"], numbers["gpu"]) == (8, 4, "a card"), numbers)
    told = compare.describe("gpu", numbers)[0]
    expect("a card" in told and "8 shards" in told, told)


@cases
def peers_train_with_pytorch(room):
    options = ["--model", "cnn", "--batch", "2", "--windows", "1", "--seconds", "0", "--sync-bn", "--channels-last"]
    told = subprocess.run(["/usr/bin/python3", PEERS / "torch_ddp.py", *options], capture_output=True, text=True,
                          check=False)
    expect(told.returncode == 0, told.stderr)
    report = json.loads(told.stdout)
    expect(report["images_per_s"] > 0 and report["ranks"] == 2, report)
    expect(report["version"].startswith("PyTorch"), report)


@cases
def peers_infer_with_onnx_runtime(room):
    missing = ROOT / "build" / "python.missing"
    if missing.exists():
        skip(missing.read_text().strip())
    python = ROOT / "build" / "python" / "bin" / "python"
    lockstep, *_ = compare.PredictRow("cnn", 4, (2,)).ours([])
    options = ["--lockstep", lockstep, "--model", "cnn", "--batch", "2", "--windows", "1", "--seconds", "0"]
    told = subprocess.run([python, PEERS / "onnx_runtime.py", *options], capture_output=True, text=True, check=False)
    expect(told.returncode == 0, told.stderr)
    report = json.loads(told.stdout)
    expect(report["images_per_s"] > 0 and report["batch"] == 2 and report["threads"] == 1, report)
    expect(report["version"].startswith("ONNX Runtime"), report)


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
