"""What is measured of models whose answers are known: linear maps between codes and images."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import streams
from pga_tf.core.checks import InputError
from pga_tf.evaluation import latent, measures, reconstruction, statistics
from tests.evaluation.toys import DIM, HELD_OUT, SHAPE, TRAINING, codes_of, decode, decoder, encode, extract, subject


@pytest.fixture(scope="module")
def real():
    return statistics.collect([HELD_OUT], extract)


def test_a_model_of_the_data_scores_better_than_a_shifted_one(real):
    good, _ = measures.of_samples(subject(), extract, real, count=1500, seeds=range(3), advance=int)
    bad, _ = measures.of_samples(subject(shift=1.0), extract, real, count=1500, seeds=range(3), advance=int)
    # a shift of every code by 1 moves the mean image by 3 x 20^2 and no covariance
    assert bad["frechet"]["value"] - good["frechet"]["value"] == pytest.approx(1200.0, rel=0.05)
    assert good["kernel"]["value"] < bad["kernel"]["value"]
    assert good["precision"]["value"] > bad["precision"]["value"]
    assert good["coverage"]["value"] > 0.9 > bad["coverage"]["value"]
    assert good["frechet"]["value"] < 10.0


def test_errors_are_over_seeds_or_by_influences(real):
    three, _ = measures.of_samples(subject(), extract, real, count=300, seeds=range(3), advance=int)
    values = three["frechet"]["per_seed"]
    assert len(set(values)) == 3
    assert three["frechet"]["error"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(3))
    assert three["frechet"]["error_kind"] == "choice of samples, over 3 seeds"
    one, drawn = measures.of_samples(subject(), extract, real, count=300, seeds=[0], advance=int)
    assert one["frechet"]["value"] == values[0]
    for name in ("frechet", "kernel"):
        assert one[name]["error"] > 0
        assert one[name]["error_kind"] == "choice of samples, by each one's influence"
    assert (one["recall"]["error"], one["recall"]["error_kind"]) == (None, None)
    assert drawn.statistics.moments.count == len(drawn.digests) == 300
    np.testing.assert_array_equal(drawn.shown, decode(codes_of(0, 0, 100)))


def test_a_stream_of_images_scores_as_samples_do(real):
    images = decode(codes_of(0, 0, 300))
    stream, drawn = measures.of_images([images[:7], images[7:]], extract, real, advance=int)
    sampled, _ = measures.of_samples(subject(), extract, real, count=300, seeds=[0], advance=int)
    assert stream["precision"] == sampled["precision"]
    assert stream["frechet"]["value"] == pytest.approx(sampled["frechet"]["value"], rel=1e-9)
    np.testing.assert_array_equal(drawn.shown, images[:100])


def test_the_gap_goes_from_the_floor_to_the_prior(real):
    floor = statistics.collect([TRAINING], extract)
    found = measures.gap(subject(shift=1.0), extract, real, [TRAINING], floor, advance=int)
    assert found["training_images"] == pytest.approx(found["reconstructions"], abs=0.5)  # a lossless autoencoder
    assert found["resampled"] == pytest.approx(found["reconstructions"], abs=1.0)  # the noise is small
    assert found["resampled"] < found["samples"] / 100
    assert found["latent_error_data"] == 0.0
    assert found["latent_error_prior"] == pytest.approx(0.25, rel=1e-5)
    assert found["images"] == 2000
    noisy = measures.gap(
        subject(posterior_stddev=lambda x: np.ones((len(x), DIM), np.float32)),
        extract, real, [TRAINING], floor, advance=int,
    )  # fmt: skip
    assert "posterior" in noisy["resampling"]
    assert noisy["resampled"] > 10 * found["resampled"]


def test_the_gap_takes_batches_and_the_samples_that_were_scored(real):
    whole = measures.gap(subject(shift=1.0), extract, real, [TRAINING], None, advance=int)
    batches = (TRAINING[i : i + 300] for i in range(0, len(TRAINING), 300))
    _, drawn = measures.of_samples(subject(shift=1.0), extract, real, count=2000, seeds=[0], advance=int)
    _, fewer = measures.of_samples(subject(shift=1.0), extract, real, count=300, seeds=[0], advance=int)

    def refused(*_):
        raise AssertionError("samples are drawn once")

    once = subject(shift=1.0, sample=refused)
    counted = []
    found = measures.gap(once, extract, real, batches, None, samples=drawn, advance=counted.append)
    assert found.keys() == whole.keys()
    for name in ("images", "samples", "reconstructions", "resampled", "latent_error_prior"):
        assert found[name] == pytest.approx(whole[name], rel=1e-9)
    assert sum(counted) == 3 * len(TRAINING)  # samples, reconstructions and resamples: the bar's arithmetic
    again = measures.gap(subject(shift=1.0), extract, real, [TRAINING], None, samples=fewer, advance=int)
    assert again["samples"] == whole["samples"]  # of as many images as there are training images, not of 300


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
    health, paths = measures.latent_health(subject(), HELD_OUT)
    np.testing.assert_allclose(health["singular_values"], 1.0, atol=0.1)
    np.testing.assert_allclose(health["singular_values_prior"], 1.0, atol=0.1)
    np.testing.assert_allclose(health["singular_values_normal"], 1.0, atol=0.1)
    assert health["active_units"] == health["latent_dim"] == DIM
    assert abs(health["mmd"]) < 5e-3
    assert paths.shape == (DIM, 9, *SHAPE)
    assert "posterior_variance" not in health


def test_latent_health_shows_the_codes_of_a_second_stage():
    halved = subject(second_posterior=lambda codes: (0.5 * codes, 0 * codes + 0.5))
    health, _ = measures.latent_health(halved, HELD_OUT)
    # variance 0.5^2 + 0.5^2, with noise that differs from code to code
    np.testing.assert_allclose(health["singular_values_second"], np.sqrt(0.5), atol=0.05)
    assert "singular_values_second" not in measures.latent_health(subject(), HELD_OUT)[0]


def test_latent_health_of_a_posterior_with_a_dead_unit():
    spread = lambda x: np.tile(np.float32([0.01, 0.01, 1.0]), (len(x), 1))
    dead = subject(encode=lambda x: encode(x) * np.float32([1, 1, 0]), posterior_stddev=spread)
    health, _ = measures.latent_health(dead, HELD_OUT)
    assert health["active_units"] == health["r_hat"] == 2
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


def test_mmd_after_h_is_of_the_mapped_codes():
    health, _ = measures.latent_health(
        subject(), HELD_OUT
    )  # its h moves codes from the prior by 0.5, those of data not
    codes, prior = encode(HELD_OUT), codes_of(99, 0, len(HELD_OUT))
    assert health["mmd_mapped"] == pytest.approx(latent.mmd(codes, prior + 0.5), rel=1e-6)
    assert health["mmd_mapped"] > 10 * abs(health["mmd"])


def test_what_is_mapped_are_means(real):
    """Theorem 1 is about h(f(x)), where f(x) of a stochastic encoder is its mean."""
    spread = subject(posterior_stddev=lambda x: np.full((len(x), DIM), 2.0, np.float32), recode=lambda z, source: z)
    health, _ = measures.latent_health(spread, HELD_OUT)
    assert health["mmd"] > 0.05 > 0.01 > abs(health["mmd_mapped"])
    assert health["mmd_codes"] == health["mmd_mapped"]  # this h is the identity


def test_without_an_encoder_what_needs_one_is_left_out(real):
    floor = statistics.collect([TRAINING], extract)
    whole = measures.gap(subject(shift=1.0), extract, real, [TRAINING], floor, advance=int)
    found = measures.gap(decoder(shift=1.0), extract, real, [TRAINING], floor, advance=int)
    assert found.keys() == whole.keys()
    assert {name for name, value in found.items() if value is not None} == {"images", "training_images", "samples"}
    assert (found["samples"], found["training_images"]) == (whole["samples"], whole["training_images"])
    assert measures.latent_health(decoder(), HELD_OUT) == (None, None)
    assert measures.restored(decoder(), HELD_OUT) is None
    assert measures.restored(subject(), HELD_OUT)["images"] == len(HELD_OUT)
    unmapped = subject(recode=None)
    assert measures.gap(unmapped, extract, real, [TRAINING], floor, advance=int)["latent_error_data"] is None
    assert "mmd_mapped" not in measures.latent_health(unmapped, HELD_OUT)[0]


def test_without_features_what_needs_none_is_measured():
    shifted, nothing = subject(shift=1.0), dict.fromkeys(("training_images", "samples", "reconstructions", "resampled"))
    found = measures.gap(shifted, None, None, [TRAINING], None, advance=int)
    assert found.items() >= {**nothing, "latent_error_data": 0.0}.items()
    assert found["latent_error_prior"] == pytest.approx(0.25, rel=1e-5)
    counted = []
    scored, drawn = measures.of_samples(shifted, None, None, count=300, seeds=range(3), advance=counted.append)
    assert (scored, drawn.statistics, sum(counted)) == ({}, None, 300)
    np.testing.assert_array_equal(drawn.shown, decode(codes_of(0, 0, 100) + 1.0))


def test_no_two_uses_of_noise_share_a_stream(real, monkeypatch):
    drawn, generator = [], streams.generator

    def recorded(use, seed=0):
        drawn.append((use, seed))
        return generator(use, seed)

    monkeypatch.setattr(streams, "generator", recorded)
    model = subject(
        posterior_stddev=lambda x: np.ones((len(x), DIM), np.float32),
        second_posterior=lambda codes: (codes, np.ones_like(codes)),
    )
    measures.gap(model, extract, real, [TRAINING], None, advance=int)
    measures.latent_health(model, HELD_OUT)
    measures.of_posterior(model, HELD_OUT)
    assert sorted(drawn) == [
        ("evaluation/draws", 0),
        ("evaluation/normal", 0),
        ("evaluation/posterior", 0),
        ("evaluation/resampling", 0),
        ("evaluation/second_posterior", 0),
    ]
