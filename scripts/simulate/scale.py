#!/usr/bin/env python3
"""How the cost of a step's communication grows with the number of workers, simulated: see README.md here.

Prints a table, and leaves scale.json and scale.png in the folder --out. Called by scripts/simulate_scale.sh, which
builds what this runs.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLUSTERS = {"fast": "100 Gbit/s, 2 µs", "slow": "10 Gbit/s, 20 µs"}
MODELS = {"resnet50": (224, 3, 1000), "resnet20": (32, 3, 10), "cnn": (28, 1, 10)}

SETTINGS = {
    "smpi/simulate-computation": "no",  # computing is given, not measured
    "smpi/privatization": "no",         # comm/ has no variables that differ between workers
    "smpi/shared-malloc": "global",
    "smpi/shared-malloc-blocksize": 1 << 20,  # which a cache holds
    # Links as described, without the corrections that SimGrid has for the network of another cluster; no time for
    # asking whether something has come.
    "smpi/bw-factor": "0:1", "smpi/lat-factor": "0:1", "network/crosstraffic": 0,
    "network/loopback-bw": 1e15,
    "smpi/test": 0, "smpi/iprobe": 0, "smpi/wtime": 0,
    "contexts/stack-size": 512,
    # Messages that nobody waits for would stand in one list of all of them, which each that ends searches.
    "smpi/send-is-detached-thresh": 0,
    # Of what is before and between what is timed: few messages.
    "smpi/coll-selector": "ompi", "smpi/allgather": "bruck", "smpi/bcast": "binomial_tree",
}


# Recursive doubling, and recursive halving and doubling: one suits short vectors, one long ones. (The rings suit
# long ones too, where workers are few; of a thousand each would send thousands of messages.)
ALLREDUCES = ["rdb", "rab_rdb"]


def run_workers(build, cluster, workers, mode, plan, bucket_bytes, compute_s=0, **settings):
    """What rank 0 of the simulated job answers."""
    with tempfile.NamedTemporaryFile("w", prefix="hosts.") as hosts:
        hosts.write("".join(f"node-{node}\n" for node in range(workers)))
        hosts.flush()
        settings = SETTINGS | {f"smpi/{key}": value for key, value in settings.items()}
        command = ["smpirun", "-np", workers, "-hostfile", hosts.name, "-platform", HERE / f"{cluster}.xml",
                   *(f"--cfg={key}:{value}" for key, value in settings.items()), "--log=root.thresh:warning",
                   build / "simulate_worker.so", mode, plan, bucket_bytes, compute_s]
        ended = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("{")]
    if ended.returncode != 0 or len(lines) != 1:
        sys.exit(f"{' '.join(map(str, command))}\nended with {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return json.loads(lines[0])


def simulate(build, cluster, workers, plan, compute_s, bucket_bytes, mode="step"):
    """Seconds of a step and of its parts (of the latter alone with the mode `parts`), beside all-reduce by whichever
    algorithm is the fastest for each size."""
    row = run_workers(build, cluster, workers, mode, plan, bucket_bytes, compute_s)
    plain = [run_workers(build, cluster, workers, "allreduce", plan, bucket_bytes, allreduce=algorithm)
             for algorithm in ALLREDUCES]
    for part in ["statistics_s", "gradients_s"]:
        row[f"allreduce_{part}"] = sum(map(min, zip(*(times[part] for times in plain))))
    ours = row["statistics_s"] + row["gradients_s"]
    theirs = row["allreduce_statistics_s"] + row["allreduce_gradients_s"]
    efficiency = compute_s / row["step_s"] if mode != "parts" else None
    return row | {"efficiency": efficiency, "against_allreduce": ours / theirs}


def write_plan(build, model, file):
    side, channels, classes = MODELS[model]
    told = subprocess.run([build / "simulate_plan", model, str(side), str(channels), str(classes)],
                          capture_output=True, text=True, check=True)
    file.write_text(told.stdout)


HEAD = (f"{'cluster':<8}{'workers':>8}{'efficiency':>12}{'step':>10}{'statistics':>12}{'all-reduce':>12}"
        f"{'gradients':>11}{'all-reduce':>12}{'ratio':>8}")


def table_line(cluster, row):
    ms = {key: 1e3 * value for key, value in row.items() if key.endswith("_s") and value is not None}
    step = f"{100 * row['efficiency']:>10.1f} %{ms['step_s']:>10.2f}" if "step_s" in ms else f"{'-':>12}{'-':>10}"
    return (f"{cluster:<8}{row['workers']:>8}{step}"
            f"{ms['statistics_s']:>12.2f}{ms['allreduce_statistics_s']:>12.2f}{ms['gradients_s']:>11.2f}"
            f"{ms['allreduce_gradients_s']:>12.2f}{row['against_allreduce']:>8.2f}")


def draw(report, file):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    clusters = report["clusters"]
    figure, axes = pyplot.subplots(1, 1 + len(clusters), figsize=(5 * (1 + len(clusters)), 4), squeeze=False)
    for name, rows in clusters.items():
        whole = [row for row in rows if row["efficiency"] is not None]
        axes[0][0].plot([row["workers"] for row in whole], [100 * row["efficiency"] for row in whole], "o-",
                        label=CLUSTERS[name])
    axes[0][0].set(title=f"{report['model']}, {report['compute_ms']:g} ms of computing a step", ylim=(0, 105),
                   ylabel="weak-scaling efficiency, %")
    for axis, (name, rows) in zip(axes[0][1:], clusters.items()):
        workers = [row["workers"] for row in rows]
        for part, color in [("statistics", "tab:blue"), ("gradients", "tab:orange")]:
            axis.plot(workers, [1e3 * row[f"{part}_s"] for row in rows], "o-", color=color, label=part)
            axis.plot(workers, [1e3 * row[f"allreduce_{part}_s"] for row in rows], "x--", color=color,
                      label=f"{part}, MPI_Allreduce")
        axis.set(title=f"a step's communication alone, {CLUSTERS[name]}", yscale="log", ylabel="ms")
    for axis in axes[0]:
        axis.set_xscale("log", base=2)
        axis.set_xlabel("workers")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(file, dpi=110)


def main():
    parser = argparse.ArgumentParser(prog="scripts/simulate_scale.sh", description=__doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[2**power for power in range(1, 11)],
                        help="numbers of workers, up to 1024")
    parser.add_argument("--quick", action="store_const", dest="workers", const=[2**power for power in range(1, 7)],
                        help="up to 64 workers: two minutes instead of half an hour")
    parser.add_argument("--whole-steps-up-to", type=int, default=256, metavar="WORKERS",
                        help="with more, statistics and gradients alone: a step takes the longest to simulate")
    parser.add_argument("--clusters", nargs="+", choices=list(CLUSTERS), default=list(CLUSTERS))
    parser.add_argument("--model", choices=list(MODELS), default="resnet50")
    parser.add_argument("--compute-ms", type=float, default=80, help="computing of a step on each worker")
    parser.add_argument("--bucket-mib", type=float, default=4, help="comm.bucket_mib")
    parser.add_argument("--build", type=Path, default=Path("build/release/scripts/simulate"), help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path("build/simulate"))
    options = parser.parse_args()
    if shutil.which("smpirun") is None:
        sys.exit("SimGrid's smpirun is not here: Debian's libsimgrid-dev has it")

    options.out.mkdir(parents=True, exist_ok=True)
    plan = options.out / f"{options.model}.plan"
    write_plan(options.build, options.model, plan)
    report = {"model": options.model, "compute_ms": options.compute_ms, "bucket_mib": options.bucket_mib,
              "shards": "as many as workers", "clusters": {name: [] for name in options.clusters}}
    print(HEAD + "\n" + " " * 28 + "times in ms", flush=True)
    for cluster in options.clusters:
        for workers in sorted(options.workers):
            row = simulate(options.build, cluster, workers, plan, options.compute_ms / 1e3,
                           round(options.bucket_mib * 2**20),
                           "step" if workers <= options.whole_steps_up_to else "parts")
            report["clusters"][cluster].append(row)
            print(table_line(cluster, row), flush=True)
            (options.out / "scale.json").write_text(json.dumps(report, indent=1) + "\n")
    draw(report, options.out / "scale.png")
    print(f"{options.out}/scale.json, {options.out}/scale.png")


if __name__ == "__main__":
    main()
