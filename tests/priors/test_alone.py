"""Priors over arrays of codes, with no run behind them."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf import priors
from pga_tf.core.checks import InputError, NonFiniteError
from pga_tf.priors import alone
from pga_tf.runs.config import FitOptions

SMALL = {
    "mixture": {"components": 2},
    "second_vae": {"second_width": 8, "second_depth": 1},
    "latent_map": {"map_width": 8, "map_depth": 1},
    "flow_matching": {"flow_width": 16, "flow_depth": 1, "flow_steps": 3},
    "realnvp": {"couplings": 3, "coupling_width": 8, "coupling_depth": 1},
}
SEEDS = tf.range(6, dtype=tf.int64)


def codes_of(count=300):
    """Float64 codes around two points of 3-D, as another library would have them."""
    rng = np.random.default_rng(0)
    return np.where(rng.integers(0, 2, [count, 1]), 4.0, -2.0) + rng.normal(size=[count, 3])


@pytest.mark.parametrize("name", priors.PRIORS.names())
def test_a_prior_is_fitted_saved_and_loaded_by_its_name(name, tmp_path):
    kind, reports = priors.PRIORS.get(name), []
    how = SMALL.get(name, {}) | ({"steps": 5, "batch_size": 16} if kind.FIT == "steps" else {})
    prior = priors.fit(name, codes_of(), report=lambda *report: reports.append(report), **how)
    assert bool(reports) == (kind.FIT != "nothing")
    found = prior.sample(SEEDS).numpy()
    np.testing.assert_array_equal(priors.fit(name, codes_of(), **how).sample(SEEDS), found)
    priors.save(prior, tmp_path / "prior.npz")
    again = priors.load(tmp_path / "prior.npz")
    assert type(again) is kind
    np.testing.assert_array_equal(again.sample(SEEDS), found)
    if kind.FIT != "nothing" and name not in ("latent_map", "second_vae"):  # which begin far from codes
        assert (
            np.linalg.norm(prior._draw(tf.range(400, dtype=tf.int64)).numpy().mean(axis=0) - codes_of().mean(axis=0))
            < 1.0
        )


def test_steps_move_a_prior_and_what_is_asked_for_is_done():
    short, longer = (priors.fit("realnvp", codes_of(), steps=n, **SMALL["realnvp"]) for n in (1, 400))
    codes = tf.constant(codes_of(), tf.float32)
    assert tf.reduce_mean(longer.log_prob(codes)) > tf.reduce_mean(short.log_prob(codes)) + 0.01
    assert int(longer.step) == 400


@pytest.mark.parametrize(
    ("name", "codes", "options", "complaint"),
    [
        ("mixtur", codes_of(), {}, "did you mean 'mixture'"),
        ("mixture", codes_of(), {"component": 3}, "did you mean 'components'"),
        ("mixture", codes_of(), {"steps": 3}, "Option: expected one of"),
        ("flow_matching", codes_of(), {"steps": 0}, "steps: expected a number above 0, received 0"),
        ("flow_matching", codes_of(), {"schedule": "halving"}, "schedule: expected one of constant, cosine"),
        ("mixture", codes_of()[:, 0], {}, r"codes: expected numbers \[N, H_dim\].*received float64 \[300\]"),
        ("mixture", np.full([9, 2], np.nan), {}, "codes: expected finite numbers"),
    ],
)
def test_what_cannot_be_fitted_is_refused(name, codes, options, complaint):
    with pytest.raises(InputError, match=complaint):
        priors.fit(name, codes, **options)


def test_a_fit_that_diverges_says_so():
    with pytest.raises(NonFiniteError, match="lower learning_rate"):
        priors.fit("second_vae", codes_of(), steps=100, learning_rate=1e30, **SMALL["second_vae"])


def test_settings_are_those_of_a_run():
    for name, value in alone.SETTINGS.items():
        assert getattr(FitOptions(), f"prior_{name}") == value


def test_a_file_that_is_no_prior_is_refused(tmp_path):
    (tmp_path / "prior.npz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"prior\.npz: expected a file of pga_tf\.priors\.save"):
        priors.load(tmp_path / "prior.npz")
