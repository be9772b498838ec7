#!/usr/bin/env python3
"""The simulation of scripts/simulate_scale.sh with few workers. The environment names the folder of what was built:
SIMULATION=build/release/scripts/simulate."""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tests" / "binary"), str(ROOT / "scripts" / "simulate")]
import scale  # noqa: E402
from binary import Cases, expect  # noqa: E402

BUILT = Path(os.environ.get("SIMULATION", ROOT / "build/release/scripts/simulate"))
BUCKET = 64 << 10

cases = Cases()


def simulated(room, workers, cluster="fast", model="cnn", compute_s=0.01, mode="check"):
    plan = room.folder / f"{model}.plan"
    scale.write_plan(BUILT, model, plan)
    return scale.simulate(BUILT, cluster, workers, plan, compute_s, BUCKET, mode)


@cases
def sums_are_right(room):
    # All at once; in rounds of 4, 4 for statistics; of 16, 3 for gradients too; where there are no rounds.
    for workers in [2, 16, 48, 15]:
        row = simulated(room, workers)
        expect(row["workers"] == workers, row)


@cases
def time_is_virtual(room):
    first, second = (simulated(room, 4, mode=mode) for mode in ["check", "step"])
    expect(first == second, f"{first}, then with memory that is shared {second}")
    expect(first["step_s"] >= first["compute_s"] == 0.01, first)


@cases
def parts_are_the_same_without_a_step(room):
    step, parts = (simulated(room, 16, mode=mode) for mode in ["step", "parts"])
    for key in ["statistics_s", "gradients_s", "against_allreduce"]:
        expect(step[key] == parts[key] > 0, f"{key}: {step}, {parts}")
    expect(parts["efficiency"] is parts["step_s"] is None, parts)
    expect("100.0 %" not in scale.table_line("fast", parts) and " - " in scale.table_line("fast", parts), parts)


@cases
def statistics_follow_one_on_the_other(room):
    # Each size is exchanged once and counted as often as it is there: so a step of nothing but exchanges takes as long.
    plan = room.folder / "plan"
    exchanges = "".join(f"statistics {width}\n" for width in [64, 512, 64, 4096, 64, 512])
    plan.write_text(f"tensor 16\n{exchanges}ready 0\n")
    for workers in [8, 48]:
        row = scale.simulate(BUILT, "fast", workers, plan, 0, BUCKET)
        apart = row["statistics_s"] + row["gradients_s"]
        expect(abs(row["step_s"] - apart) < 1e-3 * apart, row)


@cases
def a_slow_network_shows(room):
    fast, slow = (simulated(room, 8, cluster) for cluster in ["fast", "slow"])
    # cnn has three batch_norms: six exchanges of at least the way from node to node.
    expect(6 * 2e-6 < fast["statistics_s"] < 6 * 20e-6 < slow["statistics_s"], f"{fast}, {slow}")
    # It sends all but its own eighth of 4 × 0.2 million bytes twice.
    expect(2 * 7 / 8 * 8e5 / 1.25e9 < slow["gradients_s"], slow)
    expect(fast["efficiency"] > slow["efficiency"], f"{fast}, {slow}")


@cases
def the_plan_is_training_s(room):
    plan = room.folder / "plan"
    scale.write_plan(BUILT, "resnet50", plan)
    lines = [line.split() for line in plan.read_text().splitlines()]
    of = {kind: [float(value) for word, value in lines if word == kind]
          for kind in ["tensor", "compute", "ready", "statistics"]}
    # torchvision's resnet50 has 25,557,032 parameters, of which 53,120 are batch_norm's and lie in no bucket.
    expect(25_503_912 <= sum(of["tensor"]) < 25_503_912 + 16 * len(of["tensor"]), sum(of["tensor"]))
    expect(of["ready"] == list(range(len(of["tensor"]))), of["ready"])
    expect(abs(sum(of["compute"]) - 1) < 1e-3, sum(of["compute"]))
    expect(len(of["statistics"]) == 2 * 53 and sum(of["statistics"]) == 2 * 53_120, of["statistics"])


if __name__ == "__main__":
    cases.main(lambda case, room: case(room))
