"""Pixel ranges. Data is uint8, or float in a declared range; a method trains in a range that it declares."""

import tensorflow as tf

UINT8 = (0.0, 255.0)
ROUNDINGS = {"nearest": tf.round, "down": tf.floor}


def rescale(images: tf.Tensor, source: tuple[float, float], target: tuple[float, float]) -> tf.Tensor:
    """Maps float or integer `images` linearly from range `source` to range `target`, as float32."""
    images = tf.cast(images, tf.float32)
    if tuple(source) == tuple(target):
        return images
    unit = (images - source[0]) / (source[1] - source[0])
    return unit * (target[1] - target[0]) + target[0]


def to_uint8(images: tf.Tensor, source: tuple[float, float], rounding: str = "nearest") -> tf.Tensor:
    """Quantises float `images` in range `source` to uint8 by `ROUNDINGS[rounding]`, clipped."""
    return tf.cast(tf.clip_by_value(ROUNDINGS[rounding](rescale(images, source, UINT8)), 0.0, 255.0), tf.uint8)
