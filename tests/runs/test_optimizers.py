"""Learning rates against values worked out by hand, and the settings of each player's optimiser."""

import dataclasses

import keras
import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.core.players import Player
from pga_tf.core.stepwise import Stepwise
from pga_tf.runs import build, optimizers
from pga_tf.runs import config as config_lib
from pga_tf.runs.config import OptimizerOptions
from tests.training import helpers


def _rates(steps, *, kind, peak=0.4, warmup=0, halve_steps=10, total_steps=100, **more):
    schedule = optimizers.Schedule(peak, kind, warmup, halve_steps, total_steps, **more)
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
    ("settings", "values"),
    [
        ({"kind": "constant"}, {0: 0.4, 7: 0.4, 1000: 0.4}),
        ({"kind": "constant", "warmup": 4}, {0: 0.1, 1: 0.2, 2: 0.3, 3: 0.4, 4: 0.4, 99: 0.4}),
        ({"kind": "halving"}, {0: 0.4, 9: 0.4, 10: 0.2, 19: 0.2, 20: 0.1, 30: 0.05}),
        ({"kind": "halving", "warmup": 20}, {0: 0.02, 9: 0.2, 10: 0.11, 19: 0.2, 20: 0.1}),
        ({"kind": "drops", "drops": [(30, 2.0), (50, 5.0)]}, {0: 0.4, 29: 0.4, 30: 0.2, 49: 0.2, 50: 0.04, 99: 0.04}),
        ({"kind": "exponential"}, {0: 0.4, 50: 0.04, 75: 0.4 * 10**-1.5, 100: 0.004}),
        ({"kind": "exponential", "last": 0.25, "warmup": 2}, {0: 0.2, 50: 0.2, 100: 0.1}),
        ({"kind": "cosine"}, {0: 0.4, 25: 0.2 + 0.1 * 2**0.5, 50: 0.2, 100: 0.0, 150: 0.0}),
        ({"kind": "linear"}, {0: 0.4, 25: 0.3, 99: 0.004, 100: 0.0, 150: 0.0}),
        ({"kind": "linear", "warmup": 20}, {0: 0.02, 20: 0.4, 60: 0.2, 100: 0.0}),
        ({"kind": "cosine", "warmup": 20}, {0: 0.02, 9: 0.2, 19: 0.4, 20: 0.4, 60: 0.2, 100: 0.0}),
    ],
    ids=str,
)
def test_the_learning_rate_is_the_one_worked_out_by_hand(settings, values):
    np.testing.assert_allclose(_rates(values, **settings), list(values.values()), rtol=1e-5, atol=1e-7)


def test_a_player_of_five_updates_has_one_rate_in_all_five():
    schedule = optimizers.Schedule(0.4, "cosine", 0, 10, 4, updates=5)
    rates = [float(schedule(iterations)) for iterations in range(20)]
    by_step = [float(schedule.at_step(step)) for step in range(4)]
    np.testing.assert_allclose(by_step, [0.4, 0.2 + 0.1 * 2**0.5, 0.2, 0.2 - 0.1 * 2**0.5], rtol=1e-5)
    np.testing.assert_array_equal(rates, np.repeat(by_step, 5))


ONLY = (Player("only", ("network",)),)


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """None."""


def _build(steps_per_epoch=2.5, total_steps=100, loss_scale=None, **options):
    """The optimiser of a model's only player, which has no options of its own."""
    made = optimizers.of_players(
        OptimizerOptions(**options),
        ONLY,
        NoOptions(),
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        loss_scale=loss_scale,
    )
    return made["only"]


def test_options_reach_the_optimiser():
    sgd = _build(optimizer="sgd", momentum=0.8, learning_rate=0.4)
    assert isinstance(sgd, keras.optimizers.SGD)
    assert (sgd.momentum, sgd.nesterov, float(sgd.learning_rate)) == (0.8, False, pytest.approx(0.4))
    adam = _build(optimizer="adam", momentum=0.5)
    assert isinstance(adam, keras.optimizers.Adam)
    assert (adam.beta_1, adam.beta_2) == (0.5, 0.999)
    assert _build(optimizer="adam", beta_2=0.9).beta_2 == 0.9
    rmsprop = _build(optimizer="rmsprop", momentum=0.5)
    assert isinstance(rmsprop, keras.optimizers.RMSprop)
    assert (rmsprop.rho, rmsprop.momentum) == (0.9, 0.5)
    assert _build(optimizer="rmsprop", beta_2=0.99).rho == 0.99


@dataclasses.dataclass(frozen=True)
class CriticsOptions:
    """Of a method with a critic that has a rate and a beta of its own."""

    critic_learning_rate: float = 0.02
    critic_beta_1: float = 0.25


def test_a_players_own_options_are_its_own_and_the_others_are_shared():
    own, both = CriticsOptions(), (Player("critic", ("critic",), updates=3), Player("generator", ("decoder",)))
    shared = OptimizerOptions(
        optimizer="adam", learning_rate=0.4, momentum=0.75, beta_2=0.9, weight_decay=0.5, schedule="cosine"
    )
    made = optimizers.of_players(shared, both, own, steps_per_epoch=1, total_steps=10)
    critic, generator = made["critic"], made["generator"]
    assert (critic.beta_1, generator.beta_1) == (0.25, 0.75)
    assert critic.beta_2 == generator.beta_2 == 0.9
    assert critic.weight_decay == generator.weight_decay == 0.5
    for step, share in ((0, 1.0), (5, 0.5)):
        for player, peak, updates in ((critic, 0.02, 3), (generator, 0.4, 1)):
            schedule = player._learning_rate
            assert float(schedule(step * updates)) == float(schedule.at_step(step)) == pytest.approx(peak * share)


BETA_1, BETA_2 = 0.9, 0.999  # of Adam


def _adam(gradients, rate, epsilon):
    """TensorFlow 1's Adam from weights of 0, in float64: weights after each step."""
    w, m, v, path = 0.0, 0.0, 0.0, []
    for t, g in enumerate(gradients, start=1):
        m, v = BETA_1 * m + (1 - BETA_1) * g, BETA_2 * v + (1 - BETA_2) * g**2
        w = w - rate * np.sqrt(1 - BETA_2**t) / (1 - BETA_1**t) * m / (np.sqrt(v) + epsilon)
        path.append(w)
    return path


def _rmsprop(gradients, rate, epsilon, rho=0.9):
    """RMSprop without momentum: as above."""
    w, v, path = 0.0, 0.0, []
    for g in gradients:
        v = rho * v + (1 - rho) * g**2
        w = w - rate * g / np.sqrt(v + epsilon)
        path.append(w)
    return path


@pytest.mark.parametrize("dimensions", [1, 64, 3072, 64 * 64 * 3])
@pytest.mark.parametrize(
    ("kind", "of_the_bound", "epsilon", "size"), [("adam", _adam, 1e-8, 3e-7), ("rmsprop", _rmsprop, 1e-10, 2e-5)]
)
def test_steps_on_a_scaled_bound_are_those_on_the_bound_itself(kind, of_the_bound, epsilon, size, dimensions):
    rng = np.random.default_rng(0)
    gradients = size * rng.normal(size=(6, 5))  # of the bound; near where epsilon halves a step
    momentum = BETA_1 if kind == "adam" else 0.0
    made = _build(optimizer=kind, learning_rate=0.1, momentum=momentum, loss_scale=1.0 / dimensions)
    weights, received = keras.Variable(np.zeros(5, np.float32)), []
    made.build([weights])
    for gradient in gradients:
        made.apply([np.float32(gradient / dimensions)], [weights])
        received.append(weights.numpy())
    expected = of_the_bound(gradients, 0.1, epsilon)
    np.testing.assert_allclose(received, expected, rtol=2e-4, atol=1e-6)
    assert np.abs(of_the_bound(gradients, 0.1, 0.0) - np.array(expected)).max() > 0.02  # without epsilon: seen


@pytest.mark.parametrize("kind", ["adam", "rmsprop"])
def test_a_weight_without_a_gradient_stays_at_any_scale(kind):
    made, weight = _build(optimizer=kind, learning_rate=0.1, loss_scale=1e-35), keras.Variable([0.5])
    made.build([weight])
    made.apply([np.zeros(1, np.float32)], [weight])
    assert weight.numpy() == 0.5


EPSILONS = {  # 1e-8 times what vae.py multiplies the bound of an 8x8 image by; Keras' own where no bound is divided
    ("vae", "learned_gamma"): 1e-8 / 64,
    ("vae", "cross_entropy"): 1e-8 / 64,
    ("vae", "fixed_gamma"): 1e-8 * 2 * 0.5**2 / 64,
    ("lpga", None): 1e-7,
    ("ae", None): 1e-7,
    ("rae", None): 1e-7,
}


@pytest.mark.parametrize(("method", "likelihood"), EPSILONS)
def test_the_epsilon_of_a_run_is_in_the_units_of_its_loss(method, likelihood, tmp_path):
    own = {"likelihood": likelihood, "gamma": 0.5, "pixel_range": "unit"} if likelihood else {}
    config = helpers.config(tmp_path, method=method, optimizer="adam", **own)
    made = build.build_model(config, (8, 8, 1)).optimizers["autoencoder"]
    assert made.epsilon == pytest.approx(EPSILONS[method, likelihood])


class Net(keras.layers.Layer):
    """A kernel, a bias and a single number."""

    def build(self, shape):
        self.held = [self.add_weight(shape=s, initializer="ones", name=f"held_{len(s)}") for s in ([2, 2], [2], [])]


class Still(Stepwise):
    PLAYERS = ONLY


@pytest.mark.parametrize("kind", ["sgd", "adam"])
def test_weight_decay_shrinks_kernels_by_its_share_of_the_rate_and_nothing_else(kind):
    moved = []
    for decay in (0.0, 0.1):
        network = Net()
        network.build(None)
        model = Still({"network": network}, NoOptions(), latent_dim=1)
        model.compile({"only": _build(optimizer=kind, learning_rate=0.5, weight_decay=decay)})
        model.optimizers["only"].apply([np.full(v.shape, 0.25, np.float32) for v in network.held], network.held)
        moved.append([np.array(v) for v in network.held])
    (kernel, bias, gamma), (shrunk, same_bias, same_gamma) = moved
    assert (kernel < 1.0).all()
    np.testing.assert_allclose(shrunk, kernel - 0.5 * 0.1 * 1.0, rtol=1e-6)  # lr * decay * weight
    np.testing.assert_array_equal(bias, same_bias)
    np.testing.assert_array_equal(gamma, same_gamma)


def test_epochs_of_a_halving_become_steps():
    optimizer = _build(schedule="halving", halve_every=4, learning_rate=0.4)  # 4 epochs of 2.5 steps
    optimizer.build([keras.Variable(0.0)])
    rates = []
    for step in (9, 10):
        optimizer.iterations.assign(step)
        rates.append(float(optimizer.learning_rate))
    assert rates == pytest.approx([0.4, 0.2])


def test_epochs_of_drops_and_the_end_of_an_exponential_become_steps():
    released = _build(schedule="drops", drops="30:2,50:5,100:10", learning_rate=0.4, total_steps=1000)
    rates = [float(released._learning_rate(epoch * 2.5 + shift)) for epoch in (30, 50, 100) for shift in (-1, 0)]
    assert rates == pytest.approx([0.4, 0.2, 0.2, 0.04, 0.04, 0.004])
    loaded = optimizers.Schedule.from_config(released._learning_rate.get_config())
    assert float(loaded(125)) == pytest.approx(0.04)
    smooth = _build(schedule="exponential", last_rate=0.25, learning_rate=0.4, total_steps=50)
    assert float(smooth._learning_rate(25)) == pytest.approx(0.2)


@pytest.mark.parametrize(
    "drops", ["30", "30:2:5", "x:2", "30:2,30:5", "50:2,30:5", "0:2", "30:0", "30:-2", "30:inf", ","]
)
def test_drops_that_are_none_are_refused(drops, tmp_path):
    with pytest.raises(InputError, match=rf"--drops: expected EPOCH:DIVISOR.*received '{drops}'.*Remedy"):
        config_lib.validate(helpers.config(tmp_path, schedule="drops", drops=drops))


@pytest.mark.parametrize("given", [{"schedule": "drops"}, {"drops": "30:2"}, {"schedule": "cosine", "drops": "30:2"}])
def test_drops_and_their_schedule_go_together(given, tmp_path):
    with pytest.raises(InputError, match="--schedule and --drops: expected both"):
        config_lib.validate(helpers.config(tmp_path, **given))


@pytest.mark.parametrize(("optimizer", "rate"), [("sgd", 0.1), ("adam", 0.001), ("rmsprop", 0.001)])
def test_the_default_rate_is_that_of_the_update_rule_and_is_written_down(optimizer, rate, tmp_path):
    config = helpers.config(tmp_path, optimizer=optimizer, learning_rate=0.0)
    assert build.resolved(config).optimizer.learning_rate == rate
    made = build.build_model(config, (8, 8, 1)).optimizers["autoencoder"]
    assert float(made.learning_rate) == pytest.approx(rate)
    assert build.resolved(helpers.config(tmp_path, steps=0)).run.steps == build.STEPS
    assert build.resolved(helpers.config(tmp_path, steps=0, epochs=2.0)).run.steps == 0  # epochs decide
    chosen = helpers.config(tmp_path, optimizer=optimizer, learning_rate=0.25)
    assert build.resolved(chosen).optimizer.learning_rate == 0.25
