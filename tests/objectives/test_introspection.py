"""Losses of encoders that are critics: against float64 NumPy, closed forms, and at their limits."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core.checks import InputError
from pga_tf.objectives import introspection
from tests import strategies

RNG = np.random.default_rng(0)


def both(function, *arrays, **kwargs):
    """(value, gradients) of the mean of `function` in float64."""
    given = [tf.constant(array, tf.float64) for array in arrays]
    with tf.GradientTape() as tape:
        tape.watch(given)
        value = function(*given, **kwargs)
        mean = tf.reduce_mean(value)
    return value.numpy(), [g.numpy() for g in tape.gradient(mean, given)]


def test_distances_in_data_space_are_a_sum_of_squares_and_a_mean_of_sizes():
    x, y = RNG.normal(size=(2, 5, 4, 3, 2))
    np.testing.assert_allclose(both(introspection.squared_distance, x, y)[0], ((x - y) ** 2).sum(axis=(1, 2, 3)))
    np.testing.assert_allclose(both(introspection.absolute_error, x, y)[0], np.abs(x - y).mean(axis=(1, 2, 3)))


def test_the_cosine_distance_is_one_less_the_cosine_whatever_the_lengths():
    u, z = RNG.normal(size=(2, 5, 4))
    cosine = (u * z).sum(axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(z, axis=1)
    np.testing.assert_allclose(both(introspection.cosine_distance, u, 7.0 * z)[0], 1.0 - cosine)
    np.testing.assert_allclose(both(introspection.cosine_distance, u, -u)[0], 2.0)


def test_exp_elbo_and_its_slopes():
    reconstruction, kl = RNG.uniform(0.0, 3.0, size=(2, 6))
    scale, b_rec, b_neg = 0.01, 2.0, 30.0
    value, slopes = both(introspection.exp_elbo, reconstruction, kl, scale=scale, weight_rec=b_rec, weight_neg=b_neg)
    expected = np.exp(-2.0 * scale * (b_rec * reconstruction + b_neg * kl))
    np.testing.assert_allclose(value, expected)
    for slope, weight in zip(slopes, (b_rec, b_neg), strict=True):
        np.testing.assert_allclose(slope, -2.0 * scale * weight * expected / 6)


def test_without_its_scale_exp_elbo_underflows_and_the_encoder_learns_nothing():
    """At the published b_neg, for a CIFAR-10 image with a KL of one nat and a squared error of 20."""
    for scale, dead in ((1 / (32 * 32 * 3), False), (1.0, True)):
        kl = tf.constant([1.0])
        with tf.GradientTape() as tape:
            tape.watch(kl)
            value = introspection.exp_elbo(tf.constant([20.0]), kl, scale=scale, weight_rec=1.0, weight_neg=256.0)
        assert (float(tape.gradient(value, kl)[0]) == 0.0) == dead
        assert (float(value[0]) == 0.0) == dead


def test_the_hinge_is_of_the_batchs_mean_and_dies_above_the_margin():
    kl = np.array([1.0, 9.0, 2.0])  # 9 alone is above the margin: a hinge of each example would give 5/3
    value, (slope,) = both(introspection.mean_hinge, kl, margin=5.0)
    np.testing.assert_allclose(value, [1.0, 1.0, 1.0])
    np.testing.assert_allclose(slope, [-1 / 3] * 3)
    value, (slope,) = both(introspection.mean_hinge, 2.0 * kl, margin=5.0)
    np.testing.assert_array_equal([*value, *slope], np.zeros(6))


@pytest.mark.parametrize("released", [False, True])
def test_the_batch_kl_is_that_of_its_gaussian_and_as_released_takes_the_variance_for_the_deviation(released):
    codes = RNG.normal(size=(7, 4)) * [0.3, 1.0, 2.0, 0.7] + [0.5, 0.0, -1.0, 2.0]
    m, v = codes.mean(axis=0), codes.var(axis=0)
    deviation = v if released else np.sqrt(v)
    expected = ((m**2 + deviation**2) / 2 - np.log(deviation) - 0.5).mean()
    value, (slope,) = both(introspection.batch_kl, codes, variance_as_stddev=released)
    np.testing.assert_allclose(value, [expected] * 7)
    # dKL / dz_ij = [m_j + dKL/dv_j 2 (z_ij - m_j)] / (B H_dim)
    by_variance = v - 1 / v if released else 0.5 - 0.5 / v
    np.testing.assert_allclose(slope, (m + by_variance * 2 * (codes - m)) / codes.size, atol=1e-12)


def test_the_batch_kl_on_the_sphere_is_least_at_radius_sqrt_h_dim():
    """On the unit sphere the variance is 1 / H_dim: what is least there is not 0, which is out of reach."""
    codes = RNG.normal(size=(20000, 8))
    codes /= np.linalg.norm(codes, axis=1, keepdims=True)
    far = introspection.batch_kl(tf.constant(codes))[0]
    assert float(introspection.batch_kl(tf.constant(codes * np.sqrt(8)))[0]) < 1e-3
    assert float(far) == pytest.approx((1 / 8) / 2 + 0.5 * np.log(8) - 0.5, rel=1e-2)


def test_the_batch_kl_of_codes_that_are_all_one_is_finite_without_a_gradient_that_is_not():
    value, (slope,) = both(introspection.batch_kl, np.ones((4, 3)))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()
    assert value[0] > 10.0


def test_what_couples_the_batch_is_over_all_replicas():
    codes = RNG.normal(size=(8, 3)).astype(np.float32)

    def terms(z):
        return introspection.batch_kl(z), introspection.mean_hinge(z[:, 0], 5.0)

    strategy = strategies.two_replicas()
    halves = iter(np.split(codes, 2))
    given = strategy.experimental_distribute_values_from_function(lambda context: tf.constant(next(halves)))
    found = strategy.run(tf.function(terms), args=(given,))
    for value, expected in zip(found, terms(tf.constant(codes)), strict=True):
        for part in strategy.experimental_local_results(value):
            np.testing.assert_allclose(part, expected[:4], rtol=1e-5)


@pytest.mark.parametrize("name", ["squared_distance", "absolute_error", "cosine_distance"])
def test_unequal_shapes_are_refused(name):
    with pytest.raises(InputError, match="the same shape"):
        getattr(introspection, name)(tf.zeros([4, 2]), tf.zeros([4, 1]))
    with pytest.raises(InputError, match="the same shape"):
        introspection.exp_elbo(tf.zeros([4]), tf.zeros([4, 1]), scale=1.0, weight_rec=1.0, weight_neg=1.0)
