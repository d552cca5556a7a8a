"""The mixture against SciPy's densities, the moments of a known law, and scikit-learn's own fit."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import threadpoolctl
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from pga_tf.priors import mixture
from pga_tf.priors.mixture import Mixture, MixtureOptions

WEIGHTS = np.array([0.55, 0.3, 0.15])
MEANS = np.array([[8.0, 0.0, 1.0], [-6.0, 5.0, 0.0], [0.0, -7.0, -4.0]])  # far apart: a code tells its component
FACTORS = np.array(
    [
        [[1.0, 0.0, 0.0], [0.9, 0.4, 0.0], [-0.5, 0.8, 0.3]],
        [[0.3, 0.0, 0.0], [-0.6, 0.5, 0.0], [0.4, 0.9, 0.7]],
        [[0.5, 0.0, 0.0], [0.0, 1.2, 0.0], [0.7, -0.6, 0.2]],
    ]
)
COVARIANCES = FACTORS @ FACTORS.transpose(0, 2, 1)


def known():
    """The mixture of the constants above, made without a fit."""
    prior = Mixture(3, MixtureOptions(components=3))
    for variable, value in ((prior.weights, WEIGHTS), (prior.means, MEANS), (prior.factors, FACTORS)):
        variable.assign(value)
    return prior


def from_numpy(count):
    rng = np.random.default_rng(0)
    k = rng.choice(3, size=count, p=WEIGHTS)
    return MEANS[k] + np.einsum("nij,nj->ni", FACTORS[k], rng.normal(size=[count, 3]))


def overlapping(count):
    """Codes in the plane over which EM needs many iterations."""
    return np.random.default_rng(1).standard_t(4, size=[count, 2])


def log_density(codes):
    parts = [scipy.stats.multivariate_normal(m, c).logpdf(codes) for m, c in zip(MEANS, COVARIANCES, strict=True)]
    return scipy.special.logsumexp(np.array(parts) + np.log(WEIGHTS)[:, None], axis=0)


def require_moments(codes):
    """The weight, mean and covariance of each component are the known ones, within 4 standard errors."""
    nearest = np.argmin(np.linalg.norm(codes[:, None] - MEANS, axis=2), axis=1)
    for k, covariance in enumerate(COVARIANCES):
        own = codes[nearest == k]
        assert len(own) / len(codes) == pytest.approx(WEIGHTS[k], abs=4 * np.sqrt(WEIGHTS[k] / len(codes)))
        variances = np.diag(covariance)
        assert (np.abs(own.mean(axis=0) - MEANS[k]) < 4 * np.sqrt(variances / len(own))).all()
        error = np.sqrt((np.outer(variances, variances) + covariance**2) / len(own))
        assert (np.abs(np.cov(own.T) - covariance) < 4 * error).all()


def test_log_prob_equals_scipy():
    codes = np.concatenate([from_numpy(50), np.random.default_rng(2).normal(size=[10, 3])])
    found = known().log_prob(tf.constant(codes, tf.float32))
    np.testing.assert_allclose(found, log_density(codes), rtol=1e-4, atol=1e-4)


def test_draws_have_the_weights_means_and_covariances_of_the_mixture():
    require_moments(known().sample(tf.range(20_000, dtype=tf.int64)).numpy())


def test_a_fit_finds_the_law_that_codes_come_from():
    prior, reports = Mixture(3, MixtureOptions(components=3)), []
    facts = prior.fit(from_numpy(20_000), report=lambda *report: reports.append(report))
    require_moments(prior.sample(tf.range(20_000, 40_000, dtype=tf.int64)).numpy())
    codes = from_numpy(1000)
    assert np.abs(prior.log_prob(tf.constant(codes, tf.float32)) - log_density(codes)).mean() < 0.05
    assert reports[-1] == (facts["iterations"], facts["log_likelihood"])
    assert facts["log_likelihood"] == pytest.approx(log_density(from_numpy(20_000)).mean(), abs=0.01)


def test_one_iteration_at_a_time_is_scikit_learn_s_fit():
    codes, reports = overlapping(3000), []
    prior = Mixture(2, MixtureOptions(components=3), seed=5)
    facts = prior.fit(codes, report=lambda *report: reports.append(report))
    plain = GaussianMixture(3, random_state=5, max_iter=300).fit(codes)
    assert facts["iterations"] == plain.n_iter_ > 10
    assert facts["log_likelihood"] == pytest.approx(plain.lower_bound_, abs=1e-9)
    assert [number for number, _ in reports] == list(range(1, plain.n_iter_ + 1))
    np.testing.assert_allclose([value for _, value in reports], plain.lower_bounds_, rtol=1e-9)
    np.testing.assert_allclose(prior.weights, plain.weights_, rtol=1e-6)
    np.testing.assert_allclose(prior.means, plain.means_, rtol=1e-6, atol=1e-6)
    covariances = tf.matmul(prior.factors, prior.factors, transpose_b=True)
    np.testing.assert_allclose(covariances, plain.covariances_, rtol=1e-5, atol=1e-6)


def test_a_fit_runs_in_one_thread_and_gives_the_others_back():
    before = [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]
    during = []
    note = lambda *_: during.extend(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
    Mixture(2, MixtureOptions(components=2)).fit(overlapping(200), report=note)
    assert set(during) == {1}
    assert [pool["num_threads"] for pool in threadpoolctl.threadpool_info()] == before


def test_a_fit_that_has_not_converged_says_so_once(monkeypatch, recwarn):
    prior = Mixture(2, MixtureOptions(components=3))
    prior.fit(overlapping(3000))
    assert not [w for w in recwarn if w.category is ConvergenceWarning]
    monkeypatch.setitem(mixture.MOST_ITERATIONS, "likelihood", 3)
    with pytest.warns(ConvergenceWarning, match="after 3 iterations") as warned:
        assert prior.fit(overlapping(3000))["iterations"] == 3
    assert len(warned) == 1
