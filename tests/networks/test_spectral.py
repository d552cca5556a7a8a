"""Spectral normalisation against NumPy's singular values, and what it must leave alone."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf.networks.spectral import (
    SpectralConv2D,
    SpectralConv2DTranspose,
    SpectralDense,
    normalised,
    power_iteration,
)


def largest_singular_value(kernel):
    return np.linalg.svd(np.reshape(kernel, [-1, kernel.shape[-1]]), compute_uv=False)[0]


@pytest.fixture(params=["dense", "conv"])
def layer_and_input(request):
    keras.utils.set_random_seed(0)
    layer = SpectralDense(6) if request.param == "dense" else SpectralConv2D(6, 3, strides=2)
    x = tf.random.stateless_normal([4, 9] if request.param == "dense" else [4, 8, 8, 2], seed=[1, 2])
    layer.build(x.shape)
    layer.bias.assign(tf.range(6.0))
    return layer, x


def plain(x, kernel, bias):
    if x.shape.rank == 2:
        return tf.matmul(x, kernel) + bias
    return tf.nn.conv2d(x, kernel, 2, "SAME") + bias


def test_kernel_is_divided_by_its_largest_singular_value(layer_and_input):
    layer, x = layer_and_input
    for _ in range(200):
        layer(x, training=True)
    kernel = layer.kernel.numpy()
    expected = plain(x, kernel / largest_singular_value(kernel), layer.bias.numpy())
    np.testing.assert_allclose(layer(x), expected, rtol=1e-4, atol=1e-5)


def test_the_kernel_is_never_rewritten_and_u_moves_only_in_training(layer_and_input):
    layer, x = layer_and_input
    kernel, u = layer.kernel.numpy(), layer.u.numpy()
    layer(x)
    np.testing.assert_array_equal(layer.u, u)
    layer(x, training=True)
    assert np.max(np.abs(layer.u.numpy() - u)) > 1e-3
    np.testing.assert_array_equal(layer.kernel, kernel)


def test_gradient_flows_through_sigma_with_u_and_v_held():
    """d sigma / dW = v u'; and since the scale of W does not matter, the gradient along W itself is zero."""
    rng = np.random.default_rng(0)
    matrix = tf.constant(rng.standard_normal((5, 4)), tf.float32)
    u = tf.constant(rng.standard_normal(4), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(matrix)
        sigma, next_u = power_iteration(matrix, u)
    v = matrix.numpy() @ u.numpy()
    v /= np.linalg.norm(v)
    np.testing.assert_allclose(tape.gradient(sigma, matrix), np.outer(v, next_u), rtol=1e-4, atol=1e-6)

    layer = SpectralDense(4, use_bias=False)
    layer.build((None, 5))
    x = tf.constant(rng.standard_normal((3, 5)), tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.sin(layer(x)))
    gradient = tape.gradient(loss, layer.kernel.value)
    assert abs(np.sum(gradient * layer.kernel.numpy())) < 1e-5
    assert np.max(np.abs(gradient)) > 1e-2


def test_a_deconvolution_is_divided_by_the_norm_of_its_kernel_as_a_matrix():
    keras.utils.set_random_seed(0)
    layer = SpectralConv2DTranspose(6, 3, strides=2)
    x = tf.random.stateless_normal([2, 4, 4, 5], seed=[1, 2])
    layer.build(x.shape)
    for _ in range(200):
        layer(x, training=True)
    kernel = layer.kernel.numpy()
    norm = np.linalg.svd(kernel.transpose(0, 1, 3, 2).reshape(-1, 6), compute_uv=False)[0]
    plain = keras.layers.Conv2DTranspose(6, 3, strides=2, padding="same")
    plain.build(x.shape)
    plain.kernel.assign(kernel / norm)
    np.testing.assert_allclose(layer(x), plain(x), rtol=1e-3, atol=1e-5)
    assert layer.compute_output_shape(x.shape) == (2, 8, 8, 6)


def test_normalised_takes_over_what_a_layer_was_made_with():
    dense = normalised(keras.layers.Dense(4, use_bias=False, name="a", dtype="float32"))
    assert (type(dense), dense.outputs, dense.use_bias, dense.name) == (SpectralDense, 4, False, "a")
    conv = normalised(keras.layers.Conv2D(4, 5, strides=2, padding="same"))
    assert (type(conv), conv.kernel_size, conv.strides) == (SpectralConv2D, 5, 2)
    assert type(normalised(keras.layers.Conv2DTranspose(4, 3, strides=2, padding="same"))) is SpectralConv2DTranspose
    other = keras.layers.ReLU()
    assert normalised(other) is other
