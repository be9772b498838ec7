#!/usr/bin/env python3
"""The real safetensors package reads what we write, and we read what it writes: names, types, shapes, bytes, metadata.

  safetensors_round_trip.py INTEROP_SAFETENSORS_BINARY LOCKSTEP_BINARY
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pypi
from checks import expect, finish, train

try:
    import numpy as np
    import torch
    from safetensors import SafetensorError, safe_open
    from safetensors.numpy import save_file
    from safetensors.torch import load_file as load_torch_file
    from safetensors.torch import save_file as save_torch_file
except ImportError as error:
    pypi.not_there(error)

OUR_TYPES = [np.float32, np.float64, np.int32, np.int64, np.uint8]


def content(path):
    """Everything that a file says, by the real package."""
    with safe_open(path, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
        return {n: (str(t.dtype), t.shape, t.tobytes()) for n, t in tensors.items()}, file.metadata() or {}


def samples():
    random = np.random.default_rng(1)
    every_type = {f"a.{np.dtype(t).name}": random.integers(0, 200, (3, 4)).astype(t) for t in OUR_TYPES}
    yield "every type", every_type, {"format": "pt", "step": "7"}
    yield "no metadata", {"w": np.float32([[1.5, -2.0]])}, None
    yield "scalars and empty tensors", {
        "scalar": np.array(-7, np.int64), "empty": np.zeros((4, 0, 2), np.float32), "one": np.zeros((1,), np.uint8)}, None
    yield "special values", {"f": np.float32([np.nan, np.inf, -np.inf, -0.0, 1e-45]),
                             "i": np.array([-(2**63), 2**63 - 1], np.int64)}, None
    yield "odd names", {"\"quoted\" \\ \n": np.uint8([1]), "é 漢字 😀": np.uint8([2, 3]), "": np.uint8([4])}, {
        "": "", "ключ": "line\none \"two\" \u0001"}
    yield "odd sizes", {str(n): np.arange(n).astype(t) for n, t in zip((1, 3, 5, 7, 9), OUR_TYPES)}, {}
    yield "a megabyte", {"w": random.standard_normal((512, 513)).astype(np.float32)}, {"a": "b" * 100_000}


def theirs_through_ours(copy, folder):
    for name, tensors, metadata in samples():
        theirs, ours, back = (folder / f"{who}.safetensors" for who in ("theirs", "ours", "back"))
        save_file(tensors, theirs, metadata)
        subprocess.run([copy, theirs, ours], check=True)
        expect(content(ours) == content(theirs), f"theirs, then ours: {name}")
        # And once more through both: nothing wears off.
        subprocess.run([copy, ours, back], check=True)
        expect(back.read_bytes() == ours.read_bytes(), f"ours, then ours: {name}, to the byte")


def types_that_we_do_not_read(copy, folder):
    for dtype in (torch.float16, torch.bfloat16, torch.bool, torch.int8, torch.int16):
        file = folder / "other.safetensors"
        save_torch_file({"w": torch.zeros(3, dtype=dtype)}, file)
        result = subprocess.run([copy, file, folder / "never"], stderr=subprocess.PIPE, text=True)
        refused = result.returncode == 3 and 'tensor "w" has the dtype' in result.stderr
        expect(refused and not (folder / "never").exists(), f"{dtype} is refused by name")


def files_that_neither_reads(copy, folder):
    header = b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}'
    whole = len(header).to_bytes(8, "little") + header + bytes(8)
    for name, data in {
        "cut": whole[:-1], "with a byte behind its end": whole + b"x", "without anything": b"",
        "with a hole": whole.replace(b"[0,8]", b"[4,8]"), "with too long a header": b"\xff" * 8 + whole[8:],
        "with a shape that is not its bytes": whole.replace(b"[2]", b"[3]"),
    }.items():
        file = folder / "bad.safetensors"
        file.write_bytes(data)
        ours = subprocess.run([copy, file, folder / "never"], stderr=subprocess.DEVNULL).returncode
        try:
            content(file)
            theirs = "read"
        except SafetensorError:
            theirs = "refused"
        expect((ours, theirs) == (3, "refused"), f"a file {name} is refused by both")


def trained_model(lockstep, folder):
    run = folder / "run"
    train(lockstep, run, ["schedule.steps=3"])
    ask = lambda *words: json.loads(subprocess.run([lockstep, *words, "--json"], check=True, stdout=subprocess.PIPE).stdout)
    for ours in (run / "final.safetensors", run / "checkpoints" / "step-00000003.safetensors"):
        report = ask("inspect", ours, "--digest")
        tensors = load_torch_file(ours)
        told = {t["name"]: t for t in report["tensors"]}
        expect(sorted(told) == sorted(tensors), f"{ours.name}: they see the same {len(told)} names")
        same = all(list(tensor.shape) == told[name]["shape"] and tensor.min().item() == told[name]["min"]
                   and tensor.max().item() == told[name]["max"] for name, tensor in tensors.items())
        expect(same, f"{ours.name}: and the same shapes, least and largest values")

        metadata = content(ours)[1]
        expect(metadata == report["metadata"], f"{ours.name}: and the same metadata")
        theirs = folder / f"theirs-{ours.name}"
        save_torch_file(tensors, theirs, metadata)
        again = ask("inspect", theirs, "--digest")
        by_name = lambda r: sorted(r["tensors"], key=lambda t: t["name"])
        expect(by_name(again) == by_name(report) and again["metadata"] == metadata,
               f"{ours.name}: saved by them it has the same digests")
        expect(ask("evaluate", theirs) == ask("evaluate", ours), f"{ours.name}: and evaluates to the same loss")


def main():
    copy, lockstep = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs_through_ours(copy, folder)
        types_that_we_do_not_read(copy, folder)
        files_that_neither_reads(copy, folder)
        trained_model(lockstep, folder)
    finish()


main()
