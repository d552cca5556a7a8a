"""Eqs. 9 and 10 of the prior-free paper by values worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core.checks import InputError
from pga_tf.objectives import interpolation


def test_the_critics_loss_by_hand():
    d_real, d_blend, d_mixed = tf.constant([0.5, 0.0]), tf.constant([0.1, 0.2]), tf.constant([1.0, 0.6])
    mu = tf.constant([0.3, 0.4])
    # 0.25 + (0.1 - 0.2)^2 + (1.0 - 0.3 - 0.2)^2 and 0 + 0 + 0
    loss = interpolation.distance_critic(d_real, d_blend, d_mixed, mu, 0.2)
    np.testing.assert_allclose(loss, [0.25 + 0.01 + 0.25, 0.0], atol=1e-7)


def test_acai_is_the_case_without_margin_and_real_images():
    d_real, d_blend, d_mixed = tf.constant([0.5]), tf.constant([0.1]), tf.constant([1.0])
    loss = interpolation.distance_critic(d_real, d_blend, d_mixed, tf.constant([0.3]), 0.0, weight_real=0.0)
    np.testing.assert_allclose(loss, [0.7**2 + 0.1**2], rtol=1e-6)  # |d(x_mu) - mu|^2 + |d(blend)|^2


def test_realism_by_hand():
    np.testing.assert_allclose(interpolation.realism(tf.constant([-2.0, 0.5])), [4.0, 0.25])


def test_codes_are_mixed_with_their_neighbours():
    z = tf.constant([[1.0, 0.0], [0.0, 1.0], [4.0, 4.0], [0.0, 0.0]])
    np.testing.assert_array_equal(interpolation.neighbours(z), z.numpy()[[1, 0, 3, 2]])
    mixed = interpolation.mixed(z, tf.constant([0.25, 0.0, 0.5, 0.5]))
    np.testing.assert_allclose(mixed, [[0.25, 0.75], [1.0, 0.0], [2.0, 2.0], [2.0, 2.0]])


def test_unequal_shapes_are_refused():
    one, two = tf.zeros([1]), tf.zeros([2])
    with pytest.raises(InputError, match=r"Tensors d\(x\) and mu: expected the same shape"):
        interpolation.distance_critic(two, two, two, one, 0.2)
