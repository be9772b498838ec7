"""Small data sets in other formats than MNIST's, the same everywhere."""

import hashlib


def noise(what, size):
    return hashlib.shake_128(what.encode()).digest(size)


def write_cifar10(folder, samples=19, test_samples=33):
    """CIFAR-10's binary files; `samples` in each of the five to train on."""
    folder.mkdir()
    files = {**{f"data_batch_{i}.bin": samples for i in range(1, 6)}, "test_batch.bin": test_samples}
    for name, count in files.items():
        records = (bytes([(7 * i + len(name)) % 10]) + noise(f"{name} {i}", 3072) for i in range(count))
        (folder / name).write_bytes(b"".join(records))
    (folder / "batches.meta.txt").write_text("".join(f"class {i}\n" for i in range(10)) + "\n")


def write_image_folder(folder, samples=95, test_samples=33):
    """JPEG and PNG, gray and in color, of many sizes, in three classes; one of them is no picture."""
    from PIL import Image

    for half, count in {"train": samples, "test": test_samples}.items():
        for i in range(count):
            place = folder / half / f"class {i % 3}"
            place.mkdir(parents=True, exist_ok=True)
            size = (20 + 7 * i % 90, 24 + 11 * i % 70)
            coarse = Image.frombytes("RGB", (9, 7), noise(f"{half} {i}", 9 * 7 * 3))
            image = coarse.resize(size, Image.Resampling.BICUBIC).convert("L" if i % 5 == 0 else "RGB")
            image.save(place / f"{i}.{'png' if i % 4 == 0 else 'jpg'}")
    (folder / "train" / "class 1" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no picture")
