"""Made-up images of any shape, for tests and benchmarks: a soft blob on a sloping ground, not mere noise."""

import math
import re

import numpy as np

from pga_tf.core import checks, memory
from pga_tf.data.arrays import from_arrays, of_values
from pga_tf.data.source import Source
from pga_tf.settings.data import DataOptions

TRAIN, TEST = 1024, 256


def load(name: str, argument: str, options: DataOptions) -> Source:
    """uint8 `[H, W, C]` of `fake:HxWxC` (28x28x1 where none is given); the same in every run."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([13])", argument or "28x28x1")
    if not match:
        checks.refuse(
            f"--dataset={name}",
            expected="fake:HxWxC with C 1 or 3",
            received=argument,
            remedy="try fake:28x28x1",
        )
    shape = tuple(map(int, match.groups()))
    memory.require(f"--dataset={name}", (TRAIN + TEST) * math.prod(shape), remedy="make the images smaller")
    images = blobs(TRAIN + TEST, shape)
    splits = {"train": slice(TRAIN), "test": slice(TRAIN, None)}
    return from_arrays(name, images, splits, options, identity=of_values(images))


def blobs(count: int, shape: tuple[int, int, int]) -> np.ndarray:
    """uint8 `[count, *shape]`: in each image a blob of random place, size and colour on a random slope."""
    height, width, channels = shape
    random = np.random.default_rng(0)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :, None]
    images = np.empty((count, *shape), np.uint8)
    for image in images:
        top, left, slope_y, slope_x = random.uniform(-0.6, 0.6, 4).astype(np.float32)
        size, colour = (
            np.float32(random.uniform(0.2, 0.5)),
            random.uniform(0.4, 1, channels).astype(np.float32),
        )
        blob = np.exp(-((y - top) ** 2 + (x - left) ** 2) / (2 * size**2))
        image[:] = 255 * np.clip(0.25 + 0.15 * (slope_y * y + slope_x * x) + 0.6 * blob * colour, 0, 1)
    return images
