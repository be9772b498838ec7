#!/usr/bin/env python3
"""What one step of training costs in exchanges, counted from outside the program.

exchange_counter is loaded before MPI and counts what each worker asks of it. The same training runs with two
numbers of steps, and does all else equally often: it starts, evaluates once and saves once. So what the longer one
counts more is what its further steps cost, exactly.

The environment names the binary, with the tests built beside it: LOCKSTEP=build/release/lockstep.
"""

import collections
import dataclasses
import json
import math
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "binary"))
from binary import LOCKSTEP, MPIRUN, Cases, expect, run

BUILT = Path(LOCKSTEP).parent / "tests" / "mpi"
COUNTER = BUILT / "libmpi_exchange_counter.so"
SOME_EXCHANGES = BUILT / "mpi_some_exchanges"

FEW, MANY = 1, 3  # steps of the two runs

cases = Cases()


# Counting


def counted(workers, *command):
    """Runs a program to its end; what each rank asked of MPI: {(kind, name, destination): times}."""
    with tempfile.TemporaryDirectory(prefix="exchange_counts.") as folder:
        variables = ["-x", f"LD_PRELOAD={COUNTER}", "-x", f"EXCHANGE_COUNTS={folder}"]
        launch = [MPIRUN, "-n", str(workers), *variables, *command]
        result = subprocess.run(launch, capture_output=True, text=True, timeout=120)
        expect(result.returncode == 0, f"code {result.returncode} from {result.args}\n{result.stderr}")
        return [read_counts(Path(folder) / f"rank-{rank}.json") for rank in range(workers)]


def read_counts(file):
    rows = json.loads(file.read_text())
    return collections.Counter({(row["kind"], row["name"], row["to"]): row["count"] for row in rows})


def of_kind(kind, counts):
    return {call: times for call, times in counts.items() if call[0] == kind}


def exchanges(counts):
    """How many a worker took part in: its collectives, and what its messages make. An exchange made of messages sends
    at most one to each other worker, so there are as many as went to one of them. (Only buckets much larger than those
    here would go in several chunks.)"""
    messages = collections.Counter()
    for (_, _, destination), times in of_kind("message", counts).items():
        messages[destination] += times
    return sum(of_kind("collective", counts).values()) + max(messages.values(), default=0)


# Training


@dataclasses.dataclass
class Setting:
    sync: str
    shards: int
    bucket_mib: float
    overlap: str
    batch: int = 10


# Every pair of (workers, sync, shards, buckets, overlap) occurs.
SETTINGS = {
    1: [Setting("global", 4, 0.1, "on"), Setting("local", 5, 0.4, "off"), Setting("2", 8, 0.1, "off")],
    2: [Setting("global", 8, 0.4, "on"), Setting("local", 4, 0.1, "off"), Setting("2", 5, 0.1, "on")],
    3: [Setting("global", 5, 0.4, "off"), Setting("local", 8, 0.1, "on"), Setting("2", 4, 0.4, "on")],
    4: [Setting("global", 4, 0.4, "off"), Setting("local", 5, 0.1, "on"), Setting("2", 8, 0.4, "on"),
        Setting("global", 8, 0.1, "off", batch=6)],  # the last worker has only empty shards
}

CONFIG = """\
run_dir: {room.run}
model: {{name: resnet20}}
batch: {{global: {setting.batch}, shards: {setting.shards}}}
normalization: {{sync: {setting.sync}, running_stats: [ema, cumulative]}}
data: {{dataset: synthetic, synthetic: {{samples: 50, test_samples: 10, height: 8, width: 8}}}}
schedule: {{steps: {steps}, decay: constant}}
evaluation: {{every_steps: 1000, batch: 10}}
checkpoint: {{every_steps: 1000}}
comm: {{bucket_mib: {setting.bucket_mib}, overlap: {setting.overlap}, timeout_s: 30}}
"""


def counted_training(room, workers, setting, steps):
    room.config.write_text(CONFIG.format(room=room, setting=setting, steps=steps))
    counts = counted(workers, LOCKSTEP, "train", room.config, "--overwrite")
    metrics = [json.loads(line) for line in (room.run / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line["step"] for line in metrics if "val_loss" in line]
    saved = [file.stem for file in (room.run / "checkpoints").glob("step-*")]
    expect(evaluated == [steps], f"{steps} steps: evaluated after {evaluated}")
    expect(saved == [f"step-{steps:08}"], f"{steps} steps: saved {saved}")
    return counts


def cost_of_a_step(room, workers, setting):
    """For each rank, as `counted` has it."""
    costs = []
    runs = [counted_training(room, workers, setting, steps) for steps in (FEW, MANY)]
    for few, many in zip(*runs):
        many.subtract(few)
        uneven = {call: times for call, times in many.items() if times % (MANY - FEW)}
        expect(not uneven, f"{setting}: not the same in each of {MANY - FEW} steps: {uneven}")
        costs.append({call: times // (MANY - FEW) for call, times in many.items() if times})
    return costs


# What a step may cost


def inspect_model(room):
    """Its parameters in the order of the gradient arena, {name: elements}, and the names of its batch_norm layers."""
    result = run("inspect", room.config, "--json")
    expect(result.code == 0, f"code {result.code} from {result.command}\n{result.err}")
    tensors = {tensor["name"]: math.prod(tensor["shape"]) for tensor in json.loads(result.out)["tensors"]}
    running = re.compile(r"(.*)\.(running_mean|running_var|num_batches_tracked)")
    found = {name: running.fullmatch(name) for name in tensors}
    parameters = {name: elements for name, elements in tensors.items() if not found[name]}
    norms = {match[1] for name, match in found.items() if match and not name.startswith("stats.")}
    return parameters, norms


def count_buckets(tensors, full):
    """As comm/gradients/buckets.h says: a bucket ends with the tensor that brings it to `full` elements, the first
    already at an eighth; what is longer is cut into equal parts. Each tensor begins on 64 bytes, 16 elements."""
    buckets = elements = 0
    for tensor in tensors:
        elements += math.ceil(tensor / 16) * 16
        if elements >= (full if buckets else full // 8):
            buckets += math.ceil(elements / full)
            elements = 0
    return buckets + (elements > 0)


def bounds(room, workers, setting):
    """At most 2 exchanges a batch_norm layer whose statistics others share, 2 a bucket, and 4 more; and at least those
    without which the answer would be another one, so that a counter which misses them is seen."""
    if workers == 1:
        return 0, 4
    parameters, norms = inspect_model(room)
    expect(norms, "the model has no batch_norm layer")
    if setting.sync == "global":
        # The sums over the whole batch are these layers' gradients already.
        parameters = {name: size for name, size in parameters.items() if name.rpartition(".")[0] not in norms}
    buckets = count_buckets(parameters.values(), round(setting.bucket_mib * 2**20) // 4)
    least = buckets + (2 * len(norms) if setting.sync == "global" else 0)
    most = 2 * buckets + (2 * len(norms) if setting.sync != "local" else 0) + 4
    return least, most


def judge(room, workers, setting):
    costs = cost_of_a_step(room, workers, setting)
    least, most = bounds(room, workers, setting)
    found = max(map(exchanges, costs))
    told = "\n".join([f"{workers} workers, {setting}", *(f"rank {rank}: {cost}" for rank, cost in enumerate(costs))])
    expect(found <= most, f"{found} exchanges a step, {most} are allowed: {told}")
    expect(found >= least, f"only {found} exchanges a step were seen, it takes {least}: {told}")
    expect(not any(of_kind("set_up", cost) for cost in costs), f"a step makes communicators: {told}")
    collectives = [of_kind("collective", cost) for cost in costs]
    expect(all(each == collectives[0] for each in collectives), f"the ranks' collectives differ: {told}")
    print(f"{found} exchanges a step, {most} are allowed: {workers} workers, {setting}")


def judge_all(room, workers):
    for setting in SETTINGS[workers]:
        judge(room, workers, setting)


@cases
def one_worker(room):
    judge_all(room, 1)


@cases
def two_workers(room):
    judge_all(room, 2)


@cases
def three_workers(room):
    judge_all(room, 3)


@cases
def four_workers(room):
    judge_all(room, 4)


# The counter


@cases
def the_counter_sees_each_kind_of_call(room):
    told = counted(3, SOME_EXCHANGES)
    everybody = {
        ("set_up", "MPI_Cart_create", -1): 1,
        ("set_up", "MPI_Comm_split", -1): 1,
        ("collective", "MPI_Barrier", -1): 2,
        ("collective", "MPI_Iallgatherv", -1): 1,
        ("collective", "MPI_Neighbor_allgather", -1): 1,
        ("collective", "MPIX_Bcast_init", -1): 2,
    }
    rank_0 = {("message", "MPI_Isend", 2): 1, ("message", "MPI_Ssend_init", 1): 2}
    for rank in range(3):
        ring = {("message", "MPI_Sendrecv_replace", (rank + 1) % 3): 1}
        expected = everybody | ring | (rank_0 if rank == 0 else {})
        expect(told[rank] == expected, f"rank {rank}: {told[rank]}, expected {expected}")
    made = [exchanges(counts) for counts in told]
    expect(made == [6 + 3, 6 + 1, 6 + 1], f"exchanges {made}")


# What the program may call uncounted: it carries nothing, or is the receiving end of a message that was counted.
EXCHANGE_NOTHING = {
    "MPI_Abort", "MPI_Comm_free", "MPI_Comm_get_attr", "MPI_Comm_rank", "MPI_Comm_set_errhandler", "MPI_Comm_size",
    "MPI_Error_string", "MPI_Get_count", "MPI_Get_library_version", "MPI_Get_processor_name", "MPI_Init_thread",
    "MPI_Iprobe", "MPI_Irecv", "MPI_Recv", "MPI_Request_get_status", "MPI_Test", "MPI_Testall", "MPI_Wait",
    "MPI_Waitall", "MPI_T_cvar_get_info", "MPI_T_cvar_get_num", "MPI_T_cvar_handle_alloc", "MPI_T_cvar_handle_free",
    "MPI_T_cvar_read", "MPI_T_finalize", "MPI_T_init_thread",
}


def symbols(file, which):
    told = subprocess.run(["nm", "-D", which, file], capture_output=True, text=True, check=True)
    return {line.split()[-1].split("@")[0] for line in told.stdout.splitlines()}


@cases
def no_call_escapes_the_counter(room):
    """One-sided communication, MPI's files and its profiling interface are not counted: they may not be used."""
    of_mpi = re.compile(r"p?mpix?_.*|(ompi|opal|orte|pmix)_.*", re.IGNORECASE)
    used = {name for name in symbols(LOCKSTEP, "--undefined-only") if of_mpi.fullmatch(name)}
    escaping = used - symbols(COUNTER, "--defined-only") - EXCHANGE_NOTHING
    expect(used, "the program does not use MPI")
    expect(not escaping, f"used, but neither counted nor known to exchange nothing: {sorted(escaping)}")


@cases
def every_form_of_an_exchange_is_counted(room):
    linked = subprocess.run(["ldd", COUNTER], capture_output=True, text=True, check=True).stdout
    mpi = re.search(r"libmpi\.so\S* => (\S+)", linked)[1]
    root = "barrier|bcast|gather|scatter|alltoall|reduce|scan|send|comm_i?dup|comm_split|(cart|graph)_create"
    form = re.compile(rf"MPIX?_(?=[A-Z][a-z])\w*(?i:{root})\w*")
    forms = {name for name in symbols(mpi, "--defined-only") if form.fullmatch(name)} - {"MPI_Reduce_local"}
    uncounted = forms - symbols(COUNTER, "--defined-only")
    expect(len(forms) > 80, f"only {len(forms)} forms of exchanges found in {mpi}")
    expect(not uncounted, f"not counted: {sorted(uncounted)}")


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
