#!/usr/bin/env python3
"""ONNX Runtime with one thread on a network that lockstep exported: what many would infer with instead of lockstep.

Prints one JSON object: images_per_s, the median of some windows. From raw pixels in memory to logits. The network
(random weights after one step of training) is trained and exported by lockstep itself, batch norm folded.

    onnx_runtime.py --lockstep build/release/lockstep --model resnet20 --batch 64
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

# Images (channels first) and classes.
MODELS = {"cnn": ((1, 28, 28), 10), "resnet20": ((3, 32, 32), 10), "resnet50": ((3, 224, 224), 1000)}


def export(lockstep, model, folder):
    (channels, height, width), classes = MODELS[model]
    settings = [f"model.name={model}", f"run_dir={folder}/run", "batch.global=8", "batch.shards=1", "schedule.steps=1",
                "data.dataset=synthetic", "data.synthetic.samples=8", "data.synthetic.test_samples=8",
                f"data.synthetic.channels={channels}", f"data.synthetic.height={height}",
                f"data.synthetic.width={width}", f"data.synthetic.classes={classes}", "evaluation.batch=8"]
    (folder / "config.yaml").write_text("{}\n")
    subprocess.run([lockstep, "train", folder / "config.yaml", *(word for setting in settings for word in ("--set", setting))],
                   check=True)
    subprocess.run([lockstep, "export", folder / "run" / "final.safetensors", "--onnx", folder / "network.onnx"], check=True)
    return folder / "network.onnx"


def open_session(file):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def measure(session, images, windows, seconds):
    """Images per second of each window, and the images of one."""

    def taken(calls):
        start = time.perf_counter()
        for _ in range(calls):
            session.run(["logits"], {"images": images})
        return time.perf_counter() - start

    taken(1)
    calls = max(1, round(seconds / taken(1)))
    return [calls * len(images) / taken(calls) for _ in range(windows)], calls * len(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lockstep", required=True, help="the program that makes the network")
    parser.add_argument("--model", choices=MODELS, default="resnet20")
    parser.add_argument("--batch", type=int, default=64, help="images at a time")
    parser.add_argument("--windows", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1, help="a window's length, about")
    options = parser.parse_args()

    import numpy
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        session = open_session(export(options.lockstep, options.model, Path(folder)))
    shape = (options.batch, *MODELS[options.model][0])
    images = numpy.random.default_rng(1).integers(0, 256, shape).astype(numpy.float32)
    rates, images_per_window = measure(session, images, options.windows, options.seconds)
    print(json.dumps({
        "images_per_s": statistics.median(rates), "min": min(rates), "max": max(rates),
        "version": f"ONNX Runtime {onnxruntime.__version__}", "model": options.model, "batch": options.batch,
        "threads": 1, "windows": len(rates), "images_per_window": images_per_window}))


if __name__ == "__main__":
    main()
