"""Priors of real runs: every pair of method and prior, resuming, and what is refused."""

import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from pga_tf import flags
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.priors import PRIORS
from pga_tf.training import fitting, loop, trained
from pga_tf.training.fitting import FitOptions
from pga_tf.training.run_directory import RunDirectory
from tests.training import helpers

SMALL = {
    "second_vae": {"second_width": 16, "second_depth": 1},
    "latent_map": {"map_width": 16, "map_depth": 1},
    "mixture": {"components": 2},
    "normal": {},
}
FITTED = [name for name in PRIORS.names() if PRIORS.get(name).FIT != "nothing"]


def train(path, method="vpga", steps=4):
    config = helpers.config(path, method=method, dataset="digits", network="mlp", steps=steps, learning_rate=0.01)
    loop.train(config, out=str)
    return flags.config_of_run(path)


def fit(config, prior, out=str, **values):
    values = {"prior": prior, "prior_steps": 6, "prior_batch_size": 8, "prior_checkpoint_every": 3} | values
    draw, _ = trained.load(config)
    return fitting.fit(config, draw, FitOptions(**values), PRIORS.get(prior).Options(**SMALL[prior]), out=out)


def stored(config, prior):
    with np.load(RunDirectory(config.run.workdir).prior(prior) / "prior.npz") as file:
        return dict(file)


@pytest.fixture(scope="module", params=METHODS.names())
def run(request, tmp_path_factory):
    return train(tmp_path_factory.mktemp(request.param) / "run", request.param)


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    return train(tmp_path_factory.mktemp("vpga") / "run").run.workdir


@pytest.fixture
def config(trained_once, tmp_path):
    """The configuration of a run that is this test's own."""
    return flags.config_of_run(shutil.copytree(trained_once, tmp_path / "run"))


@pytest.mark.parametrize("prior", PRIORS.names())
def test_every_prior_fits_every_method_and_is_loaded_as_it_was(run, prior):
    lines = []
    assert fit(run, prior, out=lines.append)
    draw, _ = trained.load(run, prior=prior)
    images = draw.samples(5)
    assert images.shape == (5, 8, 8, 1)
    np.testing.assert_array_equal(trained.load(run, prior=prior)[0].samples(5), images)
    if prior in FITTED:
        assert "mmd" in lines[-1]
        for name, value in stored(run, prior).items():
            np.testing.assert_array_equal(draw.prior.state()[name], value)


@pytest.mark.parametrize("prior", ["second_vae", pytest.param("latent_map", marks=pytest.mark.slow)])
def test_fitting_resumes_where_it_was_stopped(prior, config, tmp_path):
    whole, parts = config, flags.config_of_run(shutil.copytree(config.run.workdir, tmp_path / "parts"))
    assert fit(whole, prior, prior_evaluate_every=3)
    for steps in (3, 6):
        assert fit(parts, prior, prior_evaluate_every=3, prior_steps=steps)
    a, b = stored(whole, prior), stored(parts, prior)
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)
    folder = RunDirectory(whole.run.workdir).prior(prior)
    assert [line["step"] for line in RunDirectory(folder).read_scores()] == [3, 6]


def test_codes_of_a_stochastic_encoder_are_drawn_afresh_and_again_the_same(config):
    draw, _ = trained.load(config)
    codes_of = fitting._code_sampler(draw.model, seed=3)
    images = tf.zeros([4, 8, 8, 1])
    first, again, later = codes_of(images, 7), codes_of(images, 7), codes_of(images, 8)
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != later.numpy()).all()
    spread = draw.model.posterior(images).stddev().numpy()
    assert np.abs(first - draw.model.encode(images)).max() < 6 * spread.max()


def test_the_latent_map_keeps_the_generator_of_the_smallest_mmd(config):
    fit(config, "latent_map", prior_steps=9, prior_evaluate_every=3, prior_learning_rate=0.3)
    folder = RunDirectory(config.run.workdir).prior("latent_map")
    scores = [line["mmd"] for line in RunDirectory(folder).read_scores()]
    draw, _ = trained.load(config, prior="latent_map")
    from pga_tf import data

    held_out = fitting._codes(draw, data.load(config.data), "test", fitting.HELD_OUT)
    assert fitting.mmd(draw.prior, held_out) == pytest.approx(min(scores), rel=1e-3)


def test_a_prior_of_other_weights_is_refused(config):
    prior = "mixture"
    with pytest.raises(InputError, match=r"received none.*pga_tf.fit_prior"):
        trained.load(config, prior=prior)
    fit(config, prior)
    train(config.run.workdir, steps=5)
    with pytest.raises(InputError, match="fitted to others"):
        trained.load(config, prior=prior)
    with pytest.raises(InputError, match="--autoencoder="):
        fit(config, prior)


def test_an_unknown_prior_is_refused_with_the_nearest_name(config):
    with pytest.raises(InputError, match="did you mean 'mixture'"):
        trained.load(config, prior="mixtur")


@pytest.mark.parametrize("codes", [np.ones((5, 3)), np.full((5, 3), np.nan), np.zeros((0, 3))])
def test_empty_constant_or_nan_codes_are_refused(codes):
    with pytest.raises(InputError, match="collapsed"):
        fitting._require_codes(codes)


def test_fitting_in_other_words_is_refused(config):
    fit(config, "second_vae")
    before = stored(config, "second_vae")
    with pytest.raises(InputError, match="prior_learning_rate"):
        fit(config, "second_vae", prior_learning_rate=0.5)
    for name, value in stored(config, "second_vae").items():
        np.testing.assert_array_equal(value, before[name])


def test_rates_of_the_options_reach_the_optimisers(config, monkeypatch):
    made = []
    build = fitting.optimizers.build_optimizer

    def remember(options, **sizes):
        made.append(options)
        return build(options, **sizes)

    monkeypatch.setattr(fitting.optimizers, "build_optimizer", remember)
    draw, _ = trained.load(config)
    own = PRIORS.get("latent_map").Options(**SMALL["latent_map"], map_critic_rate=5.0, map_momentum=0.25)
    made.clear()  # those of the autoencoder
    how = FitOptions(prior="latent_map", prior_steps=1, prior_learning_rate=0.01, prior_weight_decay=0.3)
    fitting.fit(config, draw, how, own, out=str)
    assert {options.learning_rate for options in made} == {0.01, 0.05}
    assert {options.weight_decay for options in made} == {0.3}
    assert {options.momentum for options in made} == {0.25}


def test_options_survive_the_flagfile(config):
    fit(config, "latent_map")
    draw, _ = trained.load(config, prior="latent_map")
    assert dataclasses.asdict(draw.prior.options) | SMALL["latent_map"] == dataclasses.asdict(draw.prior.options)
