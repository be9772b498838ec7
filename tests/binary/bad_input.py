#!/usr/bin/env python3
"""Bad input: the design's exit code, one clear message, nothing overwritten, and an end within 10 s.

Each case spoils something in its room and answers what lockstep has to say about it. It is run without a
launcher and under mpirun with two workers, which together have one message too.
"""

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import struct

from binary import Cases, Room, expect, pixels, run, write_idx, write_png
from data_sets import write_cifar10

PATIENCE = 10  # seconds until a job must have ended by itself
USAGE, DATA = 2, 3

cases = Cases()


@dataclasses.dataclass
class Bad:
    arguments: list
    code: int
    says: list  # words of the message; the first of them stand in no other line
    after: float = 0  # seconds, at least
    launches: tuple = (None, 2)  # workers under mpirun; None: no launcher
    other: list = None  # arguments of one more worker
    during: object = contextlib.nullcontext  # what holds while it runs


def judge(case, room):
    bad = case(room)
    before = room.snapshot()
    for workers in bad.launches:
        with bad.during():
            result = run(*bad.arguments, workers=workers, other=bad.other, timeout=PATIENCE)
        told = f"{result.command}\n{result.out}{result.err}"
        expect(result.code is not None, f"did not end within {PATIENCE} s: {told}")
        expect(result.code == bad.code, f"code {result.code} instead of {bad.code}: {told}")
        for words in bad.says:
            expect(words in result.err, f"does not say '{words}': {told}")
        lines = len(result.lines_with(bad.says[0]))
        expect(lines == 1, f"says '{bad.says[0]}' in {lines} lines: {told}")
        expect(result.seconds >= bad.after, f"gave up after {result.seconds:.1f} s: {told}")
        expect(room.snapshot() == before, f"changed files: {told}")


def train(room, *arguments):
    return ["train", room.config, *arguments]


# The processor


@contextlib.contextmanager
def capped():
    """As on a processor without AVX-512."""
    os.environ["ONEDNN_MAX_CPU_ISA"] = "AVX2"
    try:
        yield
    finally:
        del os.environ["ONEDNN_MAX_CPU_ISA"]


@cases
def bf16_without_avx512(room):
    room.write_config("model: {name: cnn}", "model: {name: cnn}\nprecision: bf16")
    says = ["precision: bf16 needs a processor with AVX-512", "Set precision: fp32"]
    return Bad(train(room), USAGE, says, during=capped)


@cases
def bench_in_bf16_without_avx512(room):
    arguments = ["bench", "step", "--model", "mlp", "--set", "precision=bf16"]
    return Bad(arguments, USAGE, ["precision: bf16 needs a processor with AVX-512"], during=capped)


@cases
def inspect_in_bf16_without_avx512(room):
    room.write_config("model: {name: cnn}", "model: {name: cnn}\nprecision: bf16")
    says = ["precision: bf16 needs a processor with AVX-512"]
    return Bad(["inspect", room.config], USAGE, says, launches=(None,), during=capped)


@cases
def evaluation_in_bf16_without_avx512(room):
    room.train()
    says = ["precision: bf16 needs a processor with AVX-512"]
    return Bad(["evaluate", room.final(), "--precision", "bf16"], USAGE, says, launches=(None,), during=capped)


@cases
def evaluation_in_an_unknown_precision(room):
    room.train()
    return Bad(["evaluate", room.final(), "--precision", "fp16"], USAGE, ["--precision fp16"], launches=(None,))


@cases
def gpu_that_is_not_there(room):
    room.write_config("model: {name: cnn}", "model: {name: cnn}\ndevice: gpu")
    return Bad(train(room), USAGE, ["device is gpu, but", "set device: cpu"])


@cases
def tf32_without_a_gpu(room):
    room.write_config("model: {name: cnn}", "model: {name: cnn}\nprecision: tf32")
    return Bad(train(room), USAGE, ["precision: tf32 is for GPUs", "set device: gpu, or precision: fp32"])


# Data


@cases
def missing_data_folder(room):
    return Bad(train(room, "--set", f"data.path={room.folder}/nowhere"), DATA, [f"{room.folder}/nowhere"])


@cases
def missing_labels(room):
    (room.data / Room.TRAIN_LABELS).unlink()
    return Bad(train(room), DATA, [Room.TRAIN_LABELS])


@cases
def truncated_images(room):
    file = room.data / Room.TRAIN_IMAGES
    file.write_bytes(file.read_bytes()[:-1])
    return Bad(train(room), DATA, [str(file)])


@cases
def truncated_gzip(room):
    (room.data / Room.TRAIN_LABELS).unlink()
    file = room.data / (Room.TRAIN_LABELS + ".gz")
    room.labels(file.name, 100)
    file.write_bytes(file.read_bytes()[:-12])
    return Bad(train(room), DATA, [str(file)])


@cases
def bytes_behind_gzip(room):
    (room.data / Room.TRAIN_LABELS).unlink()
    file = room.data / (Room.TRAIN_LABELS + ".gz")
    room.labels(file.name, 100)
    file.write_bytes(file.read_bytes() + b"more")
    return Bad(train(room), DATA, [str(file)])


@cases
def gzip_bomb(room):
    """Some kilobytes that declare, and unpack to, more than the configuration allows."""
    (room.data / Room.TRAIN_IMAGES).unlink()
    file = room.data / (Room.TRAIN_IMAGES + ".gz")
    write_idx(file, [4096, 28, 28], bytes(4096 * 28 * 28))
    return Bad(train(room, "--set", "data.max_mib=1"), DATA, [str(file), "data.max_mib"])


@cases
def truncated_header(room):
    file = room.data / Room.TEST_IMAGES
    file.write_bytes(file.read_bytes()[:7])
    return Bad(train(room), DATA, [str(file)])


@cases
def wrong_magic(room):
    room.labels(Room.TRAIN_LABELS, 100, magic=0x0D01)
    return Bad(train(room), DATA, [str(room.data / Room.TRAIN_LABELS)])


@cases
def more_images_than_labels(room):
    room.labels(Room.TRAIN_LABELS, 99)
    return Bad(train(room), DATA, [Room.TRAIN_LABELS, "99", "100"])


@cases
def absurd_image_size(room):
    file = room.data / Room.TRAIN_IMAGES
    write_idx(file, [100, 2**31, 2**31], [])
    return Bad(train(room), DATA, [str(file)])


@cases
def label_out_of_range(room):
    file = room.data / Room.TRAIN_LABELS
    write_idx(file, [100], [10] * 100)
    return Bad(train(room), DATA, [str(file), "10"])


def cifar10(room, spoil):
    write_cifar10(room.folder / "cifar10")
    spoil(room.folder / "cifar10")
    return train(room, "--set", "data.dataset=cifar10", "--set", f"data.path={room.folder}/cifar10")


@cases
def cifar10_without_a_file(room):
    bad = cifar10(room, lambda folder: (folder / "data_batch_5.bin").unlink())
    return Bad(bad, DATA, [f"{room.folder}/cifar10/data_batch_5.bin", "data.path"])


@cases
def cifar10_that_is_cut(room):
    bad = cifar10(room, lambda folder: (folder / "test_batch.bin").write_bytes(bytes(2 * 3073 - 1)))
    return Bad(bad, DATA, [f"{room.folder}/cifar10/test_batch.bin", "3073 bytes"])


@cases
def cifar10_with_a_label_too_large(room):
    bad = cifar10(room, lambda folder: (folder / "data_batch_2.bin").write_bytes(bytes(3073) + b"\x0a" + bytes(3072)))
    return Bad(bad, DATA, [f"{room.folder}/cifar10/data_batch_2.bin", "record 1 has label 10"])


@cases
def cifar10_with_nine_names(room):
    bad = cifar10(room, lambda folder: (folder / "batches.meta.txt").write_text("a\n" * 9))
    return Bad(bad, DATA, [f"{room.folder}/cifar10/batches.meta.txt", "9 names"])


@cases
def cifar10_without_a_path(room):
    return Bad(train(room, "--set", "data.dataset=cifar10", "--set", "data.path="), USAGE, ["data.path"])


def pictures(room, spoil, *arguments):
    """Six pictures in two classes; only reading a picture tells that it is broken, since normalization is given."""
    folder = room.folder / "pictures"
    for half in ("train", "test"):
        for name in ("a", "b"):
            (folder / half / name).mkdir(parents=True)
            for i in range(3):
                write_png(folder / half / name / f"{i}.png", 40, 30, pixels(1, 40)[:1200])
    spoil(folder)
    settings = ["data.dataset=image_folder", f"data.path={folder}", "data.image.height=28", "data.image.width=28",
                "data.image.channels=1", "data.mean=[0.5]", "data.std=[0.2]", "batch.global=6", "batch.shards=2"]
    return train(room, *(word for setting in settings for word in ("--set", setting)), *arguments)


def cut(file):
    file.write_bytes(file.read_bytes()[:60])


@cases
def pictures_without_test(room):
    bad = pictures(room, lambda folder: shutil.rmtree(folder / "test"))
    return Bad(bad, DATA, [f"{room.folder}/pictures", "val/ nor test/"])


@cases
def the_best_of_pictures_without_validation(room):
    bad = pictures(room, lambda folder: None, "--set", "checkpoint.best=true")
    return Bad(bad, USAGE, [f"{room.folder}/pictures", "checkpoint.best", "val"])


@cases
def pictures_of_a_class_that_nobody_learns(room):
    bad = pictures(room, lambda folder: (folder / "test" / "b").rename(folder / "test" / "c"))
    return Bad(bad, DATA, [f"{room.folder}/pictures/test/c", "no such class"])


@cases
def pictures_in_no_class(room):
    bad = pictures(room, lambda folder: [shutil.rmtree(folder / "train" / name) for name in "ab"])
    return Bad(bad, DATA, [f"{room.folder}/pictures/train", "one for each class"])


@cases
def pictures_of_a_class_without_any(room):
    bad = pictures(room, lambda folder: (folder / "train" / "c").mkdir())
    return Bad(bad, DATA, [f"{room.folder}/pictures/train/c", "no picture"])


@cases
def picture_that_is_corrupt(room):
    """Told before the run writes anything where it is read before: mean and deviation are to be measured."""
    measured = ["--set", "data.mean=[]", "--set", "data.std=[]"]
    bad = pictures(room, lambda folder: cut(folder / "train" / "b" / "1.png"), *measured)
    return Bad(bad, DATA, [f"{room.folder}/pictures/train/b/1.png", "cannot be decoded as PNG"])


@cases
def pictures_that_are_all_corrupt(room):
    spoil = lambda folder: [cut(file) for file in folder.glob("test/*/*.png")]
    bad = pictures(room, spoil, "--set", "data.on_corrupt=skip")
    return Bad(bad, DATA, [f"{room.folder}/pictures/test: none of its 6 pictures", "a/0.png"])


@cases
def one_bound_of_a_crop(room):
    bad = train(room, "--set", "data.augment.crop_scale=[0.5]")
    return Bad(bad, USAGE, ["data.augment.crop_scale", "the least and the most"])


@cases
def hue_of_gray_images(room):
    return Bad(train(room, "--set", "data.augment.hue=0.1"), USAGE, ["data.augment.saturation and hue", "28x28x1"])


# Configuration and command line


@cases
def missing_config(room):
    return Bad(["train", room.folder / "nowhere.yaml"], USAGE, ["nowhere.yaml"])


@cases
def broken_yaml(room):
    room.config.write_text("model: {name: cnn\nbatch: 3")
    return Bad(train(room), USAGE, [f"{room.config}:"])


@cases
def unknown_key(room):
    room.write_config("optimizer: {lr:", "optimizer: {learning_rate:")
    return Bad(train(room), USAGE, [f"{room.config}:5:", "optimizer.learning_rate", "optimizer.lr"])


@cases
def the_best_of_no_validation_split(room):
    return Bad(train(room, "--set", "checkpoint.best=true"), USAGE, ["checkpoint.best=true: needs", "data.validation: 0.1"])


@cases
def rule_that_fits_no_parameter(room):
    return Bad(train(room, "--set", "optimizer.rules=[{match: '*.bais', lr_scale: 2}]"), USAGE,
               ["optimizer.rules[0]", "'*.bais'", ".bias'"])


@cases
def unknown_key_on_command_line(room):
    return Bad(train(room, "--set", "batch.globl=32"), USAGE, ["batch.globl", "batch.global"])


@cases
def wrong_type(room):
    room.write_config("global: 32", "global: many")
    return Bad(train(room), USAGE, [f"{room.config}:3:", "batch.global", "many"])


@cases
def value_out_of_range(room):
    room.write_config("{lr: 0.05}", "{lr: -1}")
    return Bad(train(room), USAGE, [f"{room.config}:5:", "optimizer.lr", "-1"])


@cases
def several_mistakes_at_once(room):
    room.write_config("{lr: 0.05}", "{lr: -1, momentum: x}")
    return Bad(train(room, "--set", "seeed=1"), USAGE, ["optimizer.lr", "optimizer.momentum", "seeed"])


@cases
def epochs_and_steps(room):
    room.write_config("{steps: 4,", "{steps: 4, epochs: 2,")
    return Bad(train(room), USAGE, ["schedule.epochs", "schedule.steps"])


@cases
def unknown_model(room):
    return Bad(train(room, "--set", "model.name=resnet21"), USAGE, ["resnet21", "resnet20"])


def layers(room, *lines):
    room.write_config("model: {name: cnn}", "\n".join(["model:", "  layers:", *lines]))
    return train(room)


@cases
def branches_that_do_not_fit(room):
    block = "    - {residual: {body: [{conv2d: {out: 8, stride: 2, padding: 1}}]}, name: block}"
    bad = layers(room, "    - conv2d: {out: 8, padding: 1}", block, "    - flatten", "    - linear: {out: 10}")
    return Bad(bad, USAGE, ["block", "28x28x8", "14x14x8"])


@cases
def window_larger_than_its_image(room):
    pool = "    - {max_pool: {window: 30}, name: too_wide}"
    return Bad(layers(room, pool, "    - flatten", "    - linear: {out: 10}"), USAGE, ["too_wide", "28x28x1"])


@cases
def logits_that_are_not_the_classes(room):
    bad = layers(room, "    - flatten", "    - {linear: {out: 9}, name: head}")
    return Bad(bad, USAGE, ["head", "9", "10"])


@cases
def more_workers_than_shards(room):
    options = ["--set", "batch.shards=1"]
    return Bad(train(room, *options), USAGE, ["batch.shards", "result"], launches=(2,))


@cases
def more_threads_than_shards(room):
    options = ["--set", "batch.shards=2", "--workers", "3"]
    return Bad(train(room, *options), USAGE, ["batch.shards", "result"], launches=(None,))


@cases
def workers_under_a_launcher(room):
    return Bad(train(room, "--workers", "2"), USAGE, ["--workers"], launches=(2,))


@cases
def evaluate_under_a_launcher(room):
    room.train()
    return Bad(["evaluate", room.final()], USAGE, ["evaluate"], launches=(2,))


@cases
def unknown_command(room):
    return Bad(["trian"], USAGE, ["trian", "train"])


@cases
def unknown_option(room):
    return Bad(train(room, "--worker-count", "2"), USAGE, ["--worker-count"])


@cases
def resume_and_overwrite(room):
    return Bad(train(room, "--resume", "--overwrite"), USAGE, ["--overwrite"])


@cases
def config_that_the_run_would_replace(room):
    return Bad(train(room, "--overwrite", "--set", f"run_dir={room.folder}"), USAGE, [str(room.config), "run_dir"])


@cases
def config_that_a_resumed_run_would_replace(room):
    return Bad(train(room, "--resume", "--set", f"run_dir={room.folder}"), USAGE, [str(room.config), "run_dir"])


# One worker alone


def with_one_worker(room, other, says):
    return Bad(train(room), USAGE, says, launches=(1,), other=other)


@cases
def another_configuration_on_one_worker(room):
    other = train(room, "--set", "optimizer.lr=0.5")
    return with_one_worker(room, other, ["optimizer.lr: 0.5", "optimizer.lr: 0.05"])


@cases
def another_order_of_collectives_on_one_worker(room):
    other = train(room, "--set", "evaluation.every_steps=3")
    return with_one_worker(room, other, ["evaluation.every_steps: 3", "evaluation.every_steps: 4"])


@cases
def another_label_on_one_worker(room):
    """Files of the same sizes and pixels, as an older copy of a data set has them."""
    copy = room.folder / "copy"
    shutil.copytree(room.data, copy)
    write_idx(copy / Room.TEST_LABELS, [40], [9] + [i % 10 for i in range(1, 40)])
    bad = with_one_worker(room, train(room, "--set", f"data.path={copy}"), ["different data", "rank 1 on"])
    return dataclasses.replace(bad, code=DATA)


@cases
def missing_config_on_one_worker(room):
    return with_one_worker(room, ["train", room.folder / "nowhere.yaml"], ["nowhere.yaml", "rank 1 on"])


@cases
def unknown_command_on_one_worker(room):
    return with_one_worker(room, ["trian", room.config], ["'trian'", "rank 1 on"])


# Plan


@cases
def bench_step_too_large(room):
    options = ["--set", "plan.memory_mib=1"]
    return Bad(["bench", "step", *options], USAGE, ["plan.memory_mib", "batch.global"])


@cases
def bench_step_with_one_value_of_a_channel(room):
    options = ["--batch", "8", "--set", "normalization.sync=local"]
    return Bad(["bench", "step", *options], USAGE, ["bn3", "step"])


@cases
def bench_unknown(room):
    return Bad(["bench", "peek"], USAGE, ["did you mean 'peak'", "step, peak, norm, predict, allreduce"])


@cases
def bench_window_of_no_time(room):
    return Bad(["bench", "step", "--window-ms", "0"], USAGE, ["--window-ms"])


@cases
def bench_peak_of_workers_with_threads(room):
    return Bad(["bench", "peak", "--set", "threads=2"], USAGE, ["threads is 2", "set it to 1"])


@cases
def bench_norm_of_a_model_without(room):
    layers = "[flatten, {linear: {out: 10}}]"
    return Bad(["bench", "norm", "--set", f"model.layers={layers}"], USAGE, ["no batch_norm", "bench step"])


@cases
def bench_allreduce_with_nobody_else(room):
    return Bad(["bench", "allreduce"], USAGE, ["mpirun -n 2 lockstep bench allreduce"], launches=(None, 1))



@cases
def channel_with_one_value(room):
    # 100 = 3 · 32 + 4, so step 4 has one sample a shard, and cnn's last batch_norm one value a channel.
    options = ["--set", "normalization.sync=local"]
    return Bad(train(room, *options), USAGE, ["bn3", "step", "data.drop_last"])


@cases
def plan_too_large(room):
    return Bad(train(room, "--set", "plan.memory_mib=1"), USAGE, ["plan.memory_mib", "batch.global"])


# Run directory


@cases
def run_directory_below_a_file(room):
    (room.folder / "file").write_text("")
    return Bad(train(room, "--set", f"run_dir={room.folder}/file/run"), DATA, [f"{room.folder}/file/run"])


@cases
def run_directory_holds_a_run(room):
    room.train()
    return Bad(train(room), DATA, ["--overwrite", "--resume", str(room.run)])


@cases
def run_directory_in_use(room):
    room.run.mkdir()

    @contextlib.contextmanager
    def locked():
        with (room.run / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    options = ["--set", "comm.timeout_s=2"]
    return Bad(train(room, *options), DATA, [str(room.run), "use"], after=2, during=locked)


# Checkpoints


@cases
def evaluate_missing_checkpoint(room):
    return Bad(["evaluate", room.final()], DATA, [str(room.final())], launches=(None,))


@cases
def evaluate_truncated_checkpoint(room):
    room.train()
    room.final().write_bytes(room.final().read_bytes()[:-1])
    return Bad(["evaluate", room.final()], DATA, [str(room.final())], launches=(None,))


@cases
def evaluate_foreign_file(room):
    header = b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    file = room.folder / "foreign.safetensors"
    file.write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    return Bad(["evaluate", file, "--set", f"data.path={room.data}"], DATA,
               [str(file), "conv1.weight, ", "unexpected: x", "does not tell what it is"], launches=(None,))


@cases
def evaluate_with_a_configuration_too_many(room):
    room.train()
    return Bad(["evaluate", room.final(), "--config", room.config], USAGE, ["--config", str(room.final())],
               launches=(None,))


def retold(file, **metadata):
    """The file with other words in its metadata."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"].update(metadata)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])


@cases
def evaluate_model_of_terabytes(room):
    room.train()
    retold(room.final(), config='{"model":{"name":"mlp","hidden":[1000000,1000000]}}')
    return Bad(["evaluate", room.final()], DATA, [str(room.final()), "the file of only"], launches=(None,))


@cases
def evaluate_images_of_terabytes(room):
    room.train()
    retold(room.final(), input_shape="[4294967296,4294967296,1]")
    return Bad(["evaluate", room.final()], DATA, [str(room.final()), "'input_shape'"], launches=(None,))


@cases
def evaluate_absurd_header(room):
    file = room.folder / "absurd.safetensors"
    file.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    return Bad(["evaluate", file], DATA, [str(file)], launches=(None,))


def predict(room, content, *arguments):
    room.train()
    file = room.folder / "shoe"
    write_png(file, 28, 28, bytes(784))
    file.write_bytes(content(file.read_bytes()))
    return ["predict", room.final(), room.data / Room.TEST_IMAGES, file, *arguments]


@cases
def picture_that_is_cut(room):
    return Bad(predict(room, lambda png: png[:60]), DATA, [f"{room.folder}/shoe: cannot be decoded"], launches=(None,))


@cases
def picture_larger_than_allowed(room):
    large = lambda _: (write_png(room.folder / "large", 1100, 1000, bytes(1_100_000)),
                       (room.folder / "large").read_bytes())[1]
    bad = predict(room, large, "--set", "data.max_mib=1")
    return Bad(bad, DATA, [f"{room.folder}/shoe", "data.max_mib"], launches=(None,))


@cases
def picture_that_is_something_else(room):
    return Bad(predict(room, lambda _: b"GIF89a" + bytes(99)), DATA, [f"{room.folder}/shoe"], launches=(None,))


def export(room, *arguments):
    room.train()
    return ["export", room.final(), *arguments]


@cases
def export_without_a_file(room):
    return Bad(export(room), USAGE, ["--onnx FILE"], launches=(None,))


@cases
def export_over_its_checkpoint(room):
    link = room.folder / "network.onnx"
    bad = export(room, "--onnx", link)
    link.symlink_to(room.final())
    return Bad(bad, USAGE, [str(link), "overwritten"], launches=(None,))


@cases
def export_into_a_missing_folder(room):
    file = room.folder / "nowhere" / "network.onnx"
    return Bad(export(room, "--onnx", file), DATA, [str(file)], launches=(None,))


@cases
def export_of_statistics_that_no_file_has(room):
    bad = export(room, "--onnx", room.folder / "network.onnx", "--running-stats", "batch")
    return Bad(bad, USAGE, ["--running-stats batch", "ema"], launches=(None,))


@cases
def resume_from_truncated_checkpoint(room):
    room.train("--set", "schedule.steps=2")
    room.final().unlink()
    file = room.last_checkpoint()
    file.write_bytes(file.read_bytes()[:-1])
    return Bad(train(room, "--resume", "--set", "schedule.steps=2"), DATA, [file.name])


@cases
def resume_another_model(room):
    room.train()
    room.final().unlink()
    return Bad(train(room, "--resume", "--set", "model.name=mlp"), DATA, ["model.name", "cnn", "mlp"])


@cases
def begin_with_weights_that_are_not_there(room):
    return Bad(train(room, "--set", f"train.init_from={room.folder}/nowhere"), DATA, [f"{room.folder}/nowhere"])


@cases
def begin_with_weights_of_another_network(room):
    room.train()
    settings = ["--set", f"train.init_from={room.final()}", "--set", "model.name=mlp"]
    return Bad(train(room, "--overwrite", *settings), DATA,
               ["do not fit the model", "missing: ", "bn2.weight", "unexpected: ", "conv2.weight"])


@cases
def resume_another_learning_rate(room):
    room.train()
    room.final().unlink()
    return Bad(train(room, "--resume", "--set", "optimizer.lr=0.5"), DATA, ["optimizer.lr", "0.5"])


@cases
def resume_with_another_label(room):
    room.train()
    room.final().unlink()
    write_idx(room.data / Room.TRAIN_LABELS, [100], [9] + [i % 10 for i in range(1, 100)])
    return Bad(train(room, "--resume"), DATA, [room.last_checkpoint().name, "pixels and labels"])


@cases
def checkpoint_of_another_model(room):
    """The newest checkpoint's tensors are those of another network than its metadata tells."""
    room.train()
    cnn = room.last_checkpoint()
    content = cnn.read_bytes()
    room.final().unlink()
    cnn.write_bytes(content.replace(b'"fc2.weight"', b'"fc9.weight"'))
    return Bad(train(room, "--resume"), DATA, [cnn.name, "fc"])


if __name__ == "__main__":
    cases.main(judge)
