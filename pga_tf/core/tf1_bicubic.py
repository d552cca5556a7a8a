"""TensorFlow 1's bicubic resize, in which some published models saw their pictures; NumPy alone, for clients too.

`tf.image.resize_images` called ResizeBicubic without half-pixel centres: output pixel i is read at i * in / out, so the
picture moves by up to half a pixel, nothing is averaged where it shrinks, and the cubic has A = -0.75.
"""

import numpy as np

A = -0.75  # Pillow and TensorFlow 2 take -0.5
STEPS = 1024  # between two pixels; weights were read from a table
_OFFSETS = np.arange(-1, 3)  # of the four pixels around a place


def _weight(distance):
    """The cubic at `distance` >= 0 pixels."""
    near = ((A + 2) * distance - (A + 3)) * distance**2 + 1
    far = ((A * distance - 5 * A) * distance + 8 * A) * distance - 4 * A
    return np.where(distance <= 1, near, far)


def _along(image, axis, count):
    """`image` with `count` values along `axis`."""
    size = image.shape[axis]
    place = np.arange(count, dtype=np.float32) * np.float32(size / count)
    pixel = np.floor(place)
    part = np.rint((place - pixel) * STEPS) / STEPS
    weights = _weight(np.abs(part[:, None] - _OFFSETS)).astype(np.float32)
    pixels = np.clip(pixel.astype(int)[:, None] + _OFFSETS, 0, size - 1)
    shape = [count if a == axis else 1 for a in range(image.ndim)]
    taken = [weights[:, k].reshape(shape) * np.take(image, pixels[:, k], axis) for k in range(len(_OFFSETS))]
    return np.sum(taken, axis=0, dtype=np.float32)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """`[H, W]` or `[H, W, C]` to float32 of `size` (H, W); at edges the cubic leaves the range of the values."""
    return _along(_along(image, 0, size[0]), 1, size[1])
