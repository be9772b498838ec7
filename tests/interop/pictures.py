#!/usr/bin/env python3
"""Pictures that Pillow wrote, as `predict` sees them, against Pillow's own decoding, scaling and cutting: every pixel.

  pictures.py INTEROP_PICTURES_BINARY
"""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

SIZES = [(28, 28), (32, 32), (3, 7), (61, 40), (40, 61), (1, 200), (333, 1), (224, 225)]  # width, height
SHAPES = [(28, 28), (32, 20), (5, 64)]  # height, width of a network's input
PNG_MODES = ["L", "RGB", "RGBA", "LA", "P", "1"]
JPEGS = {"gray": ("L", {}), "plain": ("RGB", {}), "sharp": ("RGB", {"subsampling": 0, "quality": 95}),
         "halved": ("RGB", {"subsampling": 1}), "coarse": ("RGB", {"quality": 20}),
         "progressive": ("RGB", {"progressive": True})}


def original(size, seed):
    """Smooth shapes and noise, in color."""
    width, height = size
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    waves = [128 + 100 * np.sin(x / (3 + c) + y / (5 - c)) for c in range(3)]
    return Image.fromarray((np.stack(waves, -1) + random.integers(-27, 28, (height, width, 3))).astype(np.uint8))


def write_all(folder):
    for seed, size in enumerate(SIZES):
        image = original(size, seed)
        for mode in PNG_MODES:
            converted = image.convert(mode)
            if mode in ("RGBA", "LA"):
                converted.putalpha(image.getchannel(0))
            converted.save(folder / f"{mode}-{size[0]}x{size[1]}.png")
        for name, (mode, options) in JPEGS.items():
            image.convert(mode).save(folder / f"{name}-{size[0]}x{size[1]}.jpg", **options)
    return sorted(folder.iterdir())


def by_pillow(file, height, width, channels):
    """The usual evaluation crop, as torchvision's Resize and CenterCrop call it."""
    image = Image.open(file)
    # What has no color goes to gray at once, and then to color, as it does here.
    image = image.convert("L" if channels == 1 or image.mode in ("L", "LA", "1") else "RGB")
    image = image.convert("L" if channels == 1 else "RGB")
    if image.width * height >= image.height * width:
        image = image.resize((image.width * height // image.height, height), Image.Resampling.BILINEAR)
    else:
        image = image.resize((width, image.height * width // image.width), Image.Resampling.BILINEAR)
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height)).tobytes()


def main():
    [ours] = sys.argv[1:]
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        files = write_all(Path(name))
        for height, width in SHAPES:
            for channels in (1, 3):
                shape = [height, width, channels]
                pixels = subprocess.run([ours, *map(str, shape), *files], check=True, stdout=subprocess.PIPE).stdout
                size = height * width * channels
                for i, file in enumerate(files):
                    got = np.frombuffer(pixels[i * size : (i + 1) * size], np.uint8).astype(int)
                    expected = np.frombuffer(by_pillow(file, *shape), np.uint8).astype(int)
                    if (got != expected).any():
                        failures += 1
                        print(f"FAIL {file.name} as {shape}: {(got != expected).sum()} of {size} pixels differ, "
                              f"by {abs(got - expected).max()} at most")
        print(f"{len(files)} pictures in {2 * len(SHAPES)} shapes")
    sys.exit(f"{failures} checks failed" if failures else 0)


main()
