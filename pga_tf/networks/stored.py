"""Smaller weights to hand on: kernels as bfloat16 or int8, computed with as float32."""

import keras
import tensorflow as tf

from pga_tf.core import checks
from pga_tf.networks.spectral import SpectralConv2DTranspose
from pga_tf.settings.export import KINDS

OUTPUTS_BEFORE_INPUTS = (
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
    SpectralConv2DTranspose,
)
"""Layers with kernels [..., outputs, inputs]; those of all others end in their outputs."""


class Stored:
    """Kernels of Keras variables, kept in fewer bits.

    int8 has one scale for each output, so that w = scale * q with q in [-127, 127]. Biases, norms and statistics stay
    float32: they are few and sensitive.

    Args:
      variables: Keras variables. kind: "bfloat16" or "int8".
      owners: what the variables belong to; its Keras layers and models tell on which axis a kernel's outputs lie.
    """

    def __init__(self, variables, kind, owners):
        checks.require_member("--optimize", kind, KINDS[1:])
        before_last = _kernels_of(OUTPUTS_BEFORE_INPUTS, owners)
        self._kept = {}
        for variable in variables:
            if len(variable.shape) >= 2 and variable.trainable:
                axis = len(variable.shape) - (2 if id(variable) in before_last else 1)
                self._kept[id(variable)] = (variable, *_compressed(variable, kind, axis))

    def replaces(self, variable):
        return id(variable) in self._kept

    def parts(self, variable):
        """[values] in bfloat16, or [values, scale] in int8, of a variable that is replaced; see `restored`."""
        return self._kept[id(variable)][1:]

    def variables(self):
        return [part for _, *parts in self._kept.values() for part in parts]

    def mapping(self):
        """Pairs of Keras variable and the tensor that stands for it, for `keras.StatelessScope`."""
        return [(variable, restored(parts)) for variable, *parts in self._kept.values()]


def _kernels_of(kinds, owners):
    """The ids of the variables of all layers of `kinds` that `owners` hold, at any depth."""
    roots = [owner for owner in owners if isinstance(owner, keras.Layer)]
    held = [layer for root in roots for layer in root._flatten_layers() if isinstance(layer, kinds)]
    return {id(variable) for layer in held for variable in layer.variables}


def _compressed(variable, kind, axis):
    """[bfloat16 values], or [int8 values, a scale for each index along `axis` in a shape that multiplies them]."""
    value = tf.cast(variable.value, tf.float32)
    if kind == "bfloat16":
        return [tf.Variable(tf.cast(value, tf.bfloat16), trainable=False)]
    others = [i for i in range(len(value.shape)) if i != axis]
    largest = tf.reduce_max(tf.abs(value), axis=others, keepdims=True)
    scale = tf.where(largest > 0, largest / 127.0, 1.0)
    return [tf.Variable(tf.cast(tf.round(value / scale), tf.int8), trainable=False), tf.Variable(scale)]


def restored(parts):
    """The float32 kernel of [values] in bfloat16, or of [values, scale] in int8."""
    values, *scale = parts
    restored = tf.cast(values, tf.float32)
    return restored * scale[0] if scale else restored
