"""Smaller weights for an export: kernels as bfloat16 or int8, computed with as float32."""

import tensorflow as tf

from pga_tf.core import checks

KINDS = ("none", "bfloat16", "int8")
TOLERANCES = {"none": 1e-5, "bfloat16": 0.02, "int8": 0.05}
"""How far the gate lets the exported model be from the Python one: largest difference, over max(1, largest value)."""


class Stored:
    """Kernels of Keras variables, kept in fewer bits.

    int8 has one scale for each output (the last axis), so that w = scale * q with q in [-127, 127]. Biases, norms and
    statistics stay float32: they are few and sensitive.
    """

    def __init__(self, variables, kind):
        checks.require_member("--optimize", kind, KINDS[1:])
        self._kept = {}
        for variable in variables:
            if len(variable.shape) >= 2 and variable.trainable:
                self._kept[id(variable)] = (variable, *_compressed(variable, kind))

    def replaces(self, variable):
        return id(variable) in self._kept

    def variables(self):
        return [part for _, *parts in self._kept.values() for part in parts]

    def mapping(self):
        """Pairs of Keras variable and the tensor that stands for it, for `keras.StatelessScope`."""
        return [(variable, _restored(parts)) for variable, *parts in self._kept.values()]


def _compressed(variable, kind):
    value = tf.cast(variable.value, tf.float32)
    if kind == "bfloat16":
        return [tf.Variable(tf.cast(value, tf.bfloat16), trainable=False)]
    largest = tf.reduce_max(tf.abs(value), axis=list(range(len(value.shape) - 1)))
    scale = tf.where(largest > 0, largest / 127.0, 1.0)
    return [tf.Variable(tf.cast(tf.round(value / scale), tf.int8), trainable=False), tf.Variable(scale)]


def _restored(parts):
    values, *scale = parts
    restored = tf.cast(values, tf.float32)
    return restored * scale[0] if scale else restored
