"""Draws the table of compare.py: a panel a row, a bar each, whiskers from the slowest to the fastest round."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402  (after the choice of what it draws with)

OURS, THEIRS = "#1f77b4", "#b0b0b0"


def draw(table, path):
    rows = {name: numbers for name, numbers in table["rows"].items() if "skipped" not in numbers}
    skipped = [name for name in table["rows"] if name not in rows]
    figure, panels = pyplot.subplots(max(1, len(rows)), 1, squeeze=False, layout="constrained",
                                     figsize=(8, 0.8 + 2 * max(1, len(rows))))
    for panel, (name, numbers) in zip(panels[:, 0], rows.items()):
        draw_row(panel, name, numbers)
    if not rows:
        panels[0, 0].set_axis_off()
    machine = table["machine"]
    title = f"On {machine['processor']}"
    figure.suptitle(title + (f"\nskipped: {', '.join(skipped)}" if skipped else ""), fontsize=10)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def draw_row(panel, name, numbers):
    rates = numbers["images_per_s"]
    medians = [rate["median"] for rate in rates.values()]
    errors = [[rate["median"] - rate["min"] for rate in rates.values()],
              [rate["max"] - rate["median"] for rate in rates.values()]]
    colours = [OURS if who == "lockstep" else THEIRS for who in rates]
    panel.barh(list(rates), medians, xerr=errors, color=colours, capsize=3)
    panel.invert_yaxis()
    on = "".join(f", {numbers[fact]}{what}" for fact, what in [("threads", " thread(s) each"), ("gpu", "")] if fact in numbers)
    panel.set_title(f"{name}: images/s, {numbers['workers']} worker(s){on}, median of {numbers['rounds']} rounds",
                    fontsize=9, loc="left")
    for place, rate in enumerate(rates.values()):
        if "ratio" in rate:
            panel.text(rate["max"], place, f"  lockstep: {rate['ratio']['median']:.2f} x", va="center", fontsize=8)
    panel.set_xlim(0, 1.3 * max(rate["max"] for rate in rates.values()))
    panel.spines[["top", "right"]].set_visible(False)
