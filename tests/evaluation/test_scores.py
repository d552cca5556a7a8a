"""Scores against analytic Gaussians, SciPy, TF-GAN and brute force, and what they refuse."""

import tracemalloc
from unittest import mock

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf

from pga_tf.core import tfgan
from pga_tf.core.checks import InputError
from pga_tf.evaluation import pairs, scores, statistics
from pga_tf.evaluation.frechet import frechet_distance
from pga_tf.evaluation.kernel import kernel_distance
from pga_tf.evaluation.moments import Moments
from pga_tf.evaluation.prdc import PRDC, prdc

RNG = np.random.default_rng(0)


def moments(features):
    return Moments(features.shape[1]).add(features)


def correlated(count, dimensions, scale=1.0, shift=0.0):
    mixing = RNG.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
    return scale * (RNG.normal(size=(count, dimensions)) @ mixing + shift)


def by_sqrtm(x, y):
    """The distance as the papers write it, by an independent matrix square root."""
    cov_x, cov_y = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root)


def exactly(mean, covariance, count=50):
    """Moments that are exactly the given ones."""
    whitened = RNG.normal(size=(count, len(mean)))
    whitened -= whitened.mean(0)
    whitened = whitened @ np.linalg.inv(scipy.linalg.sqrtm(np.cov(whitened.T)).real)
    return moments(whitened @ scipy.linalg.sqrtm(covariance).real + mean)


def test_moments_equal_numpy_whatever_the_batches():
    features = correlated(500, 6) + 1e4  # a mean that dwarfs the spread
    for sizes in ([500], [1] * 20 + [480], [0, 100, 399, 1]):
        streamed, start = Moments(6), 0
        for size in sizes:
            streamed.add(features[start : start + size])
            start += size
        np.testing.assert_allclose(streamed.mean, features.mean(0), rtol=1e-12)
        np.testing.assert_allclose(streamed.covariance(), np.cov(features.T), rtol=1e-7, atol=1e-9)


def test_moments_of_parts_merge_to_those_of_the_whole():
    features = correlated(500, 6) + 1e4
    parts = [Moments(6).add(part) for part in np.split(features, [0, 3, 200])]
    merged = parts[3].merge(parts[1]).merge(parts[0]).merge(parts[2])
    assert merged.count == 500
    np.testing.assert_allclose(merged.mean, features.mean(0), rtol=1e-12)
    np.testing.assert_allclose(merged.covariance(), np.cov(features.T), rtol=1e-7, atol=1e-9)
    np.testing.assert_array_equal(Moments(6).merge(parts[2]).mean, parts[2].mean)


def test_distance_between_gaussians_that_commute_is_analytic():
    a = exactly(np.zeros(3), np.diag([1.0, 4.0, 9.0]))
    b = exactly(np.array([1.0, 0.0, 2.0]), np.diag([4.0, 4.0, 1.0]))
    assert frechet_distance(a, b) == pytest.approx(5.0 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 1.0, 1e4])
def test_distance_equals_scipy_at_every_feature_scale(scale):
    x, y = correlated(400, 20, scale), correlated(300, 20, scale, shift=0.3)
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(by_sqrtm(x, y), rel=1e-6)


def test_distance_equals_tf_gan():
    x, y = correlated(400, 20), correlated(300, 20, shift=0.3)
    theirs = tfgan.metrics().frechet_classifier_distance_from_activations(x.astype("float32"), y.astype("float32"))
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(float(theirs), rel=1e-3)


def test_distance_with_fewer_images_than_dimensions():
    """Both covariances have rank N - 1; the distance is that within the span of all images."""
    x, y = RNG.normal(size=(8, 40)), RNG.normal(size=(9, 40)) + 0.5
    basis = np.linalg.qr(np.concatenate([x, y]).T)[0]
    reference = frechet_distance(moments(x @ basis), moments(y @ basis))
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(reference, rel=1e-6)


def test_distance_is_zero_on_itself_symmetric_and_blind_to_order():
    x, y = correlated(200, 10), correlated(200, 10)
    assert frechet_distance(moments(x), moments(x)) == 0.0
    assert frechet_distance(moments(x), moments(RNG.permutation(x))) == pytest.approx(0.0, abs=1e-10)
    assert frechet_distance(moments(x), moments(y)) == pytest.approx(frechet_distance(moments(y), moments(x)), rel=1e-9)


def test_kernel_distance_equals_brute_force_and_tf_gan():
    x, y = RNG.normal(size=(40, 5)), RNG.normal(size=(30, 5)) + 0.3
    k = lambda a, b: (a @ b / 5 + 1) ** 3
    pairs = lambda z: [k(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]
    expected = np.mean(pairs(x)) + np.mean(pairs(y)) - 2 * np.mean([k(a, b) for a in x for b in y])
    value, error = kernel_distance(x, y)
    assert value == pytest.approx(expected, rel=1e-9)
    assert error > 0
    assert np.isnan(kernel_distance(x, y[:3])[1])
    theirs = tfgan.metrics().kernel_classifier_distance_from_activations(
        tf.constant(x, tf.float32), tf.constant(y, tf.float32)
    )
    assert value == pytest.approx(float(theirs), rel=1e-3)


def test_kernel_distance_of_one_distribution_is_zero_within_its_error():
    value, error = kernel_distance(RNG.normal(size=(3000, 4)), RNG.normal(size=(3000, 4)), block_size=300)
    assert abs(value) < 4 * error
    value, error = kernel_distance(RNG.normal(size=(3000, 4)), RNG.normal(size=(3000, 4)) + 0.5, block_size=300)
    assert value > 10 * error


def test_kernel_distance_of_unequal_sides_takes_blocks_of_the_smaller_one_again():
    real, generated = RNG.normal(size=(50, 4)), RNG.normal(size=(950, 4)) + 1.0
    value, error = kernel_distance(real, generated, block_size=100)
    whole, _ = kernel_distance(real, generated, block_size=1000)
    assert value == pytest.approx(whole, rel=0.02)  # the real side is whole in each block
    assert 0 < error < whole
    both, _ = kernel_distance(RNG.normal(size=(250, 4)), generated, block_size=100)
    assert both == pytest.approx(whole, rel=0.3)


def brute_force_prdc(real, generated, k):
    """By the definition, from differences, which are the same for copies: open balls, and copies inside in any case."""

    def squares(a, b):
        return ((a[:, None].astype(np.float64) - b[None]) ** 2).sum(axis=2)

    real_radii = np.sort(squares(real, real), axis=1)[:, k]
    generated_radii = np.sort(squares(generated, generated), axis=1)[:, k]
    square = squares(real, generated)
    inside = (square < real_radii[:, None]) | (square == 0)
    recall = ((square < generated_radii) | (square == 0)).any(1).mean()
    return inside.any(0).mean(), recall, inside.sum(0).mean() / k, inside.any(1).mean()


def assert_prdc_is_brute_forces(real, generated, k):
    expected = brute_force_prdc(real, generated, k)
    for block_size in (7, 64, 450, 1000):
        scores = prdc(real, generated, k=k, block_size=block_size)
        np.testing.assert_allclose(
            [scores.precision, scores.recall, scores.density, scores.coverage], expected, rtol=1e-12
        )


def test_prdc_equals_brute_force_in_any_blocks():
    assert_prdc_is_brute_forces(RNG.normal(size=(500, 3)), 0.7 * RNG.normal(size=(450, 3)) + 0.4, 4)


# At the offset float32 leaves steps of 1/16, and a square is 1e14 times the slack that rounding would need there.
@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (1e-4, 0.0), (1e4, 0.0), (1.0, 1e6)])
@pytest.mark.parametrize("dimensions", [3, 64])
def test_prdc_of_copies_does_not_depend_on_the_blocks(scale, offset, dimensions):
    rng = np.random.default_rng(0)
    real = (scale * rng.normal(size=(300, dimensions)) + offset).astype(np.float32)
    assert_prdc_is_brute_forces(real, rng.permutation(real)[:120], 5)
    for block_size in (7, 64, 300):
        # The k-th neighbour is outside of an open ball, whose centre is inside: k of k, as in Naeem et al.'s code; with
        # steps of 1/16 some neighbours are equally far, and then all of them are outside.
        whole = PRDC(1.0, 1.0, pytest.approx(1.0, abs=0.01 if offset else 1e-12), 1.0)
        assert prdc(real, real, block_size=block_size) == whole
        assert prdc(real, rng.permutation(real), block_size=block_size) == whole


def test_prdc_of_images_that_are_there_many_times_over():
    rng = np.random.default_rng(0)
    real = rng.normal(size=(200, 16)).astype(np.float32)
    real[:20], real[20:23] = real[0], 0.0  # balls without a radius, and copies within balls that have one
    generated = np.concatenate([real[:40], rng.normal(size=(60, 16)).astype(np.float32)])
    assert_prdc_is_brute_forces(real, generated, 5)
    assert_prdc_is_brute_forces(generated, real, 5)
    same = prdc(real, real)
    assert (same.precision, same.recall, same.coverage) == (1.0, 1.0, 1.0)
    everything = prdc(np.zeros((8, 3)), np.zeros((8, 3)))
    assert (everything.precision, everything.recall, everything.density) == (1.0, 1.0, 8 / 5)
    apart = prdc(np.zeros((8, 3), np.float32), np.ones((8, 3), np.float32))
    assert (apart.precision, apart.recall, apart.density, apart.coverage) == (0.0, 0.0, 0.0, 0.0)


def test_prdc_of_features_that_float32_cannot_tell_apart():
    """Clusters far from the centre and tight: every pair of them is in doubt in float32."""
    rng = np.random.default_rng(0)
    centres = 10.0 * rng.normal(size=(2, 8))
    sides = [centres[rng.integers(0, 2, size=200)] + 1e-3 * rng.normal(size=(200, 8)) for _ in range(2)]
    assert_prdc_is_brute_forces(*sides, 5)
    assert_prdc_is_brute_forces(sides[0], 1e-3 * rng.normal(size=(200, 8)) + centres[0], 5)


def test_prdc_of_wide_features_equals_brute_force():
    rng = np.random.default_rng(0)
    real, generated = (np.maximum(rng.normal(size=(n, 512)), 0.0).astype(np.float32) for n in (150, 120))
    assert_prdc_is_brute_forces(real, 0.97 * generated, 3)


def test_prdc_holds_a_few_tiles_and_never_the_whole_matrix():
    count, block_size = 3000, 250
    real, generated = RNG.normal(size=(2, count, 4)).astype(np.float32)
    tracemalloc.start()
    try:
        prdc(real, generated, block_size=block_size)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 * block_size**2 * 8 + 60 * count * 8  # in float32 the whole matrix is 72 such tiles


def test_what_belongs_to_real_images_is_computed_once_for_all_sets():
    real, *sets = (statistics.collect([RNG.normal(size=(80, 3))], lambda x: x.astype(np.float32)) for _ in range(3))
    apart = [scores.score(statistics.Statistics(real.moments, real.features), each) for each in sets]
    with mock.patch.object(pairs, "nearest", wraps=pairs.nearest) as nearest:
        assert [scores.score(real, each) for each in sets] == apart
    assert nearest.call_count == 1 + len(sets)
    assert real.moments.factor() is real.moments.factor()
    before = real.moments.factor()
    assert real.moments.add(np.ones((4, 3))).factor() is not before


def test_prdc_tells_dropped_modes_from_bad_samples():
    centres = np.repeat([[0.0, 0.0], [10.0, 0.0]], 200, axis=0)
    real = centres + RNG.normal(size=(400, 2))
    dropped = prdc(real, RNG.normal(size=(400, 2)))
    assert dropped.precision > 0.9
    assert dropped.recall < 0.6
    noisy = prdc(real, centres + 4 * RNG.normal(size=(400, 2)))
    assert noisy.precision < 0.6
    assert noisy.recall > 0.9


def test_bad_features_are_refused_without_a_score():
    good = moments(correlated(10, 3))
    with pytest.raises(InputError, match="first for image 12"):
        good.add(np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [np.nan, 0.0, 0.0]]))
    with pytest.raises(InputError, match=r"\[N, 3\]"):
        good.add(np.zeros((4, 2)))
    with pytest.raises(InputError, match="at least 2"):
        frechet_distance(good, Moments(3).add(np.zeros((1, 3))))
    with pytest.raises(InputError, match="constant on both sides"):
        frechet_distance(moments(np.ones((5, 3))), moments(np.ones((5, 3))))
    with pytest.raises(InputError, match="3 and 2 dimensions"):
        frechet_distance(good, moments(np.zeros((5, 2))))
    with pytest.raises(InputError, match="N >= 2"):
        kernel_distance(np.zeros((1, 3)), np.zeros((5, 3)))
    with pytest.raises(InputError, match="N > k = 5"):
        prdc(np.zeros((5, 3)), np.zeros((50, 3)))


@pytest.mark.parametrize(("count", "dimensions", "few"), [(639, 64, True), (640, 64, False), (24, 2, False)])
def test_too_few_real_images_are_said(count, dimensions, few):
    features = np.random.default_rng(0).normal(size=(count, dimensions)).astype(np.float32)
    note = scores.few_real(statistics.Statistics(Moments(dimensions).add(features), features[:5]))
    assert (note is not None) == few
    if few:
        assert f"only {count} real images for {dimensions} dimensions" in note
