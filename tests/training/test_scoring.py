"""A model and a prior as the functions that scores see."""

import numpy as np
import tensorflow as tf

from pga_tf.priors import PRIORS
from pga_tf.priors.second_vae import SecondVAEOptions
from pga_tf.training import scoring
from pga_tf.training.drawing import Drawing
from pga_tf.training.run_directory import RunDirectory
from tests.methods import builders
from tests.training import helpers


def test_a_second_stage_shows_draws_of_its_own_codes():
    model = builders.build("vae")
    prior = PRIORS.get("second_vae")(builders.LATENT, SecondVAEOptions(second_width=8, second_depth=1))
    codes = tf.random.stateless_normal([500, builders.LATENT], seed=[0, 0])
    found = scoring.subject(Drawing(model, prior)).second_codes(codes.numpy())
    mean, stddev = prior.posterior(codes)
    standardised = (found - mean) / stddev
    assert abs(np.mean(standardised)) < 0.1
    np.testing.assert_allclose(np.std(standardised), 1.0, atol=0.1)
    assert scoring.subject(Drawing(model, PRIORS.get("normal")(builders.LATENT))).second_codes is None


def test_curves_are_roots_of_what_was_logged(tmp_path):
    directory = RunDirectory(tmp_path)
    for step, error in ((100, 0.25), (200, 0.04)):
        directory.append_metrics({"step": step, "pixel_error": error, "gamma": 2 * error})
    with open(directory.metrics, "a") as file:
        file.write('{"step": 300, "pixel_er')  # a line cut short by a kill
    assert scoring.training_curves(directory) == {
        "root mean squared pixel error": ([100, 200], [0.5, 0.2]),
        "gamma": ([100, 200], [0.5, 0.08]),
    }
    assert scoring.training_curves(RunDirectory(tmp_path / "none")) == {}


def test_the_card_says_that_codes_are_normalised(tmp_path):
    said = lambda **values: scoring.batch_norm_statistics(helpers.config(tmp_path, method="ae", **values))
    assert said() == "no batch norm"
    assert said(latent_batch_norm=True) == "no batch norm; codes: running, one set"
