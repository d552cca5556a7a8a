"""What stages work on, made before they are measured, by a process of its own: photographs, records, arrays.

Photographs are crops of the two that come with scikit-learn, as JPEGs of quality 90; no two are the same place.
"""

import json
import os
import pathlib
import shutil
import sys
from collections.abc import Iterator

import numpy as np

from tools.growth.stages import FEATURES

QUALITY = 90
TEST_FRACTION, SHARDS = 0.1, 4
CODES = 32


def crops(count: int, side: int) -> np.ndarray:
    """uint8 `[count, side, side, 3]`, crops at random places; the same in every process."""
    from sklearn import datasets

    pictures, rng = datasets.load_sample_images().images, np.random.default_rng(0)
    images = np.empty((count, side, side, 3), np.uint8)
    for number, image in enumerate(images):
        picture = pictures[number % len(pictures)]
        top, left = (int(rng.integers(0, extent - side)) for extent in picture.shape[:2])
        image[:] = picture[top : top + side, left : left + side]
    return images


def photographs(folder: pathlib.Path, count: int, side: int) -> None:
    """Writes a folder of JPEGs."""
    from PIL import Image

    for number, image in enumerate(crops(count, side)):
        Image.fromarray(image).save(folder / f"{number:06d}.jpg", quality=QUALITY)


def examples(folder: pathlib.Path, count: int, side: int) -> None:
    """Writes ExampleGen's records of the photographs, and beside them the schema that Transform asks for."""
    from pipelines.components import artifacts
    from pipelines.components.example_gen import example_gen

    dataset = f"folder:{made(folder.parent, 'photographs', count, side)}"
    example_gen(str(folder), dataset, TEST_FRACTION, SHARDS)
    schema = {"height": side, "width": side, "channels": 3}
    (folder / artifacts.SCHEMA).write_text(json.dumps(schema))


def array(folder: pathlib.Path, count: int, side: int) -> None:
    """Writes the array that Transform leaves, of noise."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side, 1), np.uint8)
    np.savez(folder / "images.npz", images=images, test=np.arange(count) % 10 == 0)


def pictures(folder: pathlib.Path, count: int, side: int) -> None:
    """Writes an array of photographs as `array` does."""
    np.savez(folder / "images.npz", images=crops(count, side))


MAKERS = {"photographs": photographs, "examples": examples, "array": array, "pictures": pictures}


def place(base: pathlib.Path, kind: str, count: int, side: int) -> pathlib.Path:
    """Where the folder of a kind lies below `base`."""
    return base / f"{kind}_{count}_{side}"


def made(base: pathlib.Path, kind: str, count: int, side: int) -> pathlib.Path:
    """The folder of a kind below `base`, made where it is missing; it appears whole or not at all."""
    folder = place(base, kind, count, side)
    if not folder.exists():
        begun = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(begun, ignore_errors=True)
        begun.mkdir(parents=True)
        MAKERS[kind](begun, count, side)
        begun.replace(folder)
    return folder


def mapped(folder: pathlib.Path):
    """The `Source` of an array in `folder`, mapped as one of more than a gigabyte is."""
    from pga_tf import data
    from pga_tf.data import random_access

    random_access.LIMIT_BYTES = 0
    return data.load(data.DataOptions(dataset=f"npz:{folder / 'images.npz'}"))


def batches(count: int, block: np.ndarray, size: int = 250) -> Iterator[np.ndarray]:
    """`count` rows of `block`, whose length `size` divides, over and over, `size` at a time: memory does not grow."""
    for start in range(0, count, size):
        first = start % len(block)
        yield block[first : first + size]


def features(count: int, seed: int) -> np.ndarray:
    """float32 `[count, FEATURES]`, normal ones, neither independent nor of one scale."""
    rng = np.random.default_rng(seed)
    scale = (np.arange(1, FEATURES + 1) ** -0.5).astype(np.float32)
    made = rng.standard_normal((count, FEATURES), np.float32)  # and no other array of that size: memory is measured
    made *= scale
    made += 0.1 * rng.standard_normal((count, 1), np.float32)
    return made


def codes(count: int) -> np.ndarray:
    """float32 `[count, CODES]` of a mixture of twenty Gaussians that overlap."""
    rng = np.random.default_rng(0)
    centres = 0.4 * rng.normal(size=(20, CODES))  # so near that EM has work to do
    return (centres[rng.integers(0, 20, count)] + rng.normal(size=(count, CODES))).astype(np.float32)


if __name__ == "__main__":
    made(pathlib.Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
