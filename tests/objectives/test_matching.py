"""Divergences of a batch from a prior: against float64 NumPy by loops, SciPy, closed forms and their limits."""

import itertools

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from pga_tf.core.checks import InputError
from pga_tf.evaluation import latent
from pga_tf.objectives import matching

RNG = np.random.default_rng(5)
COUNT, DIM = 7, 3


def _kernel(a, b):
    """The sum of the seven kernels of the released code for two codes, the prior's standard deviation being 1."""
    return sum(c / (c + ((a - b) ** 2).sum()) for c in 2 * len(a) * np.array([0.1, 0.2, 0.5, 1, 2, 5, 10]))


def _mmd(z, p):
    """1/(B(B-1)) sum_{i != j} [k(z_i, z_j) + k(p_i, p_j)] - 2/B^2 sum_ij k(z_i, p_j)."""
    count = len(z)
    within = sum(_kernel(z[i], z[j]) + _kernel(p[i], p[j]) for i, j in itertools.permutations(range(count), 2))
    across = sum(_kernel(a, b) for a in z for b in p)
    return within / (count * (count - 1)) - 2 * across / count**2


@pytest.fixture
def codes():
    rng = np.random.default_rng(4)
    return 1.7 * rng.normal(size=(COUNT, DIM)) + 0.5, rng.normal(size=(COUNT, DIM))


def test_mmd_equals_its_double_sum(codes):
    rows = matching.imq_mmd(*map(tf.constant, codes))
    assert rows.shape == (COUNT,)
    np.testing.assert_allclose(np.mean(rows), _mmd(*codes), rtol=1e-11)
    for i, row in enumerate(rows):
        z, p = codes
        others = [j for j in range(COUNT) if j != i]
        expected = sum(_kernel(z[i], z[j]) + _kernel(p[i], p[j]) for j in others) / (COUNT - 1)
        expected -= 2 / COUNT * sum(_kernel(z[i], b) for b in p)
        np.testing.assert_allclose(row, expected, rtol=1e-10)


def test_mmd_is_seven_times_that_of_the_report(codes):
    np.testing.assert_allclose(np.mean(matching.imq_mmd(*map(tf.constant, codes))), 7 * latent.mmd(*codes), rtol=1e-10)


def test_the_gradient_of_mmd_equals_finite_differences(codes):
    z, p = tf.Variable(codes[0]), tf.constant(codes[1])
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(matching.imq_mmd(z, p))
    step, expected = 1e-5, np.zeros((COUNT, DIM))
    for i, d in np.ndindex(COUNT, DIM):
        up, down = codes[0].copy(), codes[0].copy()
        up[i, d], down[i, d] = up[i, d] + step, down[i, d] - step
        expected[i, d] = (_mmd(up, codes[1]) - _mmd(down, codes[1])) / (2 * step)
    np.testing.assert_allclose(tape.gradient(value, z), expected, rtol=1e-5, atol=1e-9)


def test_mmd_is_unbiased_and_tells_laws_apart():
    rng = np.random.default_rng(9)
    estimate = tf.function(lambda z, p: tf.reduce_mean(matching.imq_mmd(z, p)))
    draw = lambda scale: [
        float(estimate(*(tf.constant(s * rng.normal(size=(20, 2))) for s in (scale, 1.0)))) for _ in range(225)
    ]
    same, other = draw(1.0), draw(2.0)
    assert abs(np.mean(same)) < 4 * np.std(same) / 15  # a biased one, with its diagonal, would be near 7 * 2 / 20
    assert min(same) < 0.0
    assert np.mean(other) > 10 * np.std(other) / 15


@pytest.mark.parametrize("size", [1e-3, 1e3])
def test_mmd_in_float32_is_that_in_float64_for_near_and_far_codes(size):
    z, p = size * RNG.normal(size=(32, 8)), RNG.normal(size=(32, 8))
    received = np.mean(matching.imq_mmd(tf.constant(z, tf.float32), tf.constant(p, tf.float32)))
    np.testing.assert_allclose(received, _mmd(z, p), rtol=1e-4)


def test_sliced_wasserstein_along_an_axis_is_scipys_squared_for_shifted_samples():
    """A sample and the same one moved by t are |t| apart in every Wasserstein distance, of whichever power."""
    p = RNG.normal(size=(50, 2))
    z = RNG.permutation(p) + np.array([0.7, -0.2])
    for axis, shift in ((0, 0.7), (1, -0.2)):
        direction = np.eye(2)[axis : axis + 1]
        received = np.mean(matching.sliced_wasserstein(z, p, tf.constant(3.0 * direction)))  # of any length
        assert received == pytest.approx(scipy.stats.wasserstein_distance(z[:, axis], p[:, axis]) ** 2)
        assert received == pytest.approx(shift**2)


def test_sliced_wasserstein_is_the_cheapest_assignment_along_each_direction():
    """Against SciPy's assignment of one sample's points to the other's, which does not sort."""
    z, p, directions = RNG.normal(size=(9, 4)), 2.0 * RNG.normal(size=(9, 4)) + 1.0, RNG.normal(size=(5, 4))
    costs = []
    for u in directions / np.linalg.norm(directions, axis=1, keepdims=True):
        cost = (np.subtract.outer(z @ u, p @ u)) ** 2
        rows, columns = scipy.optimize.linear_sum_assignment(cost)
        costs.append(cost[rows, columns].mean())
    rows = matching.sliced_wasserstein(tf.constant(z), tf.constant(p), tf.constant(directions))
    assert rows.shape == (9,)
    np.testing.assert_allclose(np.mean(rows), np.mean(costs), rtol=1e-12)


def test_sliced_wasserstein_of_two_gaussians_approaches_its_closed_form():
    """N(m, s^2 I) and N(0, I): |m|^2 / H_dim + (s - 1)^2, as a mean over all directions."""
    dim, mean, stddev = 3, np.array([1.0, 0.0, -0.5]), 1.6
    rng = np.random.default_rng(8)
    z, p = stddev * rng.normal(size=(8000, dim)) + mean, rng.normal(size=(8000, dim))
    directions = rng.normal(size=(50, dim))
    received = np.mean(matching.sliced_wasserstein(*map(tf.constant, (z, p, directions))))
    along = (directions / np.linalg.norm(directions, axis=1, keepdims=True)) @ mean
    assert received == pytest.approx(np.mean(along**2) + 0.6**2, rel=0.1)  # 3 deviations of 8,000 draws


def test_the_gap_of_moments_by_numpy_and_at_the_prior():
    z = RNG.normal(size=(6, 3)) * [1.0, 2.0, 0.5] + [0.0, 1.0, -1.0]
    expected = np.mean(z.mean(0) ** 2) + np.mean((np.cov(z, rowvar=False) - np.eye(3)) ** 2)
    np.testing.assert_allclose(matching.moment_gap(tf.constant(z)), expected, rtol=1e-12)
    white = RNG.normal(size=(40, 3))
    white = (white - white.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(white, rowvar=False))).T
    np.testing.assert_allclose(matching.moment_gap(tf.constant(white)), 0.0, atol=1e-12)


@pytest.mark.parametrize("loss", [matching.imq_mmd, lambda z, p: matching.sliced_wasserstein(z, p, tf.ones([1, 2]))])
def test_unequal_shapes_are_refused(loss):
    with pytest.raises(InputError, match="Tensors z and p: expected the same shape"):
        loss(tf.zeros([4, 2]), tf.zeros([3, 2]))
