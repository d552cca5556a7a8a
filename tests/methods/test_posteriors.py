"""The optimum of posterior variances, against the closed form of probabilistic PCA and finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.evaluation import posterior
from pga_tf.methods import posteriors
from pga_tf.runs import scoring
from tests.methods import builders

PIXELS, DIM, COUNT = 12, 3, 5


def ppca(rotated):
    """A fitted linear VAE (Tipping and Bishop, 1999): (W `[PIXELS, DIM]`, variance, covariance of z given x)."""
    random = np.random.default_rng(0)
    data = random.normal(size=(400, PIXELS)) * np.linspace(3.0, 0.3, PIXELS)
    values, vectors = np.linalg.eigh(np.cov(data.T))
    variance = values[:-DIM].mean()
    rotation = np.linalg.qr(random.normal(size=(DIM, DIM)))[0] if rotated else np.eye(DIM)
    w = vectors[:, -DIM:] @ np.diag(np.sqrt(values[-DIM:] - variance)) @ rotation
    # of the joint Gaussian of (z, x), by conditioning and not by Eq. 73
    covariance = np.eye(DIM) - w.T @ np.linalg.inv(w @ w.T + variance * np.eye(PIXELS)) @ w
    return w, variance, covariance


def measured(rotated, factor=1.0):
    """(precision by the code, true covariance) at `COUNT` codes, with gamma off by `factor`."""
    w, variance, covariance = ppca(rotated)
    decode = lambda z: tf.reshape(z @ tf.constant(w.T) + 0.7, [-1, 2, 6, 1])
    codes = tf.constant(np.random.default_rng(1).normal(size=(COUNT, DIM)))
    return posteriors.optimal_precision(decode, codes, tf.constant(factor * variance, tf.float64)).numpy(), covariance


@pytest.mark.parametrize("together", [2, 8])
@pytest.mark.parametrize("rotated", [False, True])
def test_the_posterior_of_a_linear_vae_is_at_the_optimum(rotated, together, monkeypatch):
    monkeypatch.setattr(posteriors, "TOGETHER", together)
    precision, covariance = measured(rotated)
    assert precision.dtype == np.float64
    np.testing.assert_allclose(np.linalg.inv(precision), np.tile(covariance, (COUNT, 1, 1)), rtol=1e-11, atol=1e-13)
    found = posterior.against_optimum(np.tile(np.diag(covariance), (COUNT, 1)), precision)
    assert found["deviation"] < 1e-11
    assert found["correlation"] == pytest.approx(1.0)
    # the best diagonal covariance has the diagonal of the precision; they agree where dimensions are uncoupled
    assert (found["deviation_diagonal"] < 1e-11) == (not rotated)
    assert (found["coupling"] < 1e-11) == (not rotated)
    of_diagonal = posterior.against_optimum(1.0 / np.diagonal(precision, axis1=1, axis2=2), precision)
    assert of_diagonal["deviation_diagonal"] < 1e-11
    assert (of_diagonal["deviation"] < 1e-11) == (not rotated)


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_another_gamma_is_not_at_the_optimum(factor):
    precision, covariance = measured(False, factor)
    found = posterior.against_optimum(np.tile(np.diag(covariance), (COUNT, 1)), precision)
    # lambda = 1 / (1 + s / gamma), s / gamma being 1 / lambda - 1
    gains = 1.0 / np.diag(covariance) - 1.0
    expected = np.median(np.abs((1.0 + gains / factor) / (1.0 + gains) - 1.0))
    assert found["deviation"] == pytest.approx(expected, rel=1e-9)
    assert found["deviation"] > 0.2


def test_coupling_is_the_mean_correlation():
    found = posterior.against_optimum(np.ones((1, 2)), np.linalg.inv([[[4.0, 1.0], [1.0, 1.0]]]))
    assert found["coupling"] == pytest.approx(0.5)
    assert found["deviation"] == pytest.approx(np.median([1 - 1 / 4, 0.0]))
    assert found["correlation"] is None  # of constant variances
    one = posterior.against_optimum(np.full((2, 1), 0.5), np.full((2, 1, 1), 2.0))
    assert (one["deviation"], one["coupling"], one["correlation"]) == (0.0, None, None)


@pytest.mark.parametrize(
    ("options", "batch_norm"),
    [
        ({"likelihood": "fixed_gamma", "gamma": 0.5}, "shared"),
        ({"likelihood": "learned_gamma", "gamma": 0.03, "pixel_range": "unit"}, "none"),
    ],
)
def test_a_vae_is_measured_in_the_units_of_its_own_pixels(options, batch_norm):
    model = builders.build("vae", batch_norm=batch_norm, **options)
    model.train_step(builders.images(model))
    gamma = float(np.exp(model.log_gamma.numpy()))
    subject = scoring.subject(builders.drawing(model))
    codes = np.random.default_rng(0).normal(size=(2, builders.LATENT)).astype(np.float32)
    steps = 1e-2 * np.eye(builders.LATENT, dtype=np.float32)
    for z, precision in zip(codes, subject.posterior_precision(codes), strict=True):
        ahead, behind = (model.decode(z + sign * steps, source="data").numpy().astype(np.float64) for sign in (1, -1))
        jacobian = ((ahead - behind) / 2e-2).reshape(builders.LATENT, -1).T
        expected = jacobian.T @ jacobian / gamma**2
        # differences run across kinks of ReLUs; gamma in the place of its square is off by half and more
        np.testing.assert_allclose(precision - np.eye(builders.LATENT), expected, atol=0.15 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("method", "options"),
    [("vae", {"likelihood": "cross_entropy", "pixel_range": "unit"}), ("vpga", {}), ("lpga", {})],
)
def test_without_a_gaussian_bound_there_is_no_optimum(method, options):
    assert scoring.subject(builders.drawing(builders.build(method, **options))).posterior_precision is None


def test_r_hat_of_a_batch_counts_mean_variances_nearer_to_0():
    stddev = np.sqrt([[0.2, 0.9, 0.4, 0.1], [0.3, 0.2, 0.5, 0.1]])  # means .25, .55, .45, .1
    q = posteriors.diagonal_gaussian(tf.zeros([2, 4], tf.float64), tf.constant(stddev))
    assert float(posteriors.diagnostics(q)["r_hat"]) == 3 == posterior.r_hat(np.square(stddev).mean(axis=0))
