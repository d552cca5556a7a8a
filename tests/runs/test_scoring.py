"""A model and a prior as the functions that scores see."""

import hashlib
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from pga_tf import data
from pga_tf.methods.vae import VAEOptions
from pga_tf.priors import PRIORS
from pga_tf.priors.second_vae import SecondVAEOptions
from pga_tf.runs import scoring
from pga_tf.runs.directory import RunDirectory
from pga_tf.runs.drawing import Drawing
from tests.methods import builders
from tests.training import helpers


def test_a_second_stage_shows_the_moments_of_its_own_codes():
    model = builders.build("vae")
    prior = PRIORS.get("second_vae")(builders.LATENT, SecondVAEOptions(second_width=8, second_depth=1))
    codes = tf.random.stateless_normal([500, builders.LATENT], seed=[0, 0])
    found = scoring.subject(Drawing(model, prior, "second_vae")).second_posterior(codes.numpy())
    for received, expected in zip(found, prior.posterior(codes), strict=True):
        np.testing.assert_array_equal(received, expected)
    assert scoring.subject(builders.drawing(model)).second_posterior is None


@pytest.mark.parametrize(
    ("train_on", "split", "said"), [("all", "test", True), ("all", "train", None), ("train", "test", None)]
)
def test_a_card_says_where_its_real_images_were_trained_on(train_on, split, said):
    source = data.load(data.DataOptions(dataset="digits", train_on=train_on))
    _, entry = scoring.real_identity(source, split, 10, None)
    assert entry.get("trained_on") is said


def test_curves_are_roots_of_what_was_logged(tmp_path):
    directory = RunDirectory(tmp_path)
    for step, error in ((100, 0.25), (200, 0.04)):
        directory.append_metrics({"step": step, "pixel_error": error, "gamma": 2 * error})
    with open(directory.metrics, "a") as file:
        file.write('{"step": 300, "pixel_er')  # a line cut short by a kill
    assert scoring.training_curves(directory, VAEOptions()) == {
        "root mean squared pixel error": ([100, 200], [0.5, 0.2]),
        "gamma": ([100, 200], [0.5, 0.08]),
    }
    fixed = scoring.training_curves(directory, VAEOptions(likelihood="fixed_gamma"))
    assert list(fixed) == ["root mean squared pixel error"]  # a gamma that nobody learns is no curve
    assert scoring.training_curves(RunDirectory(tmp_path / "none"), VAEOptions()) == {}


def test_the_card_says_whose_statistics_samples_were_drawn_with(tmp_path):
    def said(method, prior="normal", **values):
        config = helpers.config(tmp_path, method=method, **values)
        model = builders.build(method, batch_norm=config.network.batch_norm)
        return scoring.batch_norm_statistics(config, Drawing(model, PRIORS.get(prior)(builders.LATENT), prior))

    assert said("ae") == "no batch norm"
    assert said("ae", batch_norm="per_source") == "running, of data codes"
    assert said("ae", latent_batch_norm=True) == "no batch norm; codes: running, one set"
    assert said("lpga", batch_norm="shared") == "running, one set"
    assert said("lpga", batch_norm="per_source") == "running, of prior codes"
    assert said("lpga", "mixture", batch_norm="per_source") == "running, of data codes"


class _Seeds(Drawing):
    """A `Drawing` that remembers which seeds it drew samples of."""

    def samples_of(self, seeds):
        self.drawn = getattr(self, "drawn", []) + seeds.tolist()
        return super().samples_of(seeds)


@pytest.fixture
def scored(tmp_path):
    """A function of options to (in-training score, its card, indices of the test images that it is taken against)."""
    source = data.load(helpers.config(tmp_path).data)
    held_out = source.examples("test", 10**6)
    assert len(held_out) == 256

    def make(**values):
        config = helpers.config(tmp_path, evaluate_every=1, evaluate_features="pixels", **values)
        collect, batches = scoring.statistics.collect, []

        def watched(images, *rest, **named):
            return collect((batches.append(batch) or batch for batch in images), *rest, **named)

        with mock.patch.object(scoring.statistics, "collect", watched):
            score, card = scoring.in_training(config, source)
        assert max(map(len, batches)) <= scoring.BATCH
        images = np.concatenate(batches)
        assert card["real"]["sha256"] == hashlib.sha256(images).hexdigest()[:16]
        indices = [np.flatnonzero((held_out == image).all(axis=(1, 2, 3))).item() for image in images]
        assert card["real"]["count"] == len(indices)
        return score, card, indices

    return make


def test_scores_in_training_leave_every_second_test_image_to_the_report(scored):
    *_, indices = scored(evaluate_samples=1000)
    assert indices == list(range(0, 256, 2))
    _, card, fewer = scored(evaluate_samples=20)
    assert len(fewer) == 20
    assert fewer == sorted(set(fewer))
    assert not [i for i in fewer if i % 2]
    assert fewer[-1] > 240  # from all over the split
    assert card["real"]["split"] == "every second image of test"


def test_scores_in_training_share_no_draw_with_samples(scored):
    score, card, _ = scored(evaluate_samples=300)
    model = builders.build("lpga", shape=(8, 8, 1))
    steering, reported = (_Seeds(model, PRIORS.get("normal")(builders.LATENT), "normal") for _ in range(2))
    first = score(steering)
    assert len(set(steering.drawn)) == len(steering.drawn) == 300 == card["generated"]["count"]
    for seed in range(4):
        reported.samples(1000, seed=seed)
    assert len(set(reported.drawn)) == 4000
    assert not set(steering.drawn) & set(reported.drawn)
    assert score(steering) == first  # the same draws at every step, so that scores of steps can be compared
