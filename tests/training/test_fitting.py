"""Priors of real runs: every pair of autoencoder and prior, resuming, and what is refused."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from pga_tf import data
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.priors import PRIORS
from pga_tf.priors.mixture import Mixture
from pga_tf.runs import config as config_lib
from pga_tf.runs import fitted, run_codes, trained
from pga_tf.runs.config import FitOptions
from pga_tf.runs.directory import RunDirectory
from pga_tf.runs.drawing import Drawing
from pga_tf.training import fitting, loop
from tests.training import helpers

SMALL = {
    "second_vae": {"second_width": 16, "second_depth": 1},
    "latent_map": {"map_width": 16, "map_depth": 1},
    "mixture": {"components": 2},
    "flow_matching": {"flow_width": 16, "flow_depth": 1, "flow_steps": 2},
    "realnvp": {"couplings": 2, "coupling_width": 16, "coupling_depth": 1},
}
FITTED = [name for name in PRIORS.names() if PRIORS.get(name).FIT != "nothing"]
METHODS_WITH_CODES = [name for name in METHODS.names() if hasattr(METHODS.get(name), "encode")]


def train(path, method="vpga", steps=4):
    config = helpers.config(path, method=method, dataset="digits", network="mlp", steps=steps, learning_rate=0.01)
    loop.train(config, out=str)
    return config_lib.of_run(path)


def fit(config, prior, out=str, model=None, own=(), **values):
    values = {"prior": prior, "prior_steps": 6, "prior_batch_size": 8, "prior_checkpoint_every": 3} | values
    own = PRIORS.get(prior).Options(**SMALL.get(prior, {}) | dict(own))
    return fitting.fit(config, model or trained.load_model(config)[0], FitOptions(**values), own, out=out)


def stored(config, prior):
    with np.load(RunDirectory(config.run.workdir).prior(prior) / "prior.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def run(request, tmp_path_factory):
    """(a run's configuration, its trained model)."""
    config = train(tmp_path_factory.mktemp(request.param) / "run", request.param)
    return config, trained.load_model(config)[0]


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory):
    return train(tmp_path_factory.mktemp("vpga") / "run").run.workdir


@pytest.fixture
def config(trained_once, tmp_path):
    """The configuration of a run that is this test's own."""
    return config_lib.of_run(shutil.copytree(trained_once, tmp_path / "run"))


# Every prior with an encoder of either kind, and one prior with every method: codes are codes, so that is slow's.
PAIRS = [(m, p) for m in ("ae", "vpga") for p in FITTED]
PAIRS += [pytest.param(m, "mixture", marks=pytest.mark.slow) for m in METHODS_WITH_CODES if m not in ("ae", "vpga")]


@pytest.mark.parametrize(("run", "prior"), PAIRS, indirect=["run"])
def test_every_prior_fits_every_method_and_is_loaded_as_it_was(run, prior):
    (config, model), lines = run, []
    assert fit(config, prior, model=model, out=lines.append)
    assert any(f"fitted {prior}: " in line and "mmd" in line for line in lines)
    draw, _ = trained.load(config, prior=prior)
    images = draw.samples(5)
    assert images.shape == (5, 8, 8, 1)
    again = Drawing(model, fitted.load(config, model, prior), prior)
    np.testing.assert_array_equal(again.samples(5), images)
    for name, value in stored(config, prior).items():
        np.testing.assert_array_equal(draw.prior.state()[name], value)


@pytest.mark.parametrize("prior", sorted(set(PRIORS.names()) - set(FITTED)))
def test_a_prior_that_is_a_law_has_nothing_to_fit(prior, config):
    lines = []
    assert fit(config, prior, out=lines.append)
    assert lines == [f"--prior={prior} has nothing to fit"]
    assert fitted.names(config) == []
    assert not RunDirectory(config.run.workdir).own_prior.exists()


def test_a_prior_that_is_worse_than_the_normal_one_says_so(config, monkeypatch):
    """Codes of this run lie near 0: a mixture of them is no further from them than N(0, I), and one far off is."""
    lines, good = [], Mixture.fit

    def spoiled(prior, codes, **more):
        facts = good(prior, codes, **more)
        prior.means.assign_add(50.0 + 0.0 * prior.means)
        return facts

    assert fit(config, "mixture", out=lines.append)
    assert not [line for line in lines if "warning" in line]
    monkeypatch.setattr(Mixture, "fit", spoiled)
    assert fit(config, "mixture", out=lines.append)
    facts = json.loads((RunDirectory(config.run.workdir).prior("mixture") / "facts.json").read_text())
    assert facts["mmd"] > facts["mmd_normal"]
    assert lines[-1].startswith("warning: mixture is further from held-out codes than N(0, I) is")
    assert f"{facts['mmd']:.4g} and {facts['mmd_normal']:.4g}" in lines[-1]


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ((0.01, 0.2, 0.02), r"gained: +nearer to held-out codes than N\(0, I\): 0\.05 of its squared MMD is left"),
        ((-0.001, 0.2, 0.02), r"gained: .*: 0 of its"),
        (
            (0.19, 0.2, 0.02),
            r"^warning: second_vae is not seen to be nearer .*\(MMD 0\.19 and 0\.2\): sample with another",
        ),
        (
            (0.21, 0.2, 0.02),
            r"^warning: second_vae is further from held-out codes than N\(0, I\) is \(MMD 0\.21 and 0\.2\)",
        ),
    ],
)
def test_a_fit_says_what_it_gained(found, said):
    assert re.search(
        said, fitting._gain("second_vae", dict(zip(("mmd", "mmd_normal", "mmd_error"), found, strict=True)))
    )


def test_priors_of_one_kind_lie_side_by_side_by_their_names(config):
    model, _ = trained.load_model(config)
    for name, components in (("", 1), ("wide", 3)):
        assert fit(config, "mixture", model=model, prior_name=name, own={"components": components})
    assert fitted.names(config) == ["mixture", "wide"]
    weights = {name: trained.load(config, prior=name)[0].prior.weights.shape[0] for name in ("mixture", "wide")}
    assert weights == {"mixture": 1, "wide": 3}
    assert trained.load(config, prior="wide")[0].prior_name == "wide"
    assert fitted.command(config, "wide").endswith("--prior=mixture --prior_name=wide")
    with pytest.raises(InputError, match="did you mean 'wide'"):
        trained.load(config, prior="wied")
    RunDirectory(config.run.workdir).write_own_prior({"prior": "mixture", "prior_name": "wide"})
    assert trained.prior_of(config) == "wide"
    for wrong in ("second_vae", "own", "../up", "a b", ".hidden"):
        with pytest.raises(InputError, match=r"--prior_name: expected letters"):
            FitOptions("mixture", wrong)
    with pytest.raises(InputError, match=r"--prior_name: expected a --prior"):
        FitOptions(prior_name="wide")


def test_a_fit_has_a_seed_of_its_own_or_the_runs(config):
    model, _ = trained.load_model(config)
    for name, seed in (("", -1), ("same", config.run.seed), ("other", config.run.seed + 1)):
        assert fit(config, "realnvp", model=model, prior_name=name, prior_seed=seed)
    own, same, other = (stored(config, name) for name in ("realnvp", "same", "other"))
    for name in own:
        np.testing.assert_array_equal(own[name], same[name], err_msg=name)
    kernels = [name for name in own if own[name].ndim == 2]
    assert kernels
    assert any((own[name] != other[name]).any() for name in kernels)
    draws = {name: trained.load(config, prior=name)[0].codes(np.arange(4)) for name in ("same", "other")}
    assert (draws["same"] != draws["other"]).all()


@pytest.mark.parametrize("prior", ["flow_matching", "second_vae", pytest.param("latent_map", marks=pytest.mark.slow)])
def test_fitting_resumes_where_it_was_stopped(prior, config, tmp_path):
    whole, parts = config, config_lib.of_run(shutil.copytree(config.run.workdir, tmp_path / "parts"))
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
    model, _ = trained.load_model(config)
    codes_of = run_codes.sampler(model, 3, "fit/codes")
    images = tf.zeros([4, 8, 8, 1])
    first, again, later = (codes_of(images, tf.constant(step, tf.int64)) for step in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert (first.numpy() != later.numpy()).all()
    judged = run_codes.sampler(model, 3, "codes/test")(images, tf.constant(7, tf.int64))
    assert (first.numpy() != judged.numpy()).all()  # a prior is not judged by noise that it was fitted to
    spread = model.posterior(images).stddev().numpy()
    assert np.abs(first - model.encode(images)).max() < 6 * spread.max()


def test_the_latent_map_keeps_the_generator_of_the_smallest_mmd(config):
    fit(config, "latent_map", prior_steps=9, prior_evaluate_every=3, prior_learning_rate=0.3)
    folder = RunDirectory(config.run.workdir).prior("latent_map")
    scores = [line["mmd"] for line in RunDirectory(folder).read_scores()]
    draw, _ = trained.load(config, prior="latent_map")
    held_out = run_codes.of_split(draw, data.load(config.data), "test", fitting.HELD_OUT)
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


@pytest.mark.parametrize("found", [np.ones((5, 3)), np.full((5, 3), np.nan), np.zeros((0, 3))])
def test_empty_constant_or_nan_codes_are_refused(found):
    with pytest.raises(InputError, match="collapsed"):
        fitting._require_codes(found)


def test_fitting_in_other_words_is_refused(config):
    fit(config, "second_vae")
    before = stored(config, "second_vae")
    with pytest.raises(InputError, match="prior_learning_rate"):
        fit(config, "second_vae", prior_learning_rate=0.5)
    for name, value in stored(config, "second_vae").items():
        np.testing.assert_array_equal(value, before[name])


def test_rates_of_the_options_reach_the_optimisers(config, monkeypatch):
    made, build = {}, fitting.optimizers.of_players
    model, _ = trained.load_model(config)
    monkeypatch.setattr(fitting.optimizers, "of_players", lambda *a, **k: made.update(build(*a, **k)) or made)
    own = {"map_critic_learning_rate": 0.05, "map_critic_beta_1": 0.25, "map_generator_beta_1": 0.75}
    how = {"prior_learning_rate": 0.01, "prior_weight_decay": 0.3, "prior_schedule": "cosine"}
    fit(config, "latent_map", model=model, own=own, prior_steps=4, **how)
    found = {name: (o._learning_rate.peak, o.beta_1, o.weight_decay) for name, o in made.items()}
    assert found == {"map_critic": (0.05, 0.25, 0.3), "map_generator": (0.01, 0.75, 0.3)}
    rates = [float(o._learning_rate.at_step(2)) for o in made.values()]
    assert rates == pytest.approx([0.025, 0.005])  # half-way through the cosine of four steps


@pytest.mark.parametrize(("prior", "epsilon"), [("second_vae", 1e-8 / 3), ("latent_map", 1e-7)])
def test_the_epsilon_of_a_fit_is_in_the_units_of_its_loss(prior, epsilon, config, monkeypatch):
    made, build = {}, fitting.optimizers.of_players
    model, _ = trained.load_model(config)  # of 3 latent dimensions
    monkeypatch.setattr(fitting.optimizers, "of_players", lambda *a, **k: made.update(build(*a, **k)) or made)
    fit(config, prior, model=model, prior_steps=1)
    assert [o.epsilon for o in made.values()] == pytest.approx([epsilon] * len(made))


def test_options_survive_the_flagfile(config):
    fit(config, "latent_map")
    draw, _ = trained.load(config, prior="latent_map")
    assert dataclasses.asdict(draw.prior.options) | SMALL["latent_map"] == dataclasses.asdict(draw.prior.options)
