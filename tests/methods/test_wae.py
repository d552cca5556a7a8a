"""One step of every system of wae.py on linear networks, derived in float64 NumPy; the head start; collapses."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

import pga_tf
from pga_tf.core import checks, streams
from pga_tf.core.checks import InputError
from pga_tf.methods import wae
from pga_tf.runs import config as config_lib
from pga_tf.training import loop
from tests import strategies
from tests.methods import builders
from tests.test_flags import ROOT, parse
from tests.training import helpers

SHAPE, LATENT, COUNT, WEIGHT, SEED = (2, 2, 1), 2, 6, 0.7, 5
RATES = {"autoencoder": 0.3, "critic": 0.4, "matching": 0.2}
softplus = lambda t: np.logaddexp(0.0, t)

CASES = {
    "mmd": {},
    "gan": {"divergence": "gan"},
    "gan_without_trick": {"divergence": "gan", "log_prior": False, "weight_pixels": 1.0},
    "sliced": {"divergence": "sliced", "projections": 3},
    "aae": {"divergence": "gan", "in_turn": True, "log_prior": False, "weight_pixels": 0.0},
    "info_vae": {"stochastic_encoder": True, "weight_kl": 0.4},
    "aae_stochastic": {"divergence": "gan", "in_turn": True, "stochastic_encoder": True, "weight_kl": 0.4},
    "noisy": {"input_noise": 0.3},
}


def linear(case):
    """A WAE on linear networks, its critic with one hidden layer, each player with an SGD of its own rate."""
    keras.utils.set_random_seed(1)
    options = CASES[case]
    images, codes = keras.Input(SHAPE), keras.Input((LATENT,))
    flat = keras.layers.Flatten()(images)
    heads = [keras.layers.Dense(LATENT, name="mean")(flat), keras.layers.Dense(LATENT, "softplus", name="stddev")(flat)]
    encoder = keras.Model(images, heads if options.get("stochastic_encoder") else heads[0])
    pixels = keras.layers.Dense(int(np.prod(SHAPE)), name="pixels")(codes)
    made = {"encoder": encoder, "decoder": keras.Model(codes, keras.layers.Reshape(SHAPE)(pixels))}
    if options.get("divergence") == "gan":
        hidden = keras.layers.Dense(5, "relu", name="hidden")(codes)
        made["critic"] = keras.Model(codes, keras.layers.Dense(1, name="judge")(hidden))
    model = pga_tf.WAE(**made, weight_divergence=WEIGHT, seed=SEED, **options)
    for variable in model.trainable_variables:  # biases too
        variable.assign(variable + np.random.default_rng(2).normal(0.0, 0.3, variable.shape))
    model.compile({p.name: keras.optimizers.SGD(RATES[p.name]) for p in model.players(model.options)})
    return model


def named(model):
    """Weights by layer and name: dict of text to float64 array."""
    return {"/".join(v.path.split("/")[-2:]): np.array(v, np.float64) for v in model.trainable_variables}


class Derived:
    """The losses of a model's first step as functions of its weights, from what METHODS says, without TensorFlow."""

    def __init__(self, model, x):
        self.o, self.x, self.model = model.options, x.astype(np.float64).reshape(COUNT, -1), model
        self.p = self.noise(streams.normal, [COUNT, LATENT], "prior")

    def noise(self, draw, shape, use, substep=0):
        drawn = draw(shape, use, seed=SEED, step=tf.constant(0, tf.int64), substep=substep)
        return drawn.numpy().astype(np.float64)

    def codes(self, w, substep=0):
        x = self.x
        if self.o.input_noise:
            noise = self.noise(streams.truncated_normal, [COUNT, *SHAPE], "input", substep)
            x = x + self.o.input_noise * noise.reshape(x.shape)
        mean, stddev = x @ w["mean/kernel"] + w["mean/bias"], 0.0
        if self.o.stochastic_encoder:
            stddev = softplus(x @ w["stddev/kernel"] + w["stddev/bias"])
            return mean + stddev * self.noise(streams.normal, [COUNT, LATENT], "posterior", substep), mean, stddev
        return mean, mean, stddev

    def fit(self, w):
        """L_rec + weight_kl L_kl."""
        z, mean, stddev = self.codes(w)
        squares = ((z @ w["pixels/kernel"] + w["pixels/bias"] - self.x) ** 2).sum(axis=1)
        total = np.mean(self.o.weight_pixels * squares if self.o.weight_pixels else squares / self.x.shape[1])
        if self.o.weight_kl:
            kl = 0.5 * (mean**2 + stddev**2 - 1.0 - np.log(stddev**2)).sum(axis=1)
            total += self.o.weight_kl * np.mean(kl)
        return total

    def judge(self, w, z):
        logits = np.maximum(z @ w["hidden/kernel"] + w["hidden/bias"], 0.0) @ w["judge/kernel"] + w["judge/bias"]
        prior = -0.5 * (z**2).sum(axis=1) - 0.5 * LATENT * np.log(2 * np.pi)
        return logits[:, 0] + (prior if self.o.log_prior else 0.0)

    def l_c(self, w, held, substep=0):
        """Weighed L_C of codes by the encoder in `held`."""
        z, *_ = self.codes(held, substep)
        return WEIGHT * np.mean(softplus(-self.judge(w, self.p)) + softplus(self.judge(w, z)))

    def l_adv(self, w, held, substep=0):
        """Weighed L_adv under the critic in `held`."""
        return WEIGHT * np.mean(softplus(-self.judge(held, self.codes(w, substep)[0])))

    def l_mmd(self, w):
        z, p, total = self.codes(w)[0], self.p, 0.0
        k = lambda a, b: sum(c / (c + ((a - b) ** 2).sum()) for c in 2 * LATENT * np.array(wae.matching.IMQ_SCALES))
        for i in range(COUNT):
            for j in range(COUNT):
                total += (i != j) * (k(z[i], z[j]) + k(p[i], p[j])) / (COUNT * (COUNT - 1))
                total -= 2 * k(z[i], p[j]) / COUNT**2
        return WEIGHT * total

    def l_sw(self, w):
        directions = self.noise(streams.shared_normal, [self.o.projections, LATENT], "directions")
        z, costs = self.codes(w)[0], []
        for u in directions:
            u = u / np.sqrt((u**2).sum())
            costs.append(np.mean((np.sort(z @ u) - np.sort(self.p @ u)) ** 2))
        return WEIGHT * np.mean(costs)

    def descended(self, w, loss, networks, rate):
        """Weights after one step of gradient descent of `networks`, by central differences."""
        moved, step = {k: v.copy() for k, v in w.items()}, 1e-5
        of = {"encoder": ("mean", "stddev"), "decoder": ("pixels",), "critic": ("hidden", "judge")}
        for name in (k for k in w if k.split("/")[0] in [layer for network in networks for layer in of[network]]):
            for index in np.ndindex(w[name].shape):
                up, down = ({k: v.copy() for k, v in w.items()} for _ in range(2))
                up[name][index] += step
                down[name][index] -= step
                moved[name][index] -= rate * (loss(up) - loss(down)) / (2 * step)
        return moved

    def step(self, w):
        """The weights after the step that METHODS describes."""
        if self.o.in_turn:
            w = self.descended(w, self.fit, ("encoder", "decoder"), RATES["autoencoder"])
            new = self.descended(w, lambda v: self.l_c(v, w, 1), ("critic",), RATES["critic"])
            return self.descended(new, lambda v: self.l_adv(v, new, 1), ("encoder",), RATES["matching"])
        if self.o.divergence == "gan":
            old = w
            w = self.descended(w, lambda v: self.l_c(v, old), ("critic",), RATES["critic"])
            critic = w
            loss = lambda v: self.fit(v) + self.l_adv(v, critic)
        else:
            divergence = self.l_sw if self.o.divergence == "sliced" else self.l_mmd
            loss = lambda v: self.fit(v) + divergence(v)
        return self.descended(w, loss, ("encoder", "decoder"), RATES["autoencoder"])


@pytest.fixture
def images():
    return np.random.default_rng(3).uniform(0.0, 1.0, (COUNT, *SHAPE)).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
def test_a_step_is_that_of_its_paper(case, images):
    model = linear(case)
    before, derived = named(model), Derived(model, images)
    logs = model.train_step(tf.constant(images))
    expected = derived.step(before)
    assert before.keys() == expected.keys()
    for name, value in named(model).items():
        np.testing.assert_allclose(value, expected[name], atol=2e-5, err_msg=name)
        assert np.abs(value - before[name]).max() > 1e-4, name
    z, p = derived.codes(before)[0], derived.p
    if not model.options.in_turn:
        assert float(logs["code_variance"]) == pytest.approx(z.var(axis=0).mean(), rel=1e-4)
        assert float(logs["code_mean"]) == pytest.approx(np.sqrt((z.mean(axis=0) ** 2).mean()), rel=1e-4)
    if model.options.divergence == "gan" and not model.options.in_turn:
        margin = np.mean(derived.judge(before, p) - derived.judge(before, z))
        assert float(logs["critic_margin"]) == pytest.approx(margin, rel=1e-3, abs=1e-5)


def test_every_player_of_aae_has_an_optimiser_of_its_own():
    model = linear("aae")
    assert list(model.optimizers) == ["autoencoder", "critic", "matching"]
    assert list(linear("gan").optimizers) == ["critic", "autoencoder"]
    model.train_step(tf.ones([COUNT, *SHAPE]))
    assert [int(optimizer.iterations) for optimizer in model.optimizers.values()] == [1, 1, 1]


def test_the_divergence_of_the_whole_batch_is_what_two_replicas_descend():
    """Rows and gradients of two replicas against those of one; a statistic of each replica's own would be another."""
    strategy, z, p = strategies.two_replicas(), np.random.default_rng(0).normal(2.0, 2.0, (8, 3)), np.zeros((8, 3))
    p += np.random.default_rng(1).normal(size=p.shape)
    for options in ({}, {"divergence": "sliced"}):
        model = builders.build("wae", network="mlp", **options)

        def gradient(z, p, model=model):
            with tf.GradientTape() as tape:
                tape.watch(z)
                rows = model.divergence(z, p, tf.constant(0, tf.int64))
            return rows, tape.gradient(rows, z)

        whole = gradient(tf.constant(z, tf.float32), tf.constant(p, tf.float32))
        halves = [
            strategy.experimental_distribute_values_from_function(
                lambda context, part=part: tf.constant(np.split(part, 2)[context.replica_id_in_sync_group], tf.float32)
            )
            for part in (z, p)
        ]
        parts = tf.function(lambda z, p, run=gradient: strategy.run(run, args=(z, p)))(*halves)
        for received, expected in zip(parts, whole, strict=True):
            joined = np.concatenate([np.array(part) for part in strategy.experimental_local_results(received)])
            np.testing.assert_allclose(joined, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"in_turn": True}, "--in_turn: expected --divergence=gan.* received --divergence=mmd"),
        ({"weight_kl": 0.5}, "--weight_kl: expected --stochastic_encoder.* received --weight_kl=0.5 without it"),
        ({"divergence": "gna"}, "--divergence: expected one of mmd, gan, sliced, received 'gna'.*did you mean 'gan'"),
        ({"batch_size": 7}, "--batch_size: expected a multiple of 2"),
    ],
)
def test_what_contradicts_itself_is_refused(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        config_lib.validate(helpers.config(tmp_path, method="wae", **options))


def test_only_a_stochastic_encoder_has_a_posterior():
    assert not hasattr(linear("mmd"), "posterior")
    model = linear("info_vae")
    x = tf.random.stateless_uniform([3, *SHAPE], [0, 1])
    mean, stddev = model.encoder(x)
    np.testing.assert_array_equal(model.posterior(x).mean(), mean)
    np.testing.assert_array_equal(model.posterior(x).stddev(), stddev)
    np.testing.assert_array_equal(model.encode(x), mean)


def test_a_head_start_descends_the_gap_of_moments_over_the_encoder_alone(images):
    model = linear("aae_stochastic")
    model.options = dataclasses.replace(model.options, head_start=3)
    before, derived = named(model), Derived(model, images)
    head = model.before()
    head.train_step(tf.constant(images))

    def gap(w):
        z, *_ = derived.codes(w, substep=2)
        return np.mean(z.mean(axis=0) ** 2) + np.mean((np.cov(z, rowvar=False) - np.eye(LATENT)) ** 2)

    expected = derived.descended(before, gap, ("encoder",), RATES["autoencoder"])
    for name, value in named(model).items():
        np.testing.assert_allclose(value, expected[name], atol=2e-5, err_msg=name)
        assert (value != before[name]).any() == (name.split("/")[0] in ("mean", "stddev")), name
    assert int(model.step) == 0
    assert all(int(optimizer.iterations) == 0 for optimizer in model.optimizers.values())


def test_a_head_start_is_had_once_by_fit_and_ends_where_the_moments_are_the_priors():
    x = np.random.default_rng(0).integers(0, 256, (40, *SHAPE), np.uint8)
    made = []
    for length in (2, 500):
        model = linear("mmd")
        model.options = dataclasses.replace(model.options, head_start=length)
        model.compile(keras.optimizers.Adam(0.02))
        make = model.before
        model.before = lambda make=make: made.append(make()) or made[-1]
        for _ in range(2):
            model.fit(x, batch_size=20, epochs=1, verbose=0)
        assert int(model.step) == 4
    short, long = made  # one of each
    assert int(short.step) == 2
    assert 2 < int(long.step) < 500
    assert long.gap < 0.1 < short.gap


RUN = {"method": "wae", "network": "mlp", "divergence": "gan", "critic_width": 8, "critic_depth": 1, "head_start": 3}


@pytest.mark.slow
def test_a_run_that_goes_on_has_no_second_head_start(tmp_path, capfd):
    settings = RUN | {"checkpoint_every": 2}
    loop.train(helpers.config(tmp_path / "whole", steps=4, **settings), out=str)
    loop.train(helpers.config(tmp_path / "parts", steps=2, **settings), out=str)
    assert "before step 1: a head start of the encoder by 3 steps, moments of codes" in "".join(capfd.readouterr())
    loop.train(helpers.config(tmp_path / "parts", steps=4, **settings), out=str)
    assert "head start" not in "".join(capfd.readouterr())
    whole, parts = helpers.state(tmp_path / "whole"), helpers.state(tmp_path / "parts")
    assert whole.keys() == parts.keys()
    for name, value in whole.items():
        np.testing.assert_array_equal(parts[name], value, err_msg=name)


@pytest.mark.slow
def test_two_replicas_have_the_head_start_of_one(tmp_path):
    for replicas in (1, 2):
        loop.train(helpers.config(tmp_path / str(replicas), steps=2, replicas=replicas, **RUN), out=str)
    one, two = helpers.state(tmp_path / "1"), helpers.state(tmp_path / "2")
    for name, value in one.items():
        if value.dtype == np.float32 and "optimizer" not in name:
            np.testing.assert_allclose(two[name], value, atol=1e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wae_mmd", "wae_gan", "wae_sliced", "aae", "info_vae"])
def test_the_settings_for_digits_match_the_prior_and_reconstruct(name, tmp_path):
    loop.train(parse(f"--flagfile={ROOT}/flagfiles/{name}_digits.flags", f"--workdir={tmp_path}"), out=str)
    first, *_, last = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert abs(last.get("mmd", last.get("L_mmd"))) < 0.03  # measured: 0.01; of a collapse: 1
    assert 0.8 < last["code_variance"] < 1.1
    assert last["code_mean"] < 0.2  # of 64 draws from N(0, I): 0.125
    assert last["L_rec"] < 0.5 * first["L_rec"]


@pytest.mark.parametrize(
    ("variance", "told"), [(1e-6, "the codes of all images are one"), (1e6, "the codes have run away")]
)
def test_a_collapse_is_told_in_a_sentence_once_training_has_settled(variance, told):
    model = linear("mmd")
    assert model.collapse({"code_variance": variance}, wae.SETTLED - 1) is None
    assert model.collapse({"code_variance": 0.9}, wae.SETTLED) is None
    assert model.collapse({"code_variance": variance}, wae.SETTLED).startswith(f"{told}")


def test_a_run_that_collapses_stops_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr(wae, "SETTLED", 3)
    monkeypatch.setattr(wae, "COLLAPSED", 1e3)
    message = r"^Training stopped: at step 3 the codes of all images are one: their variance is .* Remedy: pass another"
    with pytest.raises(checks.CollapseError, match=message) as raised:
        loop.train(helpers.config(tmp_path, checkpoint_every=2, log_every=1, method="wae", network="mlp"), out=str)
    assert str(raised.value).endswith("step-2.")
    assert str(raised.value).count("Remedy") == 1
