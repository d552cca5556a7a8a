"""Likelihoods and divergences against SciPy, TFP and closed forms."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
import tensorflow_probability as tfp

from pga_tf.core.checks import InputError
from pga_tf.objectives import gaussian

RNG = np.random.default_rng(1)


def test_kl_equals_tfp():
    mean, stddev = RNG.normal(size=(6, 3)), RNG.uniform(0.05, 3.0, (6, 3))
    tfd = tfp.distributions
    expected = tfd.kl_divergence(tfd.Normal(mean, stddev), tfd.Normal(np.zeros(3), np.ones(3)))
    np.testing.assert_allclose(gaussian.kl_standard_normal(mean, tf.constant(stddev)), expected, rtol=1e-10)


def test_kl_vanishes_only_at_the_standard_normal():
    zero = gaussian.kl_standard_normal(tf.zeros([1, 3]), tf.ones([1, 3]))
    np.testing.assert_allclose(zero, 0.0, atol=1e-7)
    assert np.all(gaussian.kl_standard_normal(tf.zeros([1, 3]), 1.01 * tf.ones([1, 3])) > 4e-5)


def test_gaussian_nll_equals_scipy():
    x, x_hat = RNG.uniform(size=(4, 2, 3, 1)), RNG.uniform(size=(4, 2, 3, 1))
    expected = -scipy.stats.norm(x_hat, 0.3).logpdf(x).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(gaussian.gaussian_nll(x, x_hat, np.log(0.3)), expected, rtol=1e-10)


def test_learned_gamma_is_optimal_at_the_root_mean_squared_error():
    x, x_hat = tf.constant(RNG.uniform(size=(4, 2, 3, 1))), tf.constant(RNG.uniform(size=(4, 2, 3, 1)))
    log_gamma = tf.Variable(0.5 * np.log(np.mean((x - x_hat) ** 2)))
    with tf.GradientTape() as tape:
        nll = tf.reduce_sum(gaussian.gaussian_nll(x, x_hat, log_gamma))
    np.testing.assert_allclose(tape.gradient(nll, log_gamma), 0.0, atol=1e-12)
    assert float(nll) < float(tf.reduce_sum(gaussian.gaussian_nll(x, x_hat, log_gamma + 0.1)))


def test_bernoulli_nll_equals_scipy_for_binary_images():
    x, logits = RNG.integers(0, 2, (4, 2, 3, 1)).astype(float), RNG.normal(size=(4, 2, 3, 1))
    expected = -scipy.stats.bernoulli(1 / (1 + np.exp(-logits))).logpmf(x.astype(int)).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(gaussian.bernoulli_nll(x, logits), expected, rtol=1e-9)


@pytest.mark.parametrize("loss", [lambda a, b: gaussian.gaussian_nll(a, b, 0.0), gaussian.bernoulli_nll])
def test_unequal_shapes_are_refused(loss):
    with pytest.raises(InputError, match="the same shape"):
        loss(tf.zeros([2, 3, 3, 1]), tf.zeros([2, 3, 1, 1]))


def test_the_log_of_the_prior_equals_scipy():
    z = RNG.normal(size=(6, 3))
    expected = scipy.stats.norm.logpdf(z).sum(axis=1)
    np.testing.assert_allclose(gaussian.log_standard_normal(tf.constant(z)), expected, rtol=1e-12)
