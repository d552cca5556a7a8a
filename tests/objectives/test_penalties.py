"""Regularisers of RAE: a sum by hand, and the Jacobian's norm against the Jacobian."""

import numpy as np
import tensorflow as tf

from pga_tf.objectives import penalties


def test_squared_weights_by_hand():
    kernels = [tf.Variable([[1.0, 2.0], [0.0, -1.0]]), tf.Variable([[3.0]])]
    np.testing.assert_allclose(penalties.squared_weights(kernels), 15.0)


def test_a_projection_estimates_the_squared_norm_of_the_jacobian():
    matrix = tf.constant(np.random.default_rng(0).standard_normal((3, 12)), tf.float32)
    decode = lambda z: tf.reshape(tf.tanh(tf.matmul(z, matrix)), [-1, 2, 3, 2])
    z = tf.constant([[0.3, -0.2, 0.1], [0.0, 0.5, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        images = decode(z)
    exact = tf.reduce_sum(tf.square(tape.batch_jacobian(images, z)), axis=[1, 2, 3, 4])
    draws = 4000
    probe = tf.random.stateless_normal([2 * draws, 2, 3, 2], seed=[0, 0])
    repeated, estimates = penalties.with_squared_jacobian(decode, tf.repeat(z, draws, axis=0), probe)
    estimates = estimates.numpy().reshape(2, draws)
    error = estimates.std(axis=1) / np.sqrt(draws)
    assert np.all(np.abs(estimates.mean(axis=1) - exact) < 4 * error)
    np.testing.assert_allclose(repeated[::draws], images, rtol=1e-6)


def test_the_penalty_trains_what_the_decoder_is_made_of():
    matrix = tf.Variable([[2.0, 0.0], [0.0, 3.0]])
    with tf.GradientTape() as tape:
        _, value = penalties.with_squared_jacobian(lambda z: tf.matmul(z, matrix), tf.ones([1, 2]), tf.ones([1, 2]))
    np.testing.assert_allclose(value, [4.0 + 9.0])  # |M v|^2
    np.testing.assert_allclose(tape.gradient(value, matrix), [[4.0, 4.0], [6.0, 6.0]])  # 2 M v v'
