#!/usr/bin/env python3
"""Pictures that Pillow wrote, as lockstep sees them, against Pillow's own decoding, scaling, cutting and coloring, by
itself and as torchvision uses it: every pixel, but where a random crop comes from a smaller decoding.

  pictures.py INTEROP_PICTURES_BINARY
"""
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.transforms import functional

SIZES = [(28, 28), (32, 32), (3, 7), (61, 40), (40, 61), (1, 200), (333, 1), (224, 225)]  # width, height
SHAPES = [(28, 28), (32, 20), (5, 64)]  # height, width of a network's input
PNG_MODES = ["L", "RGB", "RGBA", "LA", "P", "1"]
JPEGS = {"gray": ("L", {}), "plain": ("RGB", {}), "sharp": ("RGB", {"subsampling": 0, "quality": 95}),
         "halved": ("RGB", {"subsampling": 1}), "coarse": ("RGB", {"quality": 20}),
         "progressive": ("RGB", {"progressive": True})}


def original(size, seed, width_of_shapes=1):
    """Smooth shapes and noise, in color."""
    width, height = size
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width] / width_of_shapes
    waves = [128 + 100 * np.sin(x / (3 + c) + y / (5 - c)) for c in range(3)]
    return Image.fromarray((np.stack(waves, -1) + random.integers(-27, 28, (height, width, 3))).astype(np.uint8))


def write_raw(file, pixels, chunks):
    """A PNG as Pillow writes none. `pixels`: rows, columns, channels, of 8 or 16 bits."""
    height, width, channels = pixels.shape
    color = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    content = {"IHDR": struct.pack(">IIBBBBB", width, height, 8 * pixels.itemsize, color, 0, 0, 0), **chunks,
               "IDAT": zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)), "IEND": b""}
    packed = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed(k.encode(), d) for k, d in content.items()))


def write_strange(folder, image, seed):
    """Values of 16 bits, and what other programs tell of gamma and significant bits."""
    size = f"{image.width}x{image.height}"
    noise = np.random.default_rng(seed).integers(0, 256, (image.height, image.width, 4), np.uint16)
    high = np.dstack([np.asarray(image), noise[:, :, :1]]).astype(np.uint16)
    deep = 256 * high + noise
    for name, channels in {"gray": [0], "gray-alpha": [0, 3], "rgb": [0, 1, 2], "rgba": [0, 1, 2, 3]}.items():
        write_raw(folder / f"deep-{name}-{size}.png", deep[:, :, channels], {})
        told = {"gAMA": struct.pack(">I", 100_000), "sBIT": bytes(3 for _ in channels)}
        write_raw(folder / f"linear-{name}-{size}.png", high[:, :, channels].astype(np.uint8), told)
        write_raw(folder / f"deep-linear-{name}-{size}.png", deep[:, :, channels], told)
    indexed = image.convert("P")
    indexed.save(folder / f"P-transparent-{size}.png", transparency=3)
    image.save(folder / f"RGB-transparent-{size}.png", transparency=image.getpixel((0, 0)))
    for bits in (1, 2, 4):
        image.convert("P", palette=Image.Palette.ADAPTIVE, colors=2**bits).save(folder / f"P{bits}-{size}.png", bits=bits)


def write_all(folder):
    for seed, size in enumerate(SIZES):
        image = original(size, seed)
        write_strange(folder, image, seed)
        for mode in PNG_MODES:
            converted = image.convert(mode)
            if mode in ("RGBA", "LA"):
                converted.putalpha(image.getchannel(0))
            converted.save(folder / f"{mode}-{size[0]}x{size[1]}.png")
        for name, (mode, options) in JPEGS.items():
            image.convert(mode).save(folder / f"{name}-{size[0]}x{size[1]}.jpg", **options)
    return sorted(folder.iterdir())


def read(file, channels):
    image = Image.open(file)
    if image.mode.startswith("I"):  # Pillow has gray of 16 bits as numbers, and makes nearly all of them white
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    # What has no color goes to gray at once, and then to color, as it does here.
    image = image.convert("L" if channels == 1 or image.mode in ("L", "LA", "1") else "RGB")
    return image.convert("L" if channels == 1 else "RGB")


def evaluated(image, height, width, kept=1):
    """The usual evaluation crop, as torchvision's Resize and CenterCrop call it."""
    rows, columns = int(height / kept), int(width / kept)
    if image.width * rows >= image.height * columns:
        image = image.resize((image.width * rows // image.height, rows), Image.Resampling.BILINEAR)
    else:
        image = image.resize((columns, image.height * columns // image.width), Image.Resampling.BILINEAR)
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))


class Checker:
    def __init__(self, ours):
        self.ours = ours
        self.checks = self.failures = 0

    def __call__(self, what, shape, files, expect, differs=lambda difference: (difference != 0).any()):
        """`expect` makes of a PIL image what ours makes of its file; `differs` judges the differences of pixels."""
        command = [self.ours, what, *map(str, shape), *files]
        pixels = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        size = shape[0] * shape[1] * shape[2]
        if len(pixels) != size * len(files):
            sys.exit(f"{len(pixels)} pixels from {command}")
        for i, file in enumerate(files):
            got = np.frombuffer(pixels[i * size : (i + 1) * size], np.uint8).astype(int)
            expected = np.frombuffer(expect(read(file, shape[2])).tobytes(), np.uint8).astype(int)
            self.checks += 1
            if differs(abs(got - expected)):
                self.failures += 1
                print(f"FAIL {what} of {file.name} as {shape}: {(got != expected).sum()} of {size} pixels differ, "
                      f"by {abs(got - expected).max()} at most, {abs(got - expected).mean():.3f} in the mean")


def check_evaluation(check, files):
    for height, width in SHAPES:
        for channels in (1, 3):
            check("kept=1", [height, width, channels], files, lambda image: evaluated(image, height, width))
        check("kept=0.875", [height, width, 3], files, lambda image: evaluated(image, height, width, 0.875))
    torchvision = lambda image: functional.center_crop(functional.resize(image, 64), [56, 56])
    check("kept=0.875", [56, 56, 3], [f for f in files if "61x40" in f.name or "40x61" in f.name], torchvision)


def check_regions(check, files):
    """Random crops: to the bit where a picture is decoded at its size, else about the same."""
    large = [file for file in files if "224x225" in file.name]
    for region in ((0, 0, 225, 224), (3, 17, 40, 61), (224, 223, 1, 1), (100, 7, 33, 200)):
        expect = lambda image: functional.resized_crop(image, *region, [120, 128])
        check("region=" + ",".join(map(str, region)), [120, 128, 3], large, expect)
    # Shapes that the smaller picture can still show.
    smooth = [large[0].parent / f"{name}-of-wide-shapes.jpg" for name in JPEGS]
    for file, (mode, options) in zip(smooth, JPEGS.values(), strict=True):
        original((224, 225), 9, width_of_shapes=8).convert(mode).save(file, **options)
    for region in ((0, 0, 225, 224), (8, 16, 160, 192), (13, 21, 150, 99)):
        expect = lambda image: functional.resized_crop(image, *region, [24, 20])
        check("region=" + ",".join(map(str, region)), [24, 20, 3], smooth, expect,
              lambda difference: difference.mean() > 3 or not difference.any())


def check_colors(check, files):
    files = [file for file in files if "32x32" in file.name and file.suffix == ".png"]
    ways = {"brightness": functional.adjust_brightness, "contrast": functional.adjust_contrast,
            "saturation": functional.adjust_saturation}
    for name, adjust in ways.items():
        for factor in (0, 0.37, 1, 1.4, 2.5):
            check(f"{name}={factor}", [32, 32, 3], files, lambda image: adjust(image, factor))
    for factor in (0.37, 1.4):
        check(f"contrast={factor}", [32, 32, 1], files, lambda image: functional.adjust_contrast(image, factor))
    for shift in (-0.5, -0.21, 0, 0.1, 0.5):
        check(f"hue={shift}", [32, 32, 3], files, lambda image: functional.adjust_hue(image, shift))


def main():
    check = Checker(sys.argv[1])
    with tempfile.TemporaryDirectory() as name:
        files = write_all(Path(name))
        check_evaluation(check, files)
        check_regions(check, files)
        check_colors(check, files)
    print(f"{check.checks} checks of {len(files)} pictures")
    sys.exit(f"{check.failures} checks failed" if check.failures else 0)


main()
