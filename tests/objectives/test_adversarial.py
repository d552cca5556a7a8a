"""Adversarial losses against float64 NumPy, against TF-GAN or what stands in for it, and at their limits."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import tfgan
from pga_tf.core.checks import InputError
from pga_tf.objectives import adversarial
from pga_tf.settings.objectives import ADVERSARIAL_LOSSES

RNG = np.random.default_rng(0)
REAL, GENERATED = 3.0 * RNG.normal(size=12), 3.0 * RNG.normal(size=12)


def sp(t):
    return np.logaddexp(0.0, t)


def sigmoid(t):
    return np.exp(-sp(-t))


def relu(t):
    return np.maximum(t, 0.0)


CRITIC = {
    "minimax": lambda x, y: sp(-x) + sp(y),
    "non_saturating": lambda x, y: sp(-x) + sp(y),
    "least_squares": lambda x, y: 0.5 * (sigmoid(x) - 1) ** 2 + 0.5 * sigmoid(y) ** 2,
    "wasserstein": lambda x, y: y - x,
    "hinge": lambda x, y: relu(1 - x) + relu(1 + y),
}
GENERATOR = {
    "minimax": lambda y: -sp(y),
    "non_saturating": lambda y: sp(-y),
    "least_squares": lambda y: 0.5 * (sigmoid(y) - 1) ** 2,
    "wasserstein": lambda y: -y,
    "hinge": lambda y: -y,
}
KIND = pytest.mark.parametrize("kind", ADVERSARIAL_LOSSES)
EXECUTION = pytest.mark.parametrize("execution", ["eager", "graph", "xla"])


def executed(function, execution):
    if execution == "eager":
        return function
    return tf.function(function, jit_compile=execution == "xla", autograph=False)


def logits(values, dtype=tf.float32):
    return tf.constant(values, dtype)


@KIND
@EXECUTION
def test_losses_equal_float64_numpy(kind, execution):
    critic = executed(lambda x, y: adversarial.critic_loss(kind, x, y), execution)
    generator = executed(lambda y: adversarial.generator_loss(kind, y), execution)
    # 2e-6 and not less: float32 logits of size 8 are themselves 5e-7 off
    found = critic(logits(REAL), logits(GENERATED))
    np.testing.assert_allclose(found, CRITIC[kind](REAL, GENERATED), rtol=2e-6, atol=2e-6)
    assert (found.shape, found.dtype) == ((12,), tf.float32)
    found = generator(logits(GENERATED))
    np.testing.assert_allclose(found, GENERATOR[kind](GENERATED), rtol=2e-6, atol=2e-6)
    assert (found.shape, found.dtype) == ((12,), tf.float32)


@KIND
@EXECUTION
def test_gradients_equal_central_differences_of_numpy(kind, execution):
    step = 1e-6
    slope = lambda f, *at: [
        (f(*at[:i], at[i] + step, *at[i + 1 :]) - f(*at[:i], at[i] - step, *at[i + 1 :])) / (2 * step)
        for i in range(len(at))
    ]

    def gradients(x, y):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, y])
            critic, generator = adversarial.critic_loss(kind, x, y), adversarial.generator_loss(kind, y)
        return *tape.gradient(critic, [x, y]), tape.gradient(generator, y)

    found = executed(gradients, execution)(logits(REAL), logits(GENERATED))
    expected = [*slope(CRITIC[kind], REAL, GENERATED), *slope(GENERATOR[kind], GENERATED)]
    for gradient, difference in zip(found, expected, strict=True):
        np.testing.assert_allclose(gradient, difference, rtol=1e-5, atol=1e-6)


@KIND
@EXECUTION
def test_logits_of_ten_thousand_overflow_nowhere(kind, execution):
    x, y = np.array([1e4, 1e4, -1e4, -1e4]), np.array([1e4, -1e4, 1e4, -1e4])

    def everything(x, y):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch([x, y])
            critic, generator = adversarial.critic_loss(kind, x, y), adversarial.generator_loss(kind, y)
        return critic, generator, *tape.gradient(critic, [x, y]), tape.gradient(generator, y)

    critic, generator, *gradients = executed(everything, execution)(logits(x), logits(y))
    np.testing.assert_allclose(critic, CRITIC[kind](x, y), rtol=1e-6)
    np.testing.assert_allclose(generator, GENERATOR[kind](y), rtol=1e-6)
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() <= 1.0


@KIND
def test_bfloat16_logits_are_taken_up_to_float32_first(kind):
    x, y = logits(REAL, tf.bfloat16), logits(GENERATED, tf.bfloat16)
    exact = [tf.cast(v, tf.float64).numpy() for v in (x, y)]
    found = adversarial.critic_loss(kind, x, y)
    assert found.dtype == tf.float32
    np.testing.assert_allclose(found, CRITIC[kind](*exact), rtol=2e-6, atol=2e-6)
    np.testing.assert_allclose(adversarial.generator_loss(kind, y), GENERATOR[kind](exact[1]), rtol=2e-6, atol=2e-6)


@KIND
def test_the_other_implementation_agrees(kind):
    """TF-GAN where the formula is ours; the formula in TensorFlow's own operations where it is TF-GAN's."""
    x, y = logits(REAL), logits(GENERATED)
    if kind == "minimax":
        none = tf.compat.v1.losses.Reduction.NONE
        other = tfgan.losses().minimax_generator_loss(y, label_smoothing=0.0, reduction=none, loss_collection=None)
        # TF-GAN adds -sp(-1), the critic's loss of a real example whose logit is 1
        np.testing.assert_allclose(adversarial.generator_loss(kind, y), other + sp(-1.0), rtol=1e-5, atol=1e-6)
        return
    sp_tf, d = tf.math.softplus, tf.sigmoid
    critic, generator = {
        "non_saturating": (sp_tf(-x) + sp_tf(y), sp_tf(-y)),
        "least_squares": (0.5 * ((1 - d(x)) ** 2 + d(y) ** 2), 0.5 * (1 - d(y)) ** 2),
        "wasserstein": (y - x, -y),
        "hinge": (tf.nn.relu(1 - x) + tf.nn.relu(1 + y), -y),
    }[kind]
    np.testing.assert_allclose(adversarial.critic_loss(kind, x, y), critic, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(adversarial.generator_loss(kind, y), generator, rtol=1e-5, atol=1e-6)


def test_minimax_is_a_game_of_sum_zero_in_what_the_generator_moves():
    """The generator's loss is minus the critic's, up to the real side, which it does not move."""
    x, y = logits(REAL), logits(GENERATED)
    total = adversarial.critic_loss("minimax", x, y) + adversarial.generator_loss("minimax", y)
    np.testing.assert_allclose(total, sp(-REAL), rtol=1e-5, atol=1e-6)


@KIND
def test_no_loss_enters_a_collection_of_a_graph(kind):
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [4])
        adversarial.critic_loss(kind, x, x)
        adversarial.generator_loss(kind, x)
        assert graph.get_collection(tf.compat.v1.GraphKeys.LOSSES) == []


def test_unequal_shapes_and_other_kinds_are_refused():
    with pytest.raises(InputError, match=r"T\(x\) and T\(y\): expected the same shape, received \(4,\) and \(3,\)"):
        adversarial.critic_loss("hinge", tf.zeros([4]), tf.zeros([3]))
    with pytest.raises(InputError, match="the same shape"):
        adversarial.critic_loss("minimax", tf.zeros([4]), tf.zeros([4, 1]))  # would broadcast to [4, 4]
    for call in (
        lambda: adversarial.critic_loss("hinged", tf.zeros([4]), tf.zeros([4])),
        lambda: adversarial.generator_loss("hinged", tf.zeros([4])),
    ):
        with pytest.raises(InputError, match=r"one of minimax, non_saturating, .*did you mean 'hinge'"):
            call()
