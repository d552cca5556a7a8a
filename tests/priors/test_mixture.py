"""The mixture against SciPy's densities, the moments of a known law, and scikit-learn's own fit."""

import itertools
import warnings

import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
import threadpoolctl
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from pga_tf.core.checks import InputError
from pga_tf.priors import em, mixture
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
    assert reports[-1] == (facts["iterations"], f"log-likelihood {facts['log_likelihood']:.5g}")
    assert facts["log_likelihood"] == pytest.approx(log_density(from_numpy(20_000)).mean(), abs=0.01)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_em_takes_scikit_learn_s_iterations_from_the_same_start(covariance, dtype):
    codes = overlapping(3000)
    codes = (codes - codes.mean(axis=0)) / codes.std(axis=0)
    with em.EM(codes, covariance=covariance, seed=5, dtype=dtype) as fit:
        start = fit.start(3)
        steps = list(itertools.islice(fit.iterate(start), 13))
    values, found = [value for value, _ in steps], steps[-1][1]
    precisions = np.linalg.inv(start.covariances)
    plain = GaussianMixture(
        3, covariance_type={"full": "full", "diagonal": "diag"}[covariance], max_iter=12, tol=0.0,
        weights_init=start.weights, means_init=start.means,
        precisions_init=precisions if covariance == "full" else np.diagonal(precisions, axis1=1, axis2=2),
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        plain.fit(codes)
    exact = 1e-9 if dtype == np.float64 else 2e-5
    np.testing.assert_allclose(values[:12], plain.lower_bounds_, rtol=exact)
    assert values[-1] > values[0] + 0.01  # it has moved
    expected = plain.covariances_ if covariance == "full" else np.stack([np.diag(v) for v in plain.covariances_])
    tolerance = {"rtol": 100 * exact, "atol": 100 * exact}
    np.testing.assert_allclose(found.weights, plain.weights_, **tolerance)
    np.testing.assert_allclose(found.means, plain.means_, **tolerance)
    np.testing.assert_allclose(found.covariances, expected, **tolerance)


def test_a_low_rank_covariance_is_the_likeliest_one_of_probabilistic_pca():
    """Against scikit-learn's PCA, whose covariance is that of Tipping and Bishop, and by the codes' likelihood."""
    codes = np.random.default_rng(0).normal(size=[400, 5]) @ np.diag([3.0, 2.0, 0.5, 0.4, 0.3])
    covariance = np.cov(codes.T)
    np.testing.assert_allclose(em.low_rank(covariance, 2), PCA(2).fit(codes).get_covariance(), rtol=1e-9, atol=1e-9)
    np.testing.assert_array_equal(em.low_rank(covariance, 5), covariance)
    np.testing.assert_allclose(em.low_rank(covariance, 0), np.trace(covariance) / 5 * np.eye(5))
    prior = Mixture(5, MixtureOptions(components=1, covariance="low_rank", rank=2))
    prior.fit(codes)
    scale = codes.std(axis=0)
    factor = prior.factors[0].numpy().astype(np.float64) / scale[:, None]
    expected = em.low_rank(np.cov((codes / scale).T, ddof=0), 2)
    np.testing.assert_allclose(factor @ factor.T, expected, atol=1e-4)


def test_the_scale_and_place_of_codes_do_not_matter():
    """log p moves by the log of the scale; a dimension that is constant is held, and nothing is divided by 0."""
    codes = from_numpy(3000)
    plain, moved = (Mixture(3, MixtureOptions(components=3)) for _ in range(2))
    scale, offset = np.array([1e3, 1.0, 1e-3]), np.array([500.0, 0.0, -1.0])
    a, b = plain.fit(codes), moved.fit(codes * scale + offset)
    assert b["log_likelihood"] == pytest.approx(a["log_likelihood"] - np.log(scale).sum(), abs=1e-3)
    np.testing.assert_allclose(moved.means, plain.means * scale + offset, rtol=1e-3, atol=1e-4)
    flat = np.concatenate([codes, np.full([len(codes), 1], 7.0)], axis=1)
    fixed = Mixture(4, MixtureOptions(components=3))
    fixed.fit(flat)
    np.testing.assert_allclose(fixed.sample(tf.range(50, dtype=tf.int64))[:, 3], 7.0, atol=1e-5)


@pytest.mark.parametrize("count", [1, 5, 20])
def test_auto_finds_how_many_gaussians_there_are(count):
    rng = np.random.default_rng(count)
    centres = 2.0 * np.stack(np.divmod(np.arange(count), 5), axis=1)
    codes = centres[rng.integers(0, count, 6000)] + 0.15 * rng.normal(size=[6000, 2])
    prior, reports = Mixture(2), []
    facts = prior.fit(codes, report=lambda *report: reports.append(report))
    assert facts["components"] == count == prior.weights.shape[0]
    assert facts["held_out_log_likelihood"] == max(facts["candidates"].values())
    known = -np.log(count) - np.log(2 * np.pi * 0.15**2) - 1  # minus the entropy of equal, far clusters
    assert facts["held_out_log_likelihood"] == pytest.approx(known, abs=0.1)
    assert [number for number, _ in reports] == list(range(1, facts["iterations"] + 1))
    assert "2 components, log-likelihood" in str(reports)


def test_auto_goes_by_codes_that_were_held_out():
    """Of few codes more Gaussians always make those likelier that they are fitted to."""
    codes = np.random.default_rng(0).normal(size=[400, 8])
    facts = Mixture(8).fit(codes)
    assert facts["components"] == 1
    values = list(facts["candidates"].values())
    assert values[0] > values[-1] + 0.5
    fitted_to = [Mixture(8, MixtureOptions(components=k)).fit(codes)["log_likelihood"] for k in (1, 10)]
    assert fitted_to[1] > fitted_to[0] + 0.5


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"components": 40}, r"--components=40 with --covariance=full: expected at least 360 codes.*received 100"),
        ({"components": 40}, "use --covariance=diagonal, fewer components or more images"),
        ({"components": 10, "rank": 2}, r"at least 90 .*use --covariance=low_rank, fewer"),
        ({}, r"--components=auto with --covariance=full: expected at least 9 codes.*use .*more images"),
    ],
)
def test_too_few_codes_are_refused_with_what_would_take_them(options, complaint):
    count = {40: 100, 10: 50}.get(options.get("components"), 6)
    with pytest.raises(InputError, match=complaint):
        Mixture(8, MixtureOptions(**options)).fit(np.random.default_rng(0).normal(size=[count, 8]))


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
    monkeypatch.setattr(mixture, "MOST_ITERATIONS", 3)
    monkeypatch.setattr(mixture, "GAIN", 0.0)
    with pytest.warns(ConvergenceWarning, match="after 3 iterations") as warned:
        assert prior.fit(overlapping(3000))["iterations"] == 3
    assert len(warned) == 1
