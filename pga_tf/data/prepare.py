"""Crop, colour and resize for arrays and tensors; `folder` does the same to files with PIL."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from pga_tf.core import checks
from pga_tf.settings.data import DataOptions

CHANNELS = {"grey": 1, "rgb": 3}


def prepared_shape(shape: Sequence[int | None], options: DataOptions, *, name: str) -> tuple[int, int, int]:
    """The shape (H, W, C) that images of `shape` get; H and W may be None where the images differ in size.

    Raises:
      InputError: the images differ in size and `options` does not set one, or are smaller than the crop.
    """
    height, width, channels = shape
    if options.crop and min(height or options.crop, width or options.crop) < options.crop:
        checks.refuse(
            f"--crop={options.crop}",
            expected=f"at most the shorter side of the images of {name}",
            received=f"images of {height} x {width} pixels",
            remedy=f"pass --crop={min(height, width)} or less, or 0 for the largest centred square",
        )
    side = options.image_size or options.crop
    if side:
        height = width = side
    elif height is None or width is None:
        checks.refuse(
            f"Images of {name}",
            expected="one size",
            received="images of several sizes",
            remedy="pass --image_size=64, or another side in pixels",
        )
    return height, width, CHANNELS.get(options.colour, channels)


def prepare(
    images: tf.Tensor, shape: tuple[int, int, int], options: DataOptions, *, value_range: tuple[float, float]
) -> tf.Tensor:
    """Images `[..., H', W', C']` to `[..., *shape]`, dtype and range kept: crop, colour, resize."""
    dtype = images.dtype
    if options.crop or options.image_size:
        images = _centre_crop(images, options.crop)
    if shape[2] != images.shape[-1]:
        grey = shape[2] == 1
        images = tf.image.rgb_to_grayscale(images) if grey else tf.image.grayscale_to_rgb(images)
    if options.image_size:
        # The cubic overshoots at edges.
        images = tf.clip_by_value(_resized(images, shape[:2], options.resize), *value_range)
        images = tf.cast(tf.round(images) if dtype == tf.uint8 else images, dtype)
    return tf.ensure_shape(images, [*images.shape[:-3], *shape])


def prepare_array(
    images: np.ndarray, shape: tuple[int, int, int], options: DataOptions, *, value_range: tuple[float, float]
) -> np.ndarray:
    """`prepare` for an array `[N, H', W', C']`; the array itself where there is nothing to do."""
    if images.shape[1:] == shape:
        return images
    out = np.empty((len(images), *shape), images.dtype)
    for start in range(0, len(images), 1024):
        part = tf.constant(images[start : start + 1024])
        out[start : start + 1024] = prepare(part, shape, options, value_range=value_range).numpy()
    return out


def _resized(images, size, resize):
    if resize != "tf1_bicubic":  # PIL's bicubic and bilinear have the same kernels
        return tf.image.resize(images, size, method=resize, antialias=True)
    batch = images if images.shape.rank == 4 else images[None]
    batch = tf.raw_ops.ResizeBicubic(images=batch, size=size, align_corners=False, half_pixel_centers=False)
    return batch if images.shape.rank == 4 else batch[0]


def _centre_crop(images, crop):
    height, width = images.shape[-3], images.shape[-2]
    if height is None or width is None:
        dynamic = tf.shape(images)
        height, width = dynamic[-3], dynamic[-2]
        smaller = tf.minimum(height, width)
        message = f"an image is smaller than --crop={crop}"
        side = crop or smaller
        tf.debugging.assert_less_equal(side, smaller, message=message)
    else:
        side = crop or min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return images[..., top : top + side, left : left + side, :]
