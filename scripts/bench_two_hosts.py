#!/usr/bin/env python3
"""What a slow link between two hosts costs a training step, and how much of it is hidden behind computing.

Two hosts made of namespaces, a worker on each, on a link that `tc` slows down (root, and a core for each). In turn:
training steps over the link; two lone workers with half of the batch each, at the same time, which exchange nothing:
computing alone; and the tree's sum of as many bytes as the model has gradients, as `bench allreduce` measures 16 MiB
over the same link: exchanging alone. A step cannot take less than the larger of these two. What a round gives is told
as medians with the least and the greatest. Last, a few steps of a training are traced, and what workers waited for
gradients is taken from there.

    scripts/bench_two_hosts.py [--model NAME] [--batch IMAGES A WORKER] [--side PIXELS] [--rate 1gbit] [--rounds N]
                               [--set KEY=VALUE]... [--trace FILE] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "tests" / "cluster"))
from hosts import TwoHosts, missing  # noqa: E402

LOCKSTEP = os.environ.get("LOCKSTEP", str(ROOT / "build" / "release" / "lockstep"))
MPIRUN = str(ROOT / "scripts" / "mpirun.sh")
ALLREDUCED = 1 << 24  # the largest size of `bench allreduce`
TRACED_STEPS = 6
CONFIG = """\
run_dir: {run}
model: {{name: {model}}}
batch: {{global: {images}, shards: 8}}
data:
  dataset: synthetic
  synthetic: {{samples: {samples}, test_samples: {images}, height: {side}, width: {side}, channels: 3, classes: 1000}}
schedule: {{steps: {steps}}}
evaluation: {{batch: {images}}}
"""


def write_config(options, file):
    """What all parts of the measurement are given."""
    images = options.batch * 2
    file.write_text(CONFIG.format(model=options.model, run=file.parent / "run", images=images, side=options.side,
                                  samples=images * TRACED_STEPS, steps=TRACED_STEPS))
    given = [word for setting in options.set for word in ("--set", setting)]
    whole = subprocess.run([LOCKSTEP, "config", file, *given], stdout=subprocess.PIPE, text=True, check=False)
    if whole.returncode != 0:
        sys.exit(whole.returncode)
    file.write_text(whole.stdout)


def last_object(said):
    return json.loads(said.strip().splitlines()[-1])


class Link:
    """Programs on two hosts, with a link of this rate between them."""

    def __init__(self, hosts, rate):
        self.hosts = hosts
        self.environment = {**hosts.environment(), "LOCKSTEP": LOCKSTEP}
        for host in hosts:
            host.run("tc", "qdisc", "add", "dev", "cable", "root", "tbf", "rate", rate, "burst", "128kb", "latency",
                     "50ms")

    def start(self, host, command):
        return subprocess.Popen(host.command(command), env=self.environment, stdout=subprocess.PIPE, text=True)

    def over_both(self, *arguments):
        command = [MPIRUN, "-n", "2", *self.hosts.mpirun_options(1), "--bind-to", "none", LOCKSTEP, *map(str, arguments)]
        return self.answer(self.start(self.hosts.first, command))

    @staticmethod
    def answer(process):
        said = process.communicate()[0]
        if process.returncode != 0:
            sys.exit(f"code {process.returncode} from {' '.join(process.args)}")
        return said

    def step(self, config):
        told = last_object(self.over_both("bench", "step", config, "--json"))
        return told["batch"] / told["images_per_s"]

    def computing(self, options, config):
        """On the slower of the two, which share what both hosts have of memory."""
        command = [LOCKSTEP, "bench", "step", config, "--json", "--set", f"batch.global={options.batch}",
                   "--set", "batch.shards=4"]
        alone = [self.start(host, ["taskset", "--cpu-list", str(core), *command])
                 for core, host in zip(sorted(os.sched_getaffinity(0)), self.hosts)]
        told = [last_object(self.answer(process)) for process in alone]
        return max(each["batch"] / each["images_per_s"] for each in told)

    def exchanging(self, gradient_bytes):
        told = last_object(self.over_both("bench", "allreduce", "--json"))
        largest = next(size for size in told["sizes"] if size["bytes"] == ALLREDUCED)
        return largest["tree_us"] * 1e-6 * gradient_bytes / ALLREDUCED


def gradient_bytes(config):
    told = subprocess.run([LOCKSTEP, "inspect", config, "--json"], stdout=subprocess.PIPE, text=True, check=True).stdout
    return sum(tensor["bytes"] for tensor in json.loads(told)["tensors"] if tensor["name"].endswith((".weight", ".bias")))


def waited_and_exchanged(trace):
    """Seconds of a step on the first worker: waiting for gradients, and with gradients under way."""
    events = [event for event in json.loads(trace.read_text())["traceEvents"]
              if event["ph"] == "X" and event["pid"] == 0 and event["name"].startswith("gradients")]
    waited = sum(event["dur"] for event in events if event["cat"] == "wait")
    busy, end = 0.0, 0.0
    for event in sorted((event for event in events if event["cat"] == "collective"), key=lambda event: event["ts"]):
        first, last = max(event["ts"], end), event["ts"] + event["dur"]
        busy, end = busy + max(0, last - first), max(end, last)
    return waited * 1e-6 / TRACED_STEPS, busy * 1e-6 / TRACED_STEPS


def summary(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def measure(link, options, config):
    size = gradient_bytes(config)
    rounds = [{"step": link.step(config), "computing": link.computing(options, config),
               "exchanging": link.exchanging(size)} for _ in range(options.rounds)]
    for each in rounds:
        longest, shortest = sorted([each["computing"], each["exchanging"]], reverse=True)
        each["ratio"] = each["step"] / longest
        each["hidden"] = (longest + shortest - each["step"]) / shortest
    link.over_both("train", config, "--trace", options.trace)
    waited, exchanged = waited_and_exchanged(options.trace)
    return {"model": options.model, "images_per_worker": options.batch, "rate": options.rate, "gradient_bytes": size,
            **{name: summary([each[name] for each in rounds]) for name in rounds[0]},
            "traced": {"waited_for_gradients": waited, "gradients_under_way": exchanged, "file": str(options.trace)}}


def describe(told):
    def line(name, what, unit="s", factor=1):
        low, middle, high = (told[what][key] * factor for key in ["min", "median", "max"])
        return f"{name:<34} {middle:8.3f} {unit} ({low:.3f} to {high:.3f})"

    traced = told["traced"]
    return "\n".join([
        f"{told['model']}, {told['images_per_worker']} images a worker, {told['gradient_bytes'] / 2**20:.1f} MiB of gradients, "
        f"link of {told['rate']}:",
        line("a step", "step"), line("computing alone", "computing"), line("exchanging alone", "exchanging"),
        line("a step, times the larger", "ratio", "x"), line("of the shorter, hidden", "hidden", "%", 100),
        f"traced: {traced['waited_for_gradients']:.3f} s of a step waiting for gradients, which were under way for "
        f"{traced['gradients_under_way']:.3f} s ({traced['file']})"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet50")
    parser.add_argument("--batch", type=int, default=16, metavar="IMAGES", help="a worker (default 16)")
    parser.add_argument("--side", type=int, default=224, metavar="PIXELS", help="of an image (default 224)")
    parser.add_argument("--rate", default="1gbit", help="of the link, as tc writes it (default 1gbit)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting for lockstep")
    parser.add_argument("--trace", type=Path, default=ROOT / "build" / "two_hosts_trace.json", metavar="FILE")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if reason := missing():
        sys.exit(f"two hosts cannot be had: {reason}")
    with tempfile.TemporaryDirectory() as folder, TwoHosts() as hosts:
        config = Path(folder) / "config.yaml"
        write_config(options, config)
        told = measure(Link(hosts, options.rate), options, config)
    print(json.dumps(told) if options.json else describe(told))


if __name__ == "__main__":
    main()
