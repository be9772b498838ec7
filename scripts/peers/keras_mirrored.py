#!/usr/bin/env python3
"""Keras on TensorFlow with BatchNormalization(synchronized=True): what has synchronized batch norm on processors.

Two logical devices of one process, so its all-reduce is a copy in memory, which no launcher of processes has. Prints
one JSON object: images_per_s over both, the median of some windows. Forward, backward, reduction and SGD with momentum
on random images in memory.

    keras_mirrored.py --batch 64
"""

import argparse
import json
import os
import statistics
import time

WARM_UP = 3  # steps
DEVICES = 2


def resnet20(keras, synchronized):
    layers = keras.layers

    def conv_bn(images, outputs, kernel, stride=1):
        convolved = layers.Conv2D(outputs, kernel, stride, "same", use_bias=False)(images)
        return layers.BatchNormalization(synchronized=synchronized)(convolved)

    inputs = keras.Input((32, 32, 3))
    images = layers.ReLU()(conv_bn(inputs, 16, 3))
    for outputs, stride in [(16, 1)] * 3 + [(32, 2)] + [(32, 1)] * 2 + [(64, 2)] + [(64, 1)] * 2:
        body = conv_bn(layers.ReLU()(conv_bn(images, outputs, 3, stride)), outputs, 3)
        same = stride == 1 and images.shape[-1] == outputs
        shortcut = images if same else conv_bn(images, outputs, 1, stride)
        images = layers.ReLU()(layers.Add()([shortcut, body]))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling2D()(images)))


def make_step(keras, tensorflow, options):
    import numpy

    tensorflow.config.threading.set_intra_op_parallelism_threads(1)
    tensorflow.config.threading.set_inter_op_parallelism_threads(DEVICES)
    tensorflow.config.set_logical_device_configuration(
        tensorflow.config.list_physical_devices("CPU")[0], [tensorflow.config.LogicalDeviceConfiguration()] * DEVICES)
    strategy = tensorflow.distribute.MirroredStrategy(
        [f"/cpu:{device}" for device in range(DEVICES)],
        cross_device_ops=tensorflow.distribute.ReductionToOneDevice())
    with strategy.scope():
        network = resnet20(keras, not options.local_bn)
        optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
        optimizer.build(network.trainable_variables)
    images = tensorflow.constant(numpy.random.randn(options.batch, 32, 32, 3).astype("f"))
    labels = tensorflow.constant(numpy.random.randint(0, 10, options.batch))

    def on_each_device():
        with tensorflow.GradientTape() as tape:
            loss = loss_of(labels, network(images, training=True)) / (DEVICES * options.batch)
        gradients = tape.gradient(loss, network.trainable_variables)
        optimizer.apply_gradients(zip(gradients, network.trainable_variables))
        return loss

    step = tensorflow.function(lambda: strategy.run(on_each_device))

    def run(steps):
        for _ in range(steps):
            losses = step()
        for loss in strategy.experimental_local_results(losses):
            loss.numpy()  # waits for it

    return run


def measure(options, run):
    """Images per second of each window, and the steps of one."""

    def seconds(steps):
        start = time.perf_counter()
        run(steps)
        return time.perf_counter() - start

    seconds(WARM_UP)
    steps = max(1, round(options.seconds * WARM_UP / seconds(WARM_UP)))
    images = options.batch * DEVICES * steps
    return [images / seconds(steps) for _ in range(options.windows)], steps


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, help="images a device")
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="a window's length, about")
    parser.add_argument("--local-bn", action="store_true", help="BatchNormalization that is not synchronized")
    options = parser.parse_args()

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow

    rates, steps = measure(options, make_step(keras, tensorflow, options))
    print(json.dumps({
        "images_per_s": statistics.median(rates), "min": min(rates), "max": max(rates),
        "version": f"Keras {keras.__version__} on TensorFlow {tensorflow.__version__}", "model": "resnet20",
        "batch_per_rank": options.batch, "ranks": DEVICES, "threads": 1, "windows": len(rates),
        "steps_per_window": steps}))


if __name__ == "__main__":
    main()
