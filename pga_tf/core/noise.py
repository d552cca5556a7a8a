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
    return _as_uniform(bits)


def _as_uniform(bits):
    # The upper 24 bits, moved off zero by half a step: exact in float32 but for rounding at 1.
    moved = (tf.cast(tf.bitwise.right_shift(bits, tf.constant(8, tf.uint32)), tf.float32) + 0.5) * 2.0**-24
    return tf.minimum(moved, 1.0 - 2.0**-24)


def truncated_normal(shape: Sequence[int | tf.Tensor], key: tf.Tensor) -> tf.Tensor:
    """Draws from N(0, 1) cut off at `TRUNCATION`, by the inverse of its distribution function: float32 of `shape`."""
    within = math.erf(TRUNCATION / math.sqrt(2.0))
    return math.sqrt(2.0) * tf.math.erfinv(within * (2.0 * uniform(shape, key) - 1.0))


def uniforms_of_each(count: int, keys: tf.Tensor) -> tf.Tensor:
    """`[B, count]`: row i is `uniform([count], keys[i])`, bit for bit, for integer keys `[B, 2]`; all rows at once."""
    words = _words(tf.cast(keys, tf.int64))
    # As TensorFlow does: the key is a first block of a fixed key's, so that no seed is weak, and so is the counter.
    fixed = [tf.fill(tf.shape(words[0]), tf.constant(k, tf.uint32)) for k in (0x3EC8F720, 0x02461E29)]
    mixed = [word[:, None] for word in _philox(words, fixed)]
    blocks = tf.cast(tf.range(-(-count // 4)), tf.uint32)[None, :] + tf.zeros_like(mixed[0])
    like = tf.zeros_like(blocks)
    drawn = _philox([blocks, like, mixed[2] + like, mixed[3] + like], [mixed[0] + like, mixed[1] + like])
    bits = tf.reshape(tf.stack(drawn, axis=2), [-1, 4 * (-(-count // 4))])[:, :count]
    return _as_uniform(bits)


def _words(keys):
    """The four 32-bit words of int64 keys `[B, 2]`, low ones first: each `[B]`."""
    unsigned = tf.bitcast(keys, tf.uint64)
    low = tf.cast(tf.bitwise.bitwise_and(unsigned, tf.constant(0xFFFFFFFF, tf.uint64)), tf.uint32)
    high = tf.cast(tf.bitwise.right_shift(unsigned, tf.constant(32, tf.uint64)), tf.uint32)
    return [low[:, 0], high[:, 0], low[:, 1], high[:, 1]]


def _philox(counter, key):
    """A block of Philox 4x32-10 (Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011): four words."""
    low_half, shift = tf.constant(0xFFFFFFFF, tf.uint64), tf.constant(32, tf.uint64)
    a, b, c, d = counter
    left, right = key
    for turn in range(10):
        if turn:
            left, right = left + tf.constant(0x9E3779B9, tf.uint32), right + tf.constant(0xBB67AE85, tf.uint32)
        of_a = tf.cast(a, tf.uint64) * tf.constant(0xD2511F53, tf.uint64)
        of_c = tf.cast(c, tf.uint64) * tf.constant(0xCD9E8D57, tf.uint64)
        lows = [tf.cast(tf.bitwise.bitwise_and(product, low_half), tf.uint32) for product in (of_a, of_c)]
        highs = [tf.cast(tf.bitwise.right_shift(product, shift), tf.uint32) for product in (of_a, of_c)]
        a = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(highs[1], b), left)
        c = tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(highs[0], d), right)
        b, d = lows[1], lows[0]
    return [a, b, c, d]


def standard_normal(shape: Sequence[int | tf.Tensor], key: tf.Tensor) -> tf.Tensor:
    """Draws from N(0, 1) by Box and Muller.

    Args:
      shape: list of ints or int tensors.
      key: integer tensor `[2]`.

    Returns:
      float32 of `shape`, of absolute value below 5.9; equal to float rounding however it is executed.
    """
    return _normal_of(*tf.unstack(uniform([2, *shape], key)))


def normals_of_each(count: int, keys: tf.Tensor) -> tf.Tensor:
    """`[B, count]`: row i is `standard_normal([count], keys[i])` to a rounding, for integer keys `[B, 2]`; all at once.

    Row i is a function of keys[i] alone, to the last bit. For that rows are filled up to whole vector registers: of
    what is left over at the end of a tensor, TensorFlow takes logarithm and cosine by code that rounds otherwise.
    """
    filled = [[0, 0], [0, -count % 16]]
    pair = tf.split(uniforms_of_each(2 * count, keys), 2, axis=1)
    return _normal_of(*(tf.pad(part, filled, constant_values=0.5) for part in pair))[:, :count]


def _normal_of(first, second):
    return tf.sqrt(-2.0 * tf.math.log(first)) * tf.cos(2.0 * math.pi * second)
