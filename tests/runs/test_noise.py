"""All noise of a run's life, recorded: no key of one use is drawn again by another, nor seeds by two purposes."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from pga_tf import data
from pga_tf.core import streams
from pga_tf.priors import PRIORS
from pga_tf.runs import fitted, run_codes, scoring
from pga_tf.training import averaging, fitting
from tests.methods import builders
from tests.recording import keys_drawn
from tests.training import helpers

SEED = 0  # of the run and of the first set of samples: the same number, and yet other keys
COUNT = 12


class OneBatch:
    """The part of an experiment that averaging needs."""

    def __init__(self, model):
        self.model, self.strategy = model, tf.distribute.get_strategy()

    def batches(self, start_step, steps):
        return tf.data.Dataset.from_tensors(builders.images(self.model)).repeat(steps)


def _uses(model, name, monkeypatch):
    """dict of what draws noise to the keys that it draws, for a method and the prior `name` fitted to it."""
    monkeypatch.setattr(averaging, "PASSES", 2)
    found, source = {}, data.load(data.DataOptions(dataset="fake:8x8x1"))
    draw = builders.drawing(model)

    def record(what, action):
        with keys_drawn() as keys:
            action()
        found[what] = keys

    record("training", lambda: [model.train_step(builders.images(model, seed=i)) for i in range(2)])
    record("statistics of averages", lambda: averaging.Averaging(OneBatch(model)).measure(2))
    record("diagnostics", lambda: model.diagnostics(builders.images(model)))
    prior = fitted.make(PRIORS.get(name), builders.LATENT, PRIORS.get(name).Options(), SEED)
    for split in ("train", "test"):
        record(f"codes of {split}", lambda split=split: run_codes.of_split(draw, source, split, COUNT))
    if PRIORS.get(name).FIT == "steps":
        prior.compile("adam")
        prior.prepare = run_codes.sampler(model, SEED, "fit/codes")
        record("fitting", lambda: [prior.train_step(builders.images(model, seed=i)) for i in range(2)])
    draw.prior = prior
    record("judging", lambda: fitting.mmd(prior, np.zeros([COUNT, builders.LATENT], np.float32)))
    record("in-training scores", lambda: draw.samples_of(streams.choosing_seeds(COUNT, "steer")))
    record("latent health", lambda: scoring.subject(draw).prior(COUNT))
    for seed in (0, 1, 2):
        record(f"samples of seed {seed}", lambda seed=seed: scoring.subject(draw).sample(seed, 0, COUNT))
    return found


@pytest.mark.parametrize(("method", "prior"), [("lpga", "second_vae"), ("vae", "latent_map"), ("lvpga", "mixture")])
def test_no_key_serves_two_uses(method, prior, monkeypatch):
    model = builders.build(method, network="mlp", batch_norm="per_source", ema=0.9, seed=SEED)
    found = _uses(model, prior, monkeypatch)
    silent = {what for what, keys in found.items() if not keys}
    # codes of a deterministic encoder are not drawn, and only perceptual methods look at h(z_n)
    assert silent <= {"codes of train", "codes of test", "diagnostics"}
    assert ("codes of test" in silent) == (method == "lpga")
    assert ("diagnostics" in silent) == (method == "vae")
    for what, keys in found.items():
        assert len(set(keys)) == len(keys), what
    for (a, of_a), (b, of_b) in itertools.combinations(found.items(), 2):
        assert not set(of_a) & set(of_b), (a, b)


def test_in_training_scores_draw_what_they_are_recorded_as_drawing(tmp_path):
    """What `_uses` records as in-training scores is what the score itself asks for."""
    source = data.load(data.DataOptions(dataset="digits"))
    options = {"evaluate_every": 1, "evaluate_samples": COUNT, "evaluate_features": "pixels"}
    score, _ = scoring.in_training(helpers.config(tmp_path, **options), source)
    draw, asked = builders.drawing(builders.build("lpga")), []
    samples_of = draw.samples_of
    draw.samples_of = lambda seeds: asked.extend(seeds.tolist()) or samples_of(seeds)
    score(draw)
    assert asked == streams.choosing_seeds(COUNT, "steer").tolist()
