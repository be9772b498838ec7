#!/usr/bin/env python3
"""Writes the files that fuzzing begins with: small, valid ones of every kind, so that each reader is reached to its end.

Files that are in corpus/ under other names (earlier findings) stay.
"""
import gzip
import io
import json
import struct
import zlib
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
CORPUS = Path(__file__).resolve().parent / "corpus"


def write(target, name, data):
    file = CORPUS / target / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data.encode() if isinstance(data, str) else data)


def safetensors(header, data=b""):
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def idx(magic, sizes, values):
    return struct.pack(">I", magic) + b"".join(struct.pack(">I", size) for size in sizes) + bytes(values)


def picture(kind, mode, size=(13, 5), **options):
    pixels = bytes(i * 31 % 256 for i in range(3 * size[0] * size[1]))
    file = io.BytesIO()
    Image.frombytes("RGB", size, pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def png_chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height, depth, color, interlaced, packed):
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", packed) + png_chunk(b"IEND", b"")


FACTS = {
    "format_version": "1", "input_shape": "[2,3,1]", "classes": "2", "input_mean": "[0.5]", "input_deviation": "[0.25]",
    "class_names": '["cat","dog"]', "train_samples": "100", "step": "7", "epoch": "1", "train_digest": "0123456789abcdef",
    "init_digest": "fedcba9876543210",
}
RESULT = {
    "seed": 1, "precision": "fp32", "batch": {"global": 256, "shards": 8}, "model": {"name": "mlp", "hidden": [256, 128]},
    "normalization": {"sync": "global", "running_stats": ["ema", "ema:0.5", "cumulative"], "momentum": 0.1, "eps": 1e-5},
    "data": {"dataset": "synthetic", "mean": [0.5], "std": [0.25], "augment": {"flip": True, "pad_crop": 2}},
    "optimizer": {"name": "adamw", "lr": 0.001}, "schedule": {"steps": 10, "decay": "step"}, "evaluation": {"batch": 64},
}
LAYERS = {"model": {"layers": [
    {"name": "conv1", "conv2d": {"out": 8, "kernel": 3, "padding": 1}}, {"batch_norm": {"affine": False}}, "relu",
    {"name": "block", "residual": {"body": [{"conv2d": {"out": 8}}], "shortcut": [{"avg_pool": {"window": 2}}]}},
    {"dropout": {"probability": 0.5}}, "global_avg_pool", {"linear": {"out": 10}}]}}


def main():
    write("safetensors", "empty", safetensors({}))
    write("safetensors", "every_type", safetensors(
        {"b": tensor("U8", [3], 32, 35), "f": tensor("F32", [2, 1], 16, 24), "d": tensor("F64", [1], 0, 8),
         "l": tensor("I64", [], 8, 16), "i": tensor("I32", [2], 24, 32), "n": tensor("F32", [4, 0], 35, 35)}, bytes(35)))
    write("safetensors", "metadata", safetensors({"__metadata__": FACTS, "fc.weight": tensor("F32", [1, 2], 0, 8)}, bytes(8)))
    write("safetensors", "hole", safetensors({"a": tensor("U8", [1], 0, 1), "b": tensor("U8", [1], 2, 3)}, bytes(3)))

    write("facts", "all", "\n".join(FACTS.values()))
    write("facts", "three_channels", "\n".join({**FACTS, "input_shape": "[32, 32, 3]", "input_mean": "[0.1,0.2,1e-9]",
                                                "input_deviation": "[1,2,3]"}.values()))

    images, labels = idx(0x803, [2, 2, 3], range(12)), idx(0x801, [3], [0, 1, 9])
    for name, data in {"images": images, "labels": labels, "channels": idx(0x804, [1, 2, 1, 3], range(6)),
                       "huge": idx(0x804, [0xFFFFFFFF] * 4, [1])}.items():
        write("idx", name, data)
        write("idx", f"{name}.gz", gzip.compress(data, mtime=0))
        write("idx", f"{name}_stored.gz", gzip.compress(data, compresslevel=0, mtime=0))
    write("idx", "members.gz", gzip.compress(images[:9], mtime=0) + gzip.compress(images[9:], mtime=0))

    record = lambda label: bytes([label]) + bytes(i % 251 for i in range(3072))
    write("cifar10", "record", record(9))
    write("cifar10", "label_10", record(10))
    write("cifar10", "cut", record(1)[:-1])
    names = "airplane automobile bird cat deer dog frog horse ship truck".split()
    write("cifar10", "names", "\n".join(names) + "\n\n")
    write("cifar10", "names_of_dos", "\r\n".join(names) + "\r\n")
    write("cifar10", "eleven_names", "\n".join([*names, "more"]))

    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        write("png", mode.lower(), picture("PNG", mode))
    write("png", "interlaced", png(8, 8, 8, 0, 1, zlib.compress(bytes(8 * 8 + 15))))
    write("png", "sixteen_bits", png(3, 2, 16, 2, 0, zlib.compress(bytes(range(19)) * 2)))
    write("png", "huge", png(0x7FFFFFFF, 0x7FFFFFFF, 8, 6, 0, zlib.compress(bytes(99))))
    for name, mode, options in (("gray", "L", {}), ("colors", "RGB", {}), ("sharp", "RGB", {"subsampling": 0}),
                                ("progressive", "RGB", {"progressive": True}), ("print", "CMYK", {})):
        write("jpeg", name, picture("JPEG", mode, quality=30, **options))
    plain = picture("JPEG", "L", quality=30)
    write("jpeg", "cut", plain[:-9])
    at = plain.index(b"\xff\xc0") + 5
    write("jpeg", "huge", plain[:at] + b"\xff\xff\xff\xff" + plain[at + 4:])

    for file in sorted((ROOT / "configs").glob("*.yaml")):
        write("config", file.stem, file.read_bytes())
    write("config", "every_result_key", json.dumps(RESULT))
    write("config", "layers_as_json", json.dumps(LAYERS))
    write("config", "aliases", "data: &d {dataset: synthetic}\nmodel: {layers: [&r relu, *r, {residual: {body: [*r]}}]}\n")
    write("config", "second_document", "seed: 1\n---\nseed: 2\n")
    write("result_json", "result", json.dumps(RESULT))
    write("result_json", "layers", json.dumps(LAYERS))

    line = lambda step, **tensors: json.dumps({"step": step, "tensors": tensors}, separators=(",", ":")) + "\n"
    write("digests", "two_runs", line(1, a="00", b="01") + line(2, a="02", b="03") + "\n" + line(1, a="00", b="01") + line(2, a="ff"))
    write("digests", "cut", line(1, a="00") + '{"step":2,"tens')

    write("latest", "eight_digits", "step-00000234.safetensors")
    write("latest", "ten_digits", "step-1234567890.safetensors")
    write("latest", "outside", "../../step-00000234.safetensors")

    write("arguments", "train", "configs/mlp.yaml\n--set\nbatch.global=512\n--workers\n3\n--resume")
    write("arguments", "settings", "a.yaml\n--set=model.layers=[relu, {linear: {out: 10}}]\n--set\ndata.path=\n--set=seed=7")
    write("arguments", "help", "--help")
    write("arguments", "dashes", "--\n-x\n--top=\n-h")


main()
