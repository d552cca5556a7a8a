"""Kernels in fewer bits: which layer's outputs lie where, and how near each of them stays."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf.networks.spectral import SpectralConv2D, SpectralConv2DTranspose, SpectralDense
from pga_tf.networks.stored import Stored

SAME = {"strides": 2, "padding": "same"}
LAYERS = {  # layer, shape of its input, the axis of its kernel's outputs
    "dense": (lambda: keras.layers.Dense(3), (None, 5), 1),
    "conv": (lambda: keras.layers.Conv2D(3, 4, **SAME), (None, 8, 8, 5), 3),
    "transposed": (lambda: keras.layers.Conv2DTranspose(3, 4, **SAME), (None, 4, 4, 5), 2),
    "transposed_1d": (lambda: keras.layers.Conv1DTranspose(3, 4, **SAME), (None, 4, 5), 1),
    "spectral_dense": (lambda: SpectralDense(3), (None, 5), 1),
    "spectral_conv": (lambda: SpectralConv2D(3, 4, strides=2), (None, 8, 8, 5), 3),
    "spectral_transposed": (lambda: SpectralConv2DTranspose(3, 4, strides=2), (None, 4, 4, 5), 2),
}


class Holder(keras.Model):
    """A model that holds a layer two levels down, as methods hold networks that hold layers."""

    def __init__(self, layer):
        super().__init__()
        self.network = keras.Sequential([layer])


@pytest.mark.parametrize("name", LAYERS)
def test_int8_rounds_to_the_nearest_of_255_levels_of_each_output(name):
    make, shape, axis = LAYERS[name]
    layer = make()
    layer.build(shape)
    kernel = layer.kernel
    outputs = np.reshape([1e-3, 1.0, 0.0], [3 if i == axis else 1 for i in range(len(kernel.shape))])
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape) * outputs)
    holder = Holder(layer)
    stored = Stored(holder.variables, "int8", (object(), holder))
    ((variable, restored),) = stored.mapping()  # biases, and u of a spectral layer, stay as they are
    assert variable is kernel
    others = tuple(i for i in range(len(kernel.shape)) if i != axis)
    half_a_level = np.abs(kernel.numpy()).max(axis=others, keepdims=True) / 254.0
    error = np.abs(restored - kernel.numpy())
    assert (error <= half_a_level * 1.001).all()
    assert error.max() > 0.5 * half_a_level.max()  # it is rounded at all
    values, scale = stored.variables()
    assert values.dtype == tf.int8
    assert tf.size(scale) == 3
    assert (scale.numpy() > 0).all()  # what NaN becomes as int8, for an output of zeros, no one promises


def test_bfloat16_keeps_eight_bits():
    kernel = keras.Variable(np.random.default_rng(0).normal(size=[40, 3]))
    ((_, restored),) = Stored([kernel], "bfloat16", ()).mapping()
    np.testing.assert_allclose(restored, kernel.numpy(), rtol=2.0**-8)
    np.testing.assert_array_equal(restored, tf.cast(tf.cast(kernel.value, tf.bfloat16), tf.float32))
