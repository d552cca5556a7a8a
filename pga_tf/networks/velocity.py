"""A residual network on codes and a time in [0, 1]."""

import math

import keras
import tensorflow as tf

WAVES = 8  # frequencies of the time's embedding


def embedded(t: tf.Tensor) -> tf.Tensor:
    """Sines and cosines of pi 2^(k - 1) t, k = 0 to `WAVES` - 1: times `[B]` to `[B, 2 * WAVES]`."""
    angles = math.pi * t[:, None] * tf.constant([2.0 ** (k - 1) for k in range(WAVES)])
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)


class Velocity(keras.layers.Layer):
    """v(y, t): codes `[B, inputs]` and times `[B]` to `[B, inputs]`; 0 everywhere before training.

    A dense layer to `width`; `depth` blocks that add [layer norm, + W embedded(t), SiLU, dense, SiLU, dense]; a head.
    """

    def __init__(self, inputs: int, *, width: int, depth: int, name: str | None):
        super().__init__(name=name, dtype="float32")

        def made(kind, size, **how):
            layer = kind(**how, dtype="float32")
            layer.build((None, size))
            return layer

        dense = keras.layers.Dense
        self.first = made(dense, inputs, units=width, name="first")
        blocks = range(1, depth + 1)
        norm, zero = keras.layers.LayerNormalization, {"kernel_initializer": "zeros"}
        self.norms = [made(norm, width, name=f"norm_{i}") for i in blocks]
        self.times = [made(dense, 2 * WAVES, units=width, name=f"time_{i}") for i in blocks]
        self.hidden = [made(dense, width, units=width, name=f"hidden_{i}") for i in blocks]
        self.last = [made(dense, width, units=width, name=f"last_{i}", **zero) for i in blocks]
        self.head = made(dense, width, units=inputs, name="head", **zero)
        self.built = True

    def call(self, y: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        x, waves = self.first(y), embedded(t)
        for norm, time, hidden, last in zip(self.norms, self.times, self.hidden, self.last, strict=True):
            x += last(tf.nn.silu(hidden(tf.nn.silu(norm(x) + time(waves)))))
        return self.head(x)
