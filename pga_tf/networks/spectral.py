"""Spectral normalisation as a reparameterisation: layers that divide their kernel by its spectral norm.

W / sigma, sigma = v' W u, for the kernel as a matrix W of (all other axes) x (outputs), u and v by one power
iteration a call (Miyato et al. 2018). The kernel itself is never rewritten, so several passes in a step, and
functional calls, see the same W. Gradients flow through sigma with u and v held.
"""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from pga_tf.networks.sources import SourceLayer

EPSILON = 1e-12


def power_iteration(matrix: tf.Tensor, u: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(sigma, next u) by one step on `matrix` `[K, N]` from `u` `[N]`: a scalar and a unit vector.

    v = W u / |W u|, u = W' v / |W' v|, sigma = v' W u. No gradient flows into u and v.
    """
    held = tf.stop_gradient(matrix)
    v = tf.math.l2_normalize(tf.linalg.matvec(held, u), epsilon=EPSILON)
    u = tf.math.l2_normalize(tf.linalg.matvec(held, v, transpose_a=True), epsilon=EPSILON)
    return tf.tensordot(v, tf.linalg.matvec(matrix, u), axes=1), u


class _Spectral(SourceLayer):
    """A kernel, its vector u (moved in training mode alone) and a bias; all kept in float32."""

    def __init__(self, outputs, *, use_bias=True, name=None, dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.outputs, self.use_bias = outputs, use_bias

    def _add_weights(self, kernel_shape):
        self.kernel = self.add_weight(name="kernel", shape=kernel_shape, initializer="glorot_uniform", autocast=False)
        # Replicas hold the same kernel and the same u, so any one of them may write.
        self.u = self.add_weight(
            name="u",
            shape=(self.outputs,),
            initializer="random_normal",
            trainable=False,
            autocast=False,
            aggregation="only_first_replica",
        )
        if self.use_bias:
            self.bias = self.add_weight(name="bias", shape=(self.outputs,), initializer="zeros")

    def _matrix(self, kernel):
        return tf.reshape(kernel, [-1, self.outputs])

    def _normalised_kernel(self, training):
        kernel = self.kernel.value
        sigma, u = power_iteration(self._matrix(kernel), self.u.value)
        if training:
            self.u.assign(u)
        return tf.cast(kernel / sigma, self.compute_dtype)

    def _add_bias(self, y):
        return tf.nn.bias_add(y, self.bias.value) if self.use_bias else y


class SpectralDense(_Spectral):
    """`[B, F]` to `[B, units]`."""

    def __init__(self, units: int, **kwargs: Any):
        super().__init__(units, **kwargs)

    def build(self, input_shape: tuple[int, ...]) -> None:
        self._add_weights((input_shape[-1], self.outputs))

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (*input_shape[:-1], self.outputs)

    def call(self, x: tf.Tensor, sources: Sequence[str] = ("data",), training: bool = False) -> tf.Tensor:
        return self._add_bias(tf.matmul(x, self._normalised_kernel(training)))


class SpectralConv2D(_Spectral):
    """`[B, H, W, C]` to `[B, ceil(H / strides), ceil(W / strides), filters]`, "same" padding."""

    def __init__(self, filters: int, kernel_size: int, *, strides: int, **kwargs: Any):
        super().__init__(filters, **kwargs)
        self.kernel_size, self.strides = kernel_size, strides

    def build(self, input_shape: tuple[int, ...]) -> None:
        self._add_weights((self.kernel_size, self.kernel_size, input_shape[-1], self.outputs))

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        batch, height, width, _ = input_shape
        return batch, -(-height // self.strides), -(-width // self.strides), self.outputs

    def call(self, x: tf.Tensor, sources: Sequence[str] = ("data",), training: bool = False) -> tf.Tensor:
        return self._add_bias(tf.nn.conv2d(x, self._normalised_kernel(training), self.strides, "SAME"))


class SpectralConv2DTranspose(_Spectral):
    """`[B, H, W, C]` to `[B, strides H, strides W, filters]`, "same" padding."""

    def __init__(self, filters: int, kernel_size: int, *, strides: int, **kwargs: Any):
        super().__init__(filters, **kwargs)
        self.kernel_size, self.strides = kernel_size, strides

    def build(self, input_shape: tuple[int, ...]) -> None:
        self._add_weights((self.kernel_size, self.kernel_size, self.outputs, input_shape[-1]))

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        batch, height, width, _ = input_shape
        return batch, height * self.strides, width * self.strides, self.outputs

    def _matrix(self, kernel):
        return tf.reshape(tf.transpose(kernel, [0, 1, 3, 2]), [-1, self.outputs])

    def call(self, x: tf.Tensor, sources: Sequence[str] = ("data",), training: bool = False) -> tf.Tensor:
        shape = [tf.shape(x)[0], *self.compute_output_shape(x.shape)[1:]]
        y = tf.nn.conv2d_transpose(x, self._normalised_kernel(training), shape, self.strides, "SAME")
        return self._add_bias(y)


def normalised(layer: keras.layers.Layer) -> keras.layers.Layer:
    """The counterpart of an unbuilt Keras `Dense`, `Conv2D` or `Conv2DTranspose` here; any other layer as it is.

    Containers of layers (`SourceLayer`) get their own layers replaced.
    """
    if isinstance(layer, SourceLayer):
        layer.replace(normalised)
        return layer
    common = {"name": layer.name, "dtype": layer.dtype_policy}
    if isinstance(layer, layers.Dense):
        return SpectralDense(layer.units, use_bias=layer.use_bias, **common)
    for plain, spectral in ((layers.Conv2DTranspose, SpectralConv2DTranspose), (layers.Conv2D, SpectralConv2D)):
        if isinstance(layer, plain):
            return spectral(
                layer.filters, layer.kernel_size[0], strides=layer.strides[0], use_bias=layer.use_bias, **common
            )
    return layer
