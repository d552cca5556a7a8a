"""GANs and BEGAN: steps by hand in their papers' order, what is refused, and what TensorBoard is told."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import streams
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.settings.objectives import ADVERSARIAL_LOSSES
from tests.methods import builders

RATE = 0.05  # of `builders.build`


def noise(count, substep, law="uniform", dim=builders.LATENT):
    """u of an update of step 0."""
    draw = streams.normal if law == "normal" else streams.uniform
    values = draw([count, dim], "prior", seed=0, step=0, substep=substep).numpy()
    return values if law == "normal" else 2.0 * values - 1.0


def sp(t):
    return tf.math.softplus(t)


D = tf.sigmoid
BY_HAND = {  # loss -> (critic's, generator's), of means over the batch
    "minimax": (lambda x, y: sp(-x) + sp(y), lambda y: -sp(y)),
    "non_saturating": (lambda x, y: sp(-x) + sp(y), lambda y: sp(-y)),
    "least_squares": (lambda x, y: 0.5 * (D(x) - 1) ** 2 + 0.5 * D(y) ** 2, lambda y: 0.5 * (D(y) - 1) ** 2),
    "wasserstein": (lambda x, y: y - x, lambda y: -y),
    "hinge": (lambda x, y: tf.nn.relu(1 - x) + tf.nn.relu(1 + y), lambda y: -y),
}


def slope(judge, at):
    """sqrt(1e-4 + |grad|^2) of each example by itself."""
    with tf.GradientTape() as tape:
        tape.watch(at)
        judged = judge(at)
    return tf.sqrt(1e-4 + tf.reduce_sum(tape.gradient(judged, at) ** 2, axis=[1, 2, 3]))


def penalty_by_hand(kind, model, x, y, substep):
    share = streams.uniform([len(x)], "penalty", seed=0, step=0, substep=substep)[:, None, None, None]
    if kind == "wgan_gp":
        return (slope(model.critic, x + share * (y - x)) - 1.0) ** 2
    if kind == "r1":
        return slope(model.critic, x) ** 2 - 1e-4
    around = streams.uniform(x.shape, "penalty/around", seed=0, step=0, substep=substep)
    spread = 0.5 * float(np.asarray(x).std())
    return (slope(lambda at: D(model.critic(at)), x + share * spread * around) - 1.0) ** 2


def descend(variables, tape, loss):
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
        variable.assign_sub(RATE * (0.0 if gradient is None else gradient))


STEPS = [
    ("minimax", "none", "none", 1, "uniform"),
    ("non_saturating", "dragan", "layer", 1, "uniform"),
    ("least_squares", "none", "batch", 1, "normal"),
    ("wasserstein", "clip", "batch", 2, "uniform"),
    ("wasserstein", "wgan_gp", "layer", 2, "normal"),
    ("hinge", "none", "spectral", 2, "normal"),
    ("non_saturating", "r1", "none", 1, "uniform"),
]


@pytest.mark.parametrize(("loss", "penalty", "norm", "updates", "law"), STEPS, ids=lambda value: str(value))
def test_a_step_is_that_by_hand(loss, penalty, norm, updates, law):
    """Critic first, on fresh images and noise, then the generator against the new critic, each on its own loss."""
    options = dict(loss=loss, penalty=penalty, critic_norm=norm, critic_updates=updates, noise=law)
    options |= {"weight_penalty": 0.5, "clip": 0.03, "network": "mlp", "batch_norm": "per_source"}
    model, twin = (builders.build("gan", **options) for _ in range(2))
    images = builders.images(model)
    fakes = lambda k: twin.decoder(noise(8, k, law), sources=("prior",), training=True)
    of_critic, of_generator = BY_HAND[loss]
    for k in range(updates):
        x, y = images[:, k] if updates > 1 else images, fakes(k)
        with tf.GradientTape() as tape:
            both = twin.critic(tf.concat([x, y], 0), sources=("data", "generated"), training=True)[:, 0]
            value = of_critic(both[:8], both[8:])
            if penalty in ("wgan_gp", "dragan", "r1"):
                value += 0.5 * penalty_by_hand(penalty, twin, x, y, k)
            value = tf.reduce_mean(value)
        descend(twin.critic.trainable_variables, tape, value)
        if penalty == "clip":
            for variable in twin.critic.trainable_variables:
                variable.assign(np.clip(variable.numpy(), -0.03, 0.03))
    with tf.GradientTape() as tape:
        judged = twin.critic(fakes(updates), sources=("generated",), training=norm == "batch")
        value = tf.reduce_mean(of_generator(judged[:, 0]))
    descend(twin.decoder.trainable_variables, tape, value)

    model.train_step(images)
    for received, expected in zip(builders.weights(model), builders.weights(twin), strict=True):
        np.testing.assert_allclose(received, expected, atol=2e-6)
    for received, expected in zip(
        model.critic.non_trainable_variables, twin.critic.non_trainable_variables, strict=True
    ):
        np.testing.assert_allclose(received, expected, atol=2e-5)  # power iterations moved as often


def test_power_iterations_move_once_an_update_of_the_critic():
    model = builders.build("gan", critic_norm="spectral", penalty="r1", critic_updates=2, network="mlp")
    (u, *_), (kernel, *_) = model.critic.non_trainable_variables, model.critic.trainable_variables
    for optimizer in model.optimizers.values():
        optimizer.learning_rate = 0.0  # so that the matrix stays
    moved, matrix = u.numpy(), kernel.numpy()
    model.train_step(builders.images(model))
    for _ in range(2):
        v = matrix @ moved
        moved = matrix.T @ (v / np.linalg.norm(v))
        moved /= np.linalg.norm(moved)
    np.testing.assert_allclose(u, moved, atol=1e-5)


@pytest.mark.parametrize("clip_balance", [True, False])
def test_a_step_of_began_is_that_by_hand(clip_balance):
    options = {"critic_updates": 2, "balance_rate": 20.0, "clip_balance": clip_balance, "network": "mlp"}
    model, twin = (builders.build("began", **options) for _ in range(2))
    images, k, path = builders.images(model), 0.0, []
    error = lambda v: tf.reduce_mean(tf.abs(v - twin.critic(v)), axis=[1, 2, 3])
    for i in range(2):
        x, y = images[:, i], twin.decoder(noise(8, i), sources=("prior",))
        with tf.GradientTape() as tape:
            l_x, l_y = tf.reduce_mean(error(x)), tf.reduce_mean(error(y))
            value = l_x - k * l_y
        descend(twin.critic.trainable_variables, tape, value)
        k += 20.0 * (0.75 * float(l_x) - float(l_y))
        path.append(k)
        k = min(max(k, 0.0), 1.0) if clip_balance else k
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(error(twin.decoder(noise(8, 2), sources=("prior",))))
    descend(twin.decoder.trainable_variables, tape, value)
    logs = model.train_step(images)
    assert max(path) > 1.0  # there was something to clip
    assert float(model.balance) == pytest.approx(k, rel=1e-4)
    assert float(logs["measure"]) == pytest.approx(float(l_x) + abs(0.75 * float(l_x) - float(l_y)), rel=1e-4)
    for received, expected in zip(builders.weights(model), builders.weights(twin), strict=True):
        np.testing.assert_allclose(received, expected, atol=2e-6)


def test_looking_moves_no_balance():
    model = builders.build("began")
    x = builders.images(model)
    model.pass_through(x, tf.constant(0, tf.int64), tf.constant(0.0))
    model.test_step(x)
    assert float(model.balance) == 0.0
    model.train_step(x)
    assert float(model.balance) != 0.0


@pytest.mark.parametrize("penalty", ["wgan_gp", "dragan", "r1"])
def test_batch_norm_under_a_penalty_of_slopes_is_refused_in_a_sentence(penalty):
    message = f"--penalty={penalty}: expected a critic without batch norm.*--critic_norm=layer"
    with pytest.raises(InputError, match=message):
        METHODS.get("gan").Options(penalty=penalty, critic_norm="batch")


def test_the_prior_is_the_law_of_the_noise():
    for law in ("uniform", "normal"):
        for name in ("gan", "began"):
            model = builders.build(name, noise=law)
            assert model.PRIOR == builders.drawing(model).prior_name == law
    codes = builders.drawing(builders.build("gan")).codes(np.arange(500))
    assert np.abs(codes).max() < 1.0
    assert codes.var() == pytest.approx(1 / 3, rel=0.1)


def test_the_slopes_in_diagnostics_are_those_of_a_linear_critic():
    model = builders.build("gan", network="mlp")
    x = builders.images(model)
    model.judge = lambda images, source="data": tf.reduce_sum(images, axis=[1, 2, 3]) * 0.5
    told = model.diagnostics(x)
    assert told.keys() == {"T_held_out", "T_generated", "critic_slope", "lipschitz"}
    np.testing.assert_allclose(told["critic_slope"], np.full(8, 0.5 * 8.0), rtol=1e-6)  # |0.5 (1, ..., 1)|, 64 pixels
    assert float(told["lipschitz"]) == pytest.approx(4.0)
    np.testing.assert_allclose(told["T_held_out"], 0.5 * x.numpy().sum(axis=(1, 2, 3)), rtol=1e-5)


def test_every_loss_of_the_objectives_can_be_chosen():
    assert {step[0] for step in STEPS} == set(ADVERSARIAL_LOSSES) == set(BY_HAND)
