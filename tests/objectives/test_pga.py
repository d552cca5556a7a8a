"""The PGA losses against float64 NumPy, closed forms for linear f and g, and their limits."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from pga_tf.core.checks import InputError
from pga_tf.objectives import gaussian, pga, reciprocal

RNG = np.random.default_rng(0)


def _normal(*shape):
    return RNG.normal(size=shape)


def test_reconstruction_equals_eq_1():
    x, x_hat = _normal(5, 4, 3, 2), _normal(5, 4, 3, 2)
    expected = 0.5 * ((x_hat - x) ** 2).sum(axis=(1, 2, 3))
    np.testing.assert_allclose(pga.reconstruction(x, x_hat), expected, rtol=1e-12)


@pytest.mark.parametrize("kind", ["l1", "huber"])
def test_other_norms_of_eq_1(kind):
    x, x_hat = 2 * _normal(5, 4, 3, 2), 2 * _normal(5, 4, 3, 2)
    size = np.abs(x_hat - x)
    assert (size < 1).any()
    each = {"l1": 0.5 * size, "huber": scipy.special.huber(1.0, size)}[kind]
    np.testing.assert_allclose(pga.reconstruction(x, x_hat, kind), each.sum(axis=(1, 2, 3)), rtol=1e-12)
    with pytest.raises(InputError, match="Pixel loss"):
        pga.reconstruction(x, x_hat, "l3")


def test_latent_reconstruction_equals_eq_2():
    z, z_hat = _normal(5, 7), _normal(5, 7)
    np.testing.assert_allclose(pga.latent_reconstruction(z, z_hat), 0.5 * ((z_hat - z) ** 2).sum(1), rtol=1e-12)


def test_code_nll_equals_eq_6():
    z = _normal(5, 7)
    np.testing.assert_allclose(pga.code_nll(tf.constant(z)), 0.5 * (z**2).sum(1), rtol=1e-12)


def test_volume_nll_equals_eq_7():
    h_perturbed, h, delta = _normal(5, 7), _normal(5, 7), _normal(5, 7)
    expected = 3.5 * np.log(((h_perturbed - h) ** 2).sum(1) / (delta**2).sum(1))
    value = pga.volume_nll(tf.constant(h_perturbed), tf.constant(h), tf.constant(delta))
    np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_volume_nll_of_a_map_that_does_not_move_is_finite_and_trains_nothing():
    h = tf.Variable(tf.ones([2, 3]))
    with tf.GradientTape() as tape:
        value = pga.volume_nll(tf.ones([2, 3]), h, 0.1 * tf.ones([2, 3]))
    np.testing.assert_allclose(value, 1.5 * np.log(1e-20 / 0.03), rtol=1e-5)
    np.testing.assert_array_equal(tape.gradient(value, h), 0.0)


def test_variational_reconstruction_is_a_gaussian_nll_less_its_constant():
    z_hat, h_perturbed, sigma = _normal(5, 7), _normal(5, 7), RNG.uniform(0.5, 2.0, 7)
    nll = 0.5 * ((z_hat - h_perturbed) / sigma) ** 2 + np.log(sigma) + 0.5 * np.log(2 * np.pi)
    constant = (np.log(sigma) + 0.5 * np.log(2 * np.pi)).sum()
    value = pga.variational_reconstruction(tf.constant(z_hat), tf.constant(h_perturbed), tf.constant(sigma))
    np.testing.assert_allclose(value, nll.sum(1) - constant, rtol=1e-10)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: pga.reconstruction(a[:, None, None], b[:, None, None]),
        pga.latent_reconstruction,
        lambda a, b: pga.volume_nll(a, b, a),
        lambda a, b: pga.variational_reconstruction(a, b, 1.0),
    ],
)
def test_unequal_shapes_are_refused_with_both_printed(loss):
    with pytest.raises(InputError, match=r"3\).*4\)"):
        loss(tf.zeros([2, 3]), tf.zeros([2, 4]))


def test_sphere_has_its_radius_and_gaussian_its_variance():
    noise = tf.constant(_normal(20000, 6))
    sphere = pga.perturbation(noise, 0.1, "sphere").numpy()
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 0.1 * np.sqrt(6), rtol=1e-12)
    np.testing.assert_allclose(np.cov(sphere.T), 0.01 * np.eye(6), atol=3e-4)  # 4 standard errors
    np.testing.assert_array_equal(pga.perturbation(noise, 0.1, "gaussian"), 0.1 * noise)
    with pytest.raises(InputError, match="did you mean 'sphere'"):
        pga.perturbation(noise, 0.1, "spere")


def _expected_volume_nll(matrix, draws=400_000):
    """E_delta[L_nll^theta] of h(z) = A z, for which eps does not matter, by Monte Carlo."""
    delta = pga.perturbation(tf.constant(_normal(draws, len(matrix))), 1.0, "sphere")
    values = pga.volume_nll(delta @ tf.constant(matrix.T), tf.zeros_like(delta), delta).numpy()
    return values.mean(), values.std() / np.sqrt(draws)


def test_proposition_1_bounds_the_log_determinant_of_linear_maps():
    for _ in range(3):
        f, g = _normal(4, 9), _normal(9, 4)  # encoder and decoder of a linear autoencoder, h = f g
        bound, error = _expected_volume_nll(f @ g)
        assert bound - 4 * error > np.linalg.slogdet(f @ g)[1]


def test_proposition_1_is_tight_for_multiples_of_an_isometry():
    for matrix in (2.5 * np.eye(5), 0.3 * np.linalg.qr(_normal(5, 5))[0]):
        bound, _ = _expected_volume_nll(matrix, draws=100)
        np.testing.assert_allclose(bound, np.linalg.slogdet(matrix)[1], rtol=1e-10)


def test_eq_7_expectation_in_two_dimensions_has_its_closed_form():
    # E log(a^2 cos^2 t + b^2 sin^2 t) over a uniform angle is 2 log((a + b) / 2).
    a, b = 3.0, 0.5
    bound, error = _expected_volume_nll(np.diag([a, b]))
    assert abs(bound - 2 * np.log((a + b) / 2)) < 4 * error
    assert error < 0.01


def test_eq_14_kl_is_the_code_nll_plus_a_function_of_sigma():
    mean, stddev = tf.constant(_normal(5, 7)), tf.constant(RNG.uniform(0.1, 2.0, (5, 7)))
    kl = tf.reduce_sum(gaussian.kl_standard_normal(mean, stddev), axis=1)
    rest = 0.5 * tf.reduce_sum(stddev**2 - tf.math.log(stddev**2) - 1.0, axis=1)
    np.testing.assert_allclose(kl, pga.code_nll(mean) + rest, rtol=1e-12)


def test_eq_15_likelihood_has_the_gradient_of_eq_7():
    dim = 4
    h = tf.Variable(_normal(6, dim))
    h_perturbed, delta = tf.constant(_normal(6, dim)), tf.constant(_normal(6, dim))
    with tf.GradientTape(persistent=True) as tape:
        eq_7 = pga.volume_nll(h_perturbed, h, delta)
        eq_15 = reciprocal.nll(tf.math.log(tf.norm(h_perturbed - h, axis=1)), dim)
        ratio = reciprocal.volume_nll(h_perturbed, h, delta)
    np.testing.assert_allclose(tape.gradient(eq_15, h), tape.gradient(eq_7, h), rtol=1e-9)
    np.testing.assert_allclose(tape.gradient(ratio, h), tape.gradient(eq_7, h), rtol=1e-9)
    np.testing.assert_allclose(ratio, eq_7, rtol=1e-9)
    # by the distribution itself, at d^H
    distance = np.linalg.norm((h_perturbed - h).numpy(), axis=1)
    limit = tf.constant(dim * reciprocal.LARGEST_LOG * (1.0 + 1e-6), tf.float64)
    np.testing.assert_allclose(eq_15, -reciprocal.reciprocal(-limit, limit).log_prob(distance**dim), rtol=1e-9)


def test_the_likelihood_holds_where_powers_of_distances_leave_the_floats():
    h = tf.zeros([2, 128])
    moved, delta = tf.fill([2, 128], 1e-5), tf.fill([2, 128], 1e-2)  # d^H is 1e-505
    np.testing.assert_allclose(reciprocal.volume_nll(moved, h, delta), pga.volume_nll(moved, h, delta), rtol=1e-5)


def test_reciprocal_density_integrates_to_one_and_ends_at_its_bounds():
    law = reciprocal.reciprocal(*(tf.math.log(tf.constant(bound, tf.float64)) for bound in (0.5, 4.0)))
    y = np.linspace(0.5, 4.0, 20001)[1:-1]
    density = law.prob(y).numpy()
    np.testing.assert_allclose(density, 1 / (y * np.log(8.0)), rtol=1e-10)
    np.testing.assert_allclose(np.trapezoid(density, y), 1.0, atol=1e-3)
    assert np.all(np.isneginf(law.log_prob(np.array([0.4, 4.1])).numpy()))


def test_published_scale_makes_means_of_squares():
    x, x_hat = _normal(5, 4, 3, 2), _normal(5, 4, 3, 2)
    value = pga.published_scale(24) * pga.reconstruction(x, x_hat)
    np.testing.assert_allclose(value, ((x - x_hat) ** 2).mean(axis=(1, 2, 3)), rtol=1e-12)
