"""A model and a prior as the functions that scores see."""

import numpy as np
import tensorflow as tf

from pga_tf.methods.vae import VAEOptions
from pga_tf.priors import PRIORS
from pga_tf.priors.second_vae import SecondVAEOptions
from pga_tf.training import scoring
from pga_tf.training.drawing import Drawing
from pga_tf.training.run_directory import RunDirectory
from tests.methods import builders
from tests.training import helpers


def test_a_second_stage_shows_the_moments_of_its_own_codes():
    model = builders.build("vae")
    prior = PRIORS.get("second_vae")(builders.LATENT, SecondVAEOptions(second_width=8, second_depth=1))
    codes = tf.random.stateless_normal([500, builders.LATENT], seed=[0, 0])
    found = scoring.subject(Drawing(model, prior)).second_posterior(codes.numpy())
    for received, expected in zip(found, prior.posterior(codes), strict=True):
        np.testing.assert_array_equal(received, expected)
    assert scoring.subject(Drawing(model, PRIORS.get("normal")(builders.LATENT))).second_posterior is None


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


def test_the_card_says_that_codes_are_normalised(tmp_path):
    said = lambda **values: scoring.batch_norm_statistics(helpers.config(tmp_path, method="ae", **values))
    assert said() == "no batch norm"
    assert said(batch_norm="per_source") == "running, of data codes"
    assert scoring.batch_norm_statistics(helpers.config(tmp_path, batch_norm="per_source")) == "running, of prior codes"
    assert said(latent_batch_norm=True) == "no batch norm; codes: running, one set"
