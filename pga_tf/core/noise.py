"""Noise as a function of a key: the same eagerly, in graphs and under XLA.

TensorFlow's stateless generators agree on random *bits* everywhere, but XLA turns bits into floats by another rule than
the kernels do. So the bits are drawn, and turned into floats here.
"""

import math
from collections.abc import Sequence

import tensorflow as tf

TRUNCATION = 2.0  # standard deviations, as TensorFlow's truncated normal has it


def uniform(shape: Sequence[int | tf.Tensor], key: tf.Tensor) -> tf.Tensor:
    """Draws from U(0, 1), both ends excluded: float32 of `shape` for an integer tensor `key` `[2]`."""
    bits = tf.random.stateless_uniform(shape, seed=key, minval=None, maxval=None, dtype=tf.uint32, alg="philox")
    # The upper 24 bits, moved off zero by half a step: exact in float32 but for rounding at 1.
    moved = (tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) + 0.5) * 2.0**-24
    return tf.minimum(moved, 1.0 - 2.0**-24)


def truncated_normal(shape: Sequence[int | tf.Tensor], key: tf.Tensor) -> tf.Tensor:
    """Draws from N(0, 1) cut off at `TRUNCATION`, by the inverse of its distribution function: float32 of `shape`."""
    within = math.erf(TRUNCATION / math.sqrt(2.0))
    return math.sqrt(2.0) * tf.math.erfinv(within * (2.0 * uniform(shape, key) - 1.0))


def standard_normal(shape: Sequence[int | tf.Tensor], key: tf.Tensor) -> tf.Tensor:
    """Draws from N(0, 1) by Box and Muller.

    Args:
      shape: list of ints or int tensors.
      key: integer tensor `[2]`.

    Returns:
      float32 of `shape`, of absolute value below 5.9; equal to float rounding however it is executed.
    """
    pair = uniform([2, *shape], key)
    radius = tf.sqrt(-2.0 * tf.math.log(pair[0]))
    return radius * tf.cos(2.0 * math.pi * pair[1])
