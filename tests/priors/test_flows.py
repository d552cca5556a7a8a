"""Densities and maps of the priors that have both: against closed forms, SciPy, derivatives and integrals."""

import keras
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
import tensorflow as tf

from pga_tf.core import streams
from pga_tf.core.checks import InputError
from pga_tf.networks import velocity
from pga_tf.priors import PRIORS
from pga_tf.priors.empirical import Empirical, EmpiricalOptions
from pga_tf.priors.flow_matching import FlowMatching, FlowMatchingOptions
from pga_tf.priors.mixture import Mixture, MixtureOptions
from pga_tf.priors.realnvp import RealNVP, RealNVPOptions

MEAN, COVARIANCE = np.array([0.5, -1.0, 0.2]), np.array([[1.5, 0.6, 0.0], [0.6, 0.8, -0.2], [0.0, -0.2, 0.3]])
OFFSET, FACTOR = np.array([3.0, 0.0, -2.0]), np.array([[2.0, 0.0, 0.0], [0.5, 0.3, 0.0], [-1.0, 0.1, 0.7]])


def flow(dimensions=3, **options):
    keras.utils.set_random_seed(0)
    return FlowMatching(dimensions, FlowMatchingOptions(**{"flow_width": 16, "flow_depth": 2} | options))


def realnvp(dimensions, **options):
    keras.utils.set_random_seed(0)
    return RealNVP(dimensions, RealNVPOptions(**{"couplings": 4, "coupling_width": 16, "coupling_depth": 1} | options))


def shaken(prior, scale=0.3):
    """`prior` with weights that do something."""
    rng = np.random.default_rng(0)
    for variable in prior.trainable_variables:
        variable.assign(variable + scale * rng.normal(size=variable.shape))
    return prior


def codes_of(count, dimensions, seed=0):
    rng = np.random.default_rng(seed)
    return np.float32(rng.normal(size=[count, dimensions]) @ rng.normal(size=[dimensions, dimensions]) + 2.0)


def of_a_gaussian(y, t):
    """E[y_1 - e | y_t = y] for y_1 ~ N(MEAN, COVARIANCE), e ~ N(0, I): regression between Gaussians."""
    t = float(t[0])
    gain = (t * COVARIANCE - (1 - t) * np.eye(3)) @ np.linalg.inv((1 - t) ** 2 * np.eye(3) + t**2 * COVARIANCE)
    return tf.constant(MEAN, tf.float32) + (y - tf.constant(t * MEAN, tf.float32)) @ tf.constant(gain.T, tf.float32)


def exact(steps):
    """A flow with the exact velocity of whitened codes N(MEAN, COVARIANCE), which it draws and scores eagerly."""
    prior = flow(flow_steps=steps)
    prior.offset.assign(OFFSET)
    prior.factor.assign(FACTOR)
    prior.velocity = of_a_gaussian
    return prior


def test_the_flow_of_the_exact_velocity_is_the_gaussian_that_it_belongs_to():
    seeds = tf.range(20, dtype=tf.int64)
    noise = streams.normals_of(seeds, 3, "sample/code").numpy().astype(np.float64)
    expected = OFFSET + (MEAN + noise @ scipy.linalg.sqrtm(COVARIANCE)) @ FACTOR.T  # the paths commute, and end there
    law = scipy.stats.multivariate_normal(OFFSET + FACTOR @ MEAN, FACTOR @ COVARIANCE @ FACTOR.T)
    errors = {}
    for steps in (4, 8, 32):
        prior = exact(steps)
        drawn = prior._draw(seeds).numpy()
        log_p = prior.log_prob(tf.constant(expected, tf.float32)).numpy()
        errors[steps] = np.abs(drawn - expected).max(), np.abs(log_p - law.logpdf(expected)).max()
    assert errors[32][0] < 0.01
    assert errors[32][1] < 0.01
    for of_4, of_8 in zip(errors[4], errors[8], strict=True):
        assert 2.5 < of_4 / of_8 < 8  # Heun's method is of second order


def test_the_loss_of_flow_matching_by_numpy():
    rng = np.random.default_rng(0)
    y, e, t = rng.normal(size=[5, 3]), rng.normal(size=[5, 3]), rng.uniform(size=5)
    prior = flow()
    prior.velocity = lambda at, time: 2.0 * at + time[:, None]
    v = 2.0 * ((1 - t[:, None]) * e + t[:, None] * y) + t[:, None]
    expected = ((v - (y - e)) ** 2).mean(axis=1)
    np.testing.assert_allclose(prior.flow_loss(*(tf.constant(x, tf.float32) for x in (y, e, t))), expected, rtol=1e-5)


def test_times_are_told_by_sines_and_cosines():
    t = np.array([0.0, 0.3, 1.0])
    angles = np.pi * t[:, None] * 2.0 ** np.arange(-1, 7)
    expected = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    np.testing.assert_allclose(velocity.embedded(tf.constant(t, tf.float32)), expected, atol=3e-5)


def test_the_trace_is_that_of_the_jacobian():
    prior, y = shaken(flow()), tf.constant(codes_of(4, 3))
    v, trace = prior._with_trace(y, 0.4)
    np.testing.assert_allclose(v, prior._v(y, 0.4), rtol=1e-5, atol=1e-6)
    step = 1e-2
    slopes = [
        (prior._v(y + step * unit, 0.4)[:, i] - prior._v(y - step * unit, 0.4)[:, i]) / (2 * step)
        for i, unit in enumerate(np.eye(3, dtype=np.float32))
    ]
    np.testing.assert_allclose(trace, np.sum(slopes, axis=0), rtol=1e-2, atol=1e-2)
    assert np.abs(trace).min() > 0.05


def test_a_step_of_flow_matching_moves_the_velocity_and_nothing_else_and_samples_are_of_averages():
    prior, codes = flow(flow_ema=0.5), codes_of(64, 3)
    prior.adapt(codes)
    kept = [np.array(prior.offset), np.array(prior.factor)]
    prior.compile(keras.optimizers.SGD(0.5))
    weights = [np.array(v) for v in prior.velocity.trainable_variables]
    averages = [w.copy() for w in weights]
    for step in range(3):
        prior.train_step(tf.constant(codes))
        decay = min(0.5, (1 + step) / (10 + step))
        now = [np.array(v) for v in prior.velocity.trainable_variables]
        averages = [a + (1 - decay) * (w - a) for a, w in zip(averages, now, strict=True)]
    for before, after in zip(kept, (prior.offset, prior.factor), strict=True):
        np.testing.assert_array_equal(before, after)
    assert any((a != b).any() for a, b in zip(weights, now, strict=True))
    with prior.averaged():
        for average, variable in zip(averages, prior.velocity.trainable_variables, strict=True):
            np.testing.assert_allclose(variable, average, rtol=1e-4, atol=1e-6)


def test_a_flow_of_many_dimensions_has_no_density():
    assert hasattr(flow(64), "log_prob")
    assert not hasattr(flow(65), "log_prob")


@pytest.mark.parametrize("dimensions", [1, 2, 5])
def test_real_nvp_is_invertible_and_its_density_is_by_the_change_of_variables(dimensions):
    prior, codes = shaken(realnvp(dimensions)), codes_of(6, dimensions)
    prior.adapt(codes_of(100, dimensions))
    u, log_det = prior.to_noise(prior.whitened(tf.constant(codes)))
    np.testing.assert_allclose(prior.coloured(prior.from_noise(u)), codes, rtol=1e-3, atol=1e-3)
    with tf.GradientTape() as tape:
        z = tf.constant(codes)
        tape.watch(z)
        noise = prior.to_noise(prior.whitened(z))[0]
    jacobian = tape.batch_jacobian(noise, z).numpy().astype(np.float64)
    expected = scipy.stats.norm.logpdf(u).sum(axis=1) + np.linalg.slogdet(jacobian)[1]
    np.testing.assert_allclose(prior.log_prob(tf.constant(codes)), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(log_det).max() > 0.1


def test_the_couplings_of_real_nvp_map_every_dimension_and_see_what_they_keep_alone():
    prior = shaken(realnvp(5))
    masks = np.array(prior.masks)
    np.testing.assert_array_equal(masks[0::2] + masks[1::2], np.ones([2, 5]))
    assert (masks[0] != masks[2]).any()
    y = tf.constant(codes_of(1, 5))
    with tf.GradientTape() as tape:
        tape.watch(y)
        s, t = prior._coupling(0, prior.masks[0] * y, prior.masks[0])
        outputs = tf.concat([s, t], axis=1)
    slopes = tape.batch_jacobian(outputs, y).numpy()[0]
    kept, moved = masks[0] == 1, np.tile(masks[0] == 0, 2)
    assert (slopes[:, ~kept] == 0).all()
    assert (slopes[~moved] == 0).all()
    assert (slopes[np.ix_(moved, kept)] != 0).all()
    assert np.abs(s).max() < 3.0


def test_a_step_of_real_nvp_trains_the_couplings_on_minus_log_p():
    prior, codes = realnvp(3), tf.constant(codes_of(64, 3))
    prior.adapt(codes.numpy())
    kept = np.array(prior.factor)
    gaussian = scipy.stats.multivariate_normal(codes.numpy().mean(axis=0), np.cov(codes.numpy().T))
    np.testing.assert_allclose(prior.log_prob(codes), gaussian.logpdf(codes), rtol=1e-3, atol=1e-3)  # untrained
    prior.compile(keras.optimizers.Adam(1e-2))
    nll = [float(prior.train_step(codes)["nll"]) for _ in range(30)]
    np.testing.assert_array_equal(prior.factor, kept)
    assert -float(tf.reduce_mean(prior.log_prob(codes))) < nll[0] - 0.1


@pytest.mark.parametrize("prior", ["flow_matching", "realnvp"])
def test_a_dimension_that_is_constant_is_held(prior):
    codes = np.concatenate([codes_of(500, 2), np.full([500, 1], 7.0, np.float32)], axis=1)
    made = PRIORS.get(prior)(3)
    made.adapt(codes)
    np.testing.assert_allclose(made._draw(tf.range(20, dtype=tf.int64))[:, 2], 7.0, atol=0.02)
    assert np.isfinite(made.log_prob(tf.constant(codes[:5]))).all()


def _fitted(name):
    """A prior over the plane that is no Gaussian."""
    if name == "empirical":
        prior = Empirical(2, EmpiricalOptions(empirical_kernel=1.0))
        prior.fit(codes_of(50, 2))
    elif name == "mixture":
        prior = Mixture(2, MixtureOptions(components=3))
        prior.fit(codes_of(500, 2) ** 2 / 3)
    else:
        prior = shaken({"flow_matching": flow(2, flow_steps=12), "realnvp": realnvp(2)}[name], 0.2)
        prior.adapt(codes_of(500, 2))
    return prior


@pytest.mark.parametrize("name", ["mixture", "empirical", "realnvp", "flow_matching"])
def test_a_density_integrates_to_one_and_draws_follow_it(name):
    prior = _fitted(name)
    found = prior._draw(tf.range(2000, dtype=tf.int64)).numpy()
    low, high = found.min(axis=0), found.max(axis=0)
    low, high, points = low - 0.3 * (high - low), high + 0.3 * (high - low), 60
    axes = [np.linspace(a, b, points, dtype=np.float32) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    density = np.exp(prior.log_prob(tf.constant(grid.reshape(-1, 2))).numpy()).reshape(points, points)
    mass = density * np.prod((high - low) / (points - 1))
    assert mass.sum() == pytest.approx(1.0, abs=0.02)
    mean = (mass[..., None] * grid).sum(axis=(0, 1))
    np.testing.assert_allclose(found.mean(axis=0), mean, atol=(4.5 * found.std(axis=0) / np.sqrt(2000) + 0.02).max())
    left = mass[axes[0] < np.median(found[:, 0])].sum()
    assert left == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("kernel", [0.1, 1.0])
def test_the_empirical_prior_is_scipy_s_kernel_density(kernel):
    codes, at = codes_of(200, 3), codes_of(20, 3, seed=1)
    prior = Empirical(3, EmpiricalOptions(empirical_kernel=kernel))
    facts = prior.fit(codes)
    kde = scipy.stats.gaussian_kde(np.float64(codes).T, lambda k: kernel * k.scotts_factor())
    near = np.concatenate([at, codes[:20] + 0.01])
    np.testing.assert_allclose(prior.log_prob(tf.constant(near)), kde.logpdf(near.T), rtol=2e-3, atol=2e-3)
    assert facts["noise"] == pytest.approx(kernel * 200 ** (-1 / 7))


def test_draws_of_the_empirical_prior_are_codes_with_noise():
    codes = codes_of(5, 2)
    prior = Empirical(2, EmpiricalOptions(empirical_kernel=0.01))
    prior.fit(codes)
    found = prior.sample(tf.range(5000, dtype=tf.int64)).numpy()
    nearest = np.linalg.norm(found[:, None] - codes, axis=2).argmin(axis=1)
    assert np.bincount(nearest).min() > 1000 - 4 * np.sqrt(800)
    off = found - codes[nearest]
    expected = np.cov(codes.T) * (0.01 * 5 ** (-1 / 6)) ** 2
    np.testing.assert_allclose(np.cov(off.T), expected, atol=0.1 * expected.max())
    with pytest.raises(InputError, match="at least 2 codes"):
        prior.fit(codes[:1])
