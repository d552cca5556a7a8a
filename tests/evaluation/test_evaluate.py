"""A whole evaluation of models whose answers are known: linear maps between codes and images."""

import re

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core.checks import InputError
from pga_tf.evaluation import (
    evaluate,
    features,
    latent,
    neighbours,
    protocol,
    reconstruction,
    report,
    scores,
    statistics,
)

SHAPE, DIM = (4, 4, 1), 3
MIXING = np.linalg.qr(np.random.default_rng(1).normal(size=(16, DIM)))[0].T * 20.0


def decode(codes, source="data"):
    return np.clip(np.round(codes @ MIXING + 128.0), 0, 255).astype(np.uint8).reshape(-1, *SHAPE)


def encode(images):
    return ((images.reshape(len(images), -1) - 128.0) @ np.linalg.pinv(MIXING)).astype(np.float32)


def codes_of(seed, start, count):
    return np.random.default_rng([7, seed]).normal(size=(start + count, DIM)).astype(np.float32)[start:]


def subject(shift=0.0, posterior=None):
    return evaluate.Subject(
        sample=lambda seed, start, count: decode(codes_of(seed, start, count) + shift),
        prior=lambda count: codes_of(99, 0, count),
        encode=encode,
        decode=decode,
        recode=lambda codes, source: codes + (0.5 if source == "prior" else 0.0),
        posterior_stddev=posterior,
        log_det=None,
    )


extract = features.load("pixels").extractor()
HELD_OUT, TRAINING = decode(codes_of(1, 0, 2000)), decode(codes_of(2, 0, 2000))


@pytest.fixture(scope="module")
def real():
    return statistics.collect([HELD_OUT], extract)


def test_a_model_of_the_data_scores_better_than_a_shifted_one(real):
    good, *_ = evaluate.of_samples(subject(), extract, real, count=1500, seeds=range(3), advance=int)
    bad, *_ = evaluate.of_samples(subject(shift=1.0), extract, real, count=1500, seeds=range(3), advance=int)
    # a shift of every code by 1 moves the mean image by 3 x 20^2 and no covariance
    assert bad["frechet"]["value"] - good["frechet"]["value"] == pytest.approx(1200.0, rel=0.05)
    assert good["kernel"]["value"] < bad["kernel"]["value"]
    assert good["precision"]["value"] > bad["precision"]["value"]
    assert good["coverage"]["value"] > 0.9 > bad["coverage"]["value"]
    assert good["frechet"]["value"] < 10.0


def test_errors_are_over_seeds_or_by_bootstrap(real):
    three, *_ = evaluate.of_samples(subject(), extract, real, count=300, seeds=range(3), advance=int)
    values = three["frechet"]["per_seed"]
    assert len(set(values)) == 3
    assert three["frechet"]["error"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    one, generated, shown = evaluate.of_samples(subject(), extract, real, count=300, seeds=[0], advance=int)
    assert one["frechet"]["value"] == values[0]
    assert 0 < one["frechet"]["error"] < one["frechet"]["value"]
    assert "bootstrap" in one["frechet"]["error_kind"]
    assert generated.moments.count == 300
    np.testing.assert_array_equal(shown, decode(codes_of(0, 0, 100)))


def test_no_bootstrap_where_not_all_features_were_kept(real):
    partly = statistics.collect([TRAINING], extract, keep=100)
    assert scores.bootstrap_frechet(real, partly) == (None, 0)


def test_the_gap_goes_from_the_floor_to_the_prior(real):
    floor = statistics.collect([TRAINING], extract)
    found = evaluate.gap(subject(shift=1.0), extract, real, TRAINING, floor, advance=int)
    assert found["training_images"] == pytest.approx(found["reconstructions"], abs=0.5)  # a lossless autoencoder
    assert found["reconstructions"] < found["resampled"] < found["samples"]
    assert found["latent_error_data"] == 0.0
    assert found["latent_error_prior"] == pytest.approx(0.25, rel=1e-5)
    assert found["images"] == 2000
    noisy = evaluate.gap(
        subject(posterior=lambda x: np.ones((len(x), DIM), np.float32)), extract, real, TRAINING, floor, advance=int
    )
    assert "posterior" in noisy["resampling"]
    assert noisy["resampled"] > found["resampled"]


def test_reconstruction_errors_are_numpys():
    noise = np.random.default_rng(0).integers(-9, 10, HELD_OUT.shape)
    other = np.clip(HELD_OUT + noise, 0, 255).astype(np.uint8)
    found = reconstruction.reconstruction_errors(HELD_OUT, other)
    mse = np.mean((HELD_OUT / 255.0 - other / 255.0) ** 2)
    assert found["mse"] == pytest.approx(mse)
    assert found["psnr"] == pytest.approx(10 * np.log10(1 / mse))
    assert found["ssim_window"] == 3
    same = reconstruction.reconstruction_errors(HELD_OUT, HELD_OUT)
    assert (same["mse"], same["psnr"], same["ssim"]) == (0.0, float("inf"), pytest.approx(1.0))
    large = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    expected = tf.reduce_mean(tf.image.ssim(large, 255 - large, 255))
    assert reconstruction.reconstruction_errors(large, 255 - large)["ssim"] == pytest.approx(float(expected), abs=1e-6)
    with pytest.raises(InputError, match="one shape"):
        reconstruction.reconstruction_errors(HELD_OUT, HELD_OUT[:5])


def test_latent_health_of_a_code_that_matches_the_prior():
    health, paths = evaluate.latent_health(subject(), HELD_OUT)
    np.testing.assert_allclose(health["singular_values"], 1.0, atol=0.1)
    np.testing.assert_allclose(health["singular_values_prior"], 1.0, atol=0.1)
    np.testing.assert_allclose(health["singular_values_normal"], 1.0, atol=0.1)
    assert health["active_units"] == health["latent_dim"] == DIM
    assert abs(health["mmd"]) < 5e-3
    assert paths.shape == (DIM, 9, *SHAPE)
    assert "posterior_variance" not in health


def test_latent_health_shows_the_codes_of_a_second_stage():
    halved = evaluate.Subject(**{**vars(subject()), "second_posterior": lambda codes: (0.5 * codes, 0 * codes + 0.5)})
    health, _ = evaluate.latent_health(halved, HELD_OUT)
    # variance 0.5^2 + 0.5^2, with noise that differs from code to code
    np.testing.assert_allclose(health["singular_values_second"], np.sqrt(0.5), atol=0.05)
    assert "singular_values_second" not in evaluate.latent_health(subject(), HELD_OUT)[0]


def test_latent_health_of_a_posterior_with_a_dead_unit():
    spread = lambda x: np.tile(np.float32([0.01, 0.01, 1.0]), (len(x), 1))
    dead = evaluate.Subject(
        **{**vars(subject()), "encode": lambda x: encode(x) * np.float32([1, 1, 0]), "posterior_stddev": spread}
    )
    health, _ = evaluate.latent_health(dead, HELD_OUT)
    assert health["active_units"] == 2
    # the dead unit's posterior is N(0, 1): its draws match the prior although its mean never moves
    np.testing.assert_allclose(health["singular_values"], 1.0, atol=0.1)
    assert abs(health["mmd"]) < 5e-3
    assert sum(health["posterior_variance"]["counts"]) == len(HELD_OUT) * DIM
    np.testing.assert_allclose(health["posterior_variance_mean"], [1e-4, 1e-4, 1.0], rtol=1e-4)


def test_mmd_is_zero_for_one_law_and_grows_with_a_shift():
    a, b = codes_of(3, 0, 1500), codes_of(4, 0, 1500)
    same, near, far = latent.mmd(a, b), latent.mmd(a, b + 0.3), latent.mmd(a, b + 1.0)
    assert abs(same) < 2e-3 < near < far


def test_directions_are_sorted_by_the_variance_they_cause():
    gains = np.array([1.0, 30.0, 5.0])

    def scaled(codes):
        return np.tile((codes * gains).sum(axis=1)[:, None, None, None], (1, 2, 2, 1)).astype(np.float32)

    order, variances, images = latent.directions(np.zeros((5, 3), np.float32), scaled, steps=5, reach=2.0)
    assert order.tolist() == [1, 2, 0]
    np.testing.assert_allclose(variances, np.square(gains[order]) * np.var([-2, -1, 0, 1, 2]))
    np.testing.assert_allclose(images[0, :, 0, 0, 0], 30.0 * np.array([-2, -1, 0, 1, 2]))


def test_neighbours_equal_brute_force_and_find_what_is_remembered():
    rng = np.random.default_rng(0)
    pool, queries, unseen = (rng.normal(size=(n, 5)).astype(np.float32) for n in (700, 30, 500))
    index, distance = neighbours.nearest(queries, pool, block_size=7)
    brute = np.linalg.norm(queries[:, None] - pool[None], axis=2)
    np.testing.assert_array_equal(index, brute.argmin(axis=1))
    np.testing.assert_allclose(distance, brute.min(axis=1), rtol=1e-4)
    assert neighbours.memorisation_ratio(pool[:100] + 1e-3, unseen, pool) < 0.05
    assert neighbours.memorisation_ratio(rng.normal(size=(500, 5)), unseen, pool) == pytest.approx(1.0, abs=0.1)


def result(real, seeds=(0, 1)):
    found, generated, shown = evaluate.of_samples(subject(), extract, real, count=300, seeds=seeds, advance=int)
    floor = statistics.collect([TRAINING], extract)
    facts, pairs = evaluate.memory(generated.features, real.features, floor.features, shown, lambda i: TRAINING[i])
    assert pairs.shape == (10, 2, *SHAPE)
    network = features.load("pixels")
    posterior = lambda x: np.full((len(x), DIM), 0.2, np.float32)
    return {
        "title": "a run",
        "names": {"frechet": network.distance_name, "kernel": network.kernel_name},
        "card": protocol.card(network, real={"count": 2000}, generated={"count": 300, "seeds": list(seeds)}),
        "scores": found,
        "gap": evaluate.gap(subject(), extract, real, TRAINING, floor, advance=int),
        "reconstruction": evaluate.restored(subject(), HELD_OUT),
        "latent": evaluate.latent_health(subject(posterior=posterior), HELD_OUT)[0]
        | {"log_det_exact": 1.5, "log_det_bound": 2.5},
        "memory": facts,
    }


@pytest.fixture(scope="module")
def two_seeds(real):
    return result(real)


def test_the_page_needs_nothing_from_outside_and_has_every_number(two_seeds):
    found = two_seeds | {"title": "a <run>"}
    picture = np.zeros((5, 5, 1), np.uint8)
    page = report.page(found, {"samples": picture})
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:|#)", page)
    assert "@import" not in page
    assert "a &lt;run&gt;" in page
    assert "<run>" not in page
    assert page.count("<svg") == 3
    text = report.text(found)
    for value in (found["scores"]["frechet"]["value"], found["gap"]["samples"], found["latent"]["mmd"], 1.5, 2.5):
        assert report.number(value) in page
        assert report.number(value) in text
    assert report.page(found, {"samples": picture}) == page


def test_scores_of_other_protocols_are_set_apart_and_the_entries_named(real, two_seeds):
    a, b = (two_seeds | {"title": title} for title in ("first", "second"))
    c = result(real, seeds=(0,)) | {"title": "third"}
    text, page = report.compare([a, b], [None, None])
    assert "Protocol 2" not in text
    assert text.index("first") < text.index("second")
    text, page = report.compare([a, b, c], [None, np.zeros((4, 4, 3), np.uint8), None])
    assert "2 protocols" in text
    assert "generated.seeds: 0, 1 | 0" in text
    assert text.index("second") < text.index("Protocol 2") < text.index("third")
    assert "generated.seeds" in page
    assert page.count("<img") == 1


def test_a_network_whose_name_is_not_inception_never_gives_a_fid(two_seeds):
    assert "FID" not in report.text(two_seeds)
