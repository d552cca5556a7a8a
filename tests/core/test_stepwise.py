"""The clock, the players and the averages that every trained model has."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import averages, players
from pga_tf.core.players import Player
from pga_tf.core.stepwise import Stepwise
from pga_tf.methods.gan import GAN
from tests.methods import builders


def _step(model, count=1):
    for i in range(count):
        logs = model.train_step(builders.images(model, seed=i))
    return logs


def test_the_clock_counts_steps_however_often_optimisers_are_applied():
    model = builders.build("gan", critic_updates=5)
    _step(model, 3)
    assert model.step.dtype == "int64"
    assert int(model.step) == 3
    counts = {name: int(optimizer.iterations) for name, optimizer in model.optimizers.items()}
    assert counts == {"critic": 15, "generator": 3}


def test_each_player_has_an_optimiser_of_its_own():
    model = builders.build("gan")
    given = keras.optimizers.Adam(1e-3)
    model.compile(given)
    assert model.optimizers["critic"] is given
    assert model.optimizers["generator"] is not given
    assert model.optimizers["generator"].get_config() == given.get_config()
    assert [v.path for v in model.trained_by(model.players(model.options)[0])] == [
        v.path for v in model.critic.trainable_variables
    ]
    with pytest.raises(ValueError, match="one for each of critic, generator, received critic"):
        model.compile({"critic": "adam"})


def test_a_player_that_is_not_named_does_not_move():
    model = builders.build("gan")
    model.compile({"critic": keras.optimizers.SGD(0.1), "generator": keras.optimizers.SGD(0.0)})
    before = {role: [np.array(v) for v in group] for role, group in model.networks().items()}
    _step(model)
    after = {role: [np.array(v) for v in group] for role, group in model.networks().items()}
    assert any((a != b).any() for a, b in zip(before["critic"], after["critic"], strict=True))
    for a, b in zip(before["decoder"], after["decoder"], strict=True):
        np.testing.assert_array_equal(a, b)


def test_players_step_one_after_another_and_the_generator_against_the_new_critic():
    """WGAN-GP's step by hand: two critics' updates on images of their own, then one of the generator."""
    model, twin = (builders.build("gan", critic_updates=2, **builders.WGAN_GP) for _ in range(2))
    images = builders.images(model)
    assert images.shape[1] == 2
    noise = lambda k: 2.0 * twin.uniform([8, builders.LATENT], "prior", 0, k) - 1.0
    for k in range(2):
        y = twin.decoder(noise(k), sources=("prior",), training=True)
        x, share = images[:, k], twin.uniform([8], "penalty", 0, k)[:, None, None, None]
        with tf.GradientTape() as tape:
            with tf.GradientTape() as inner:
                between = x + share * (y - x)
                inner.watch(between)
                judged = twin.critic(between)
            slope = tf.reduce_sum(inner.gradient(judged, between) ** 2, axis=[1, 2, 3])
            loss = twin.critic(y)[:, 0] - twin.critic(x)[:, 0] + 0.1 * (tf.sqrt(1e-4 + slope) - 1.0) ** 2
            loss = tf.reduce_mean(loss)
        for v, g in zip(
            twin.critic.trainable_variables, tape.gradient(loss, twin.critic.trainable_variables), strict=True
        ):
            v.assign_sub(0.05 * (0.0 if g is None else g))
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(twin.critic(twin.decoder(noise(2), sources=("prior",), training=True)))
    for v, g in zip(
        twin.decoder.trainable_variables, tape.gradient(loss, twin.decoder.trainable_variables), strict=True
    ):
        v.assign_sub(0.05 * g)
    model.train_step(images)
    for received, expected in zip(builders.weights(model), builders.weights(twin), strict=True):
        np.testing.assert_allclose(received, expected, atol=2e-6)


class TwoOwners(GAN):
    @classmethod
    def players(cls, options):
        return (Player("critic", ("critic",)), Player("generator", ("decoder", "critic")))


class NoOwner(GAN):
    @classmethod
    def players(cls, options):
        return (Player("critic", ("critic",)),)


@pytest.mark.parametrize(("method", "received"), [(TwoOwners, "critic, generator"), (NoOwner, "none")])
def test_a_variable_that_no_player_trains_or_two_is_refused(method, received):
    model = builders.build("gan")
    networks = {"decoder": model.decoder, "critic": model.critic}
    with pytest.raises(ValueError, match=f"expected one player that trains it, received {received}"):
        method(**networks, options=method.Options(), latent_dim=builders.LATENT)


def test_a_step_is_handed_as_many_batches_as_fresh_updates_need():
    assert players.batches((Player("a", ()), Player("b", (), updates=4))) == 1
    assert players.batches((Player("a", (), updates=5, fresh=True), Player("b", ()))) == 5
    assert players.batches((Player("a", (), updates=5, fresh=True), Player("b", (), fresh=True))) == 6


def test_stepwise_does_nothing_by_itself():
    with pytest.raises(NotImplementedError):
        Stepwise.update(None, None, None)


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_averages_follow_their_formula_from_the_ramp_on(decay):
    variable = keras.Variable([1.0, -2.0])
    kept = averages.Averages([variable], [], decay)
    expected = np.array([1.0, -2.0])
    for t in range(30):
        variable.assign([np.sin(t), float(t)])
        kept.update(tf.constant(t, tf.int64))
        d = min(decay, (1 + t) / (10 + t))
        expected = d * expected + (1 - d) * np.array([np.sin(t), t])
        np.testing.assert_allclose(kept.variables[0], expected, rtol=1e-4)


def test_the_first_weights_are_forgotten_within_a_tenth_of_the_decays_memory():
    variable = keras.Variable([1.0])
    kept = averages.Averages([variable], [], 0.999)
    variable.assign([0.0])
    for t in range(100):
        kept.update(tf.constant(t))
    assert float(kept.variables[0][0]) < 1e-6  # without a ramp: 0.9


def _statistics(model):
    return [v for v in model.variables if v.name in ("running_mean", "running_variance")]


def test_norm_statistics_of_averaged_weights_are_measured_with_these_weights():
    """As means over the batches that pass, of the moments that each batch has under the averaged weights."""
    model = builders.build("vae", network="mlp", batch_norm="per_source", ema=0.9)
    _step(model, 3)
    own = {v.path: np.array(v) for v in model.variables}
    batches = [builders.images(model, seed=seed) for seed in (10, 11, 12)]
    with model.averages.measured():
        for k, x in enumerate(batches):
            model.pass_through(x, tf.constant(100 + k, tf.int64), tf.constant(k, tf.float32))
    for v in model.variables:  # no step was taken, and nothing is left of the averages
        np.testing.assert_array_equal(v, own[v.path], err_msg=v.path)

    first = next(layer for layer in model.encoder._flatten_layers() if layer.name == "dense_2_norm")
    dense_1, dense_2 = (next(n for n in model.encoder._flatten_layers() if n.name == f"dense_{i}") for i in (1, 2))
    with model.averaged():
        seen = [dense_2(tf.nn.leaky_relu(dense_1(tf.reshape(x, [8, -1])), 0.2)).numpy() for x in batches]
        for statistic, moment in ((first.running_mean, np.mean), (first.running_variance, np.var)):
            expected = np.mean([moment(x, axis=0) for x in seen], axis=0)
            np.testing.assert_allclose(statistic[0], expected, rtol=1e-4, atol=1e-6)
            assert np.abs(own[statistic.path][0] - expected).max() > 1e-3


@pytest.mark.parametrize("method", ["prior_free", "gan", "began", "rae"])
def test_a_pass_through_trains_nothing(method):
    model = builders.build(method, batch_norm="per_source", ema=0.9)
    model.pass_through(builders.images(model), tf.constant(5, tf.int64), tf.constant(0.0))
    assert int(model.step) == 0
    assert all(int(optimizer.iterations) == 0 for optimizer in model.optimizers.values())
    fresh = builders.build(method, batch_norm="per_source", ema=0.9)
    for received, expected in zip(builders.weights(model), builders.weights(fresh), strict=True):
        np.testing.assert_array_equal(received, expected)
    _step(model)
    assert any((a != b).any() for a, b in zip(builders.weights(model), builders.weights(fresh), strict=True))
    norms = [layer for layer in model._flatten_layers() if hasattr(layer, "momentum")]
    assert {layer.momentum for layer in norms} == {0.99}


def test_critics_have_no_averages():
    model = builders.build("prior_free", ema=0.9)
    wanted = [*model.encoder.variables, *model.decoder.variables]
    assert len(model.averages.variables) == len(wanted) < len([*wanted, *model.critic.variables])
