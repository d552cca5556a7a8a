"""Penalties: RAE's by hand and against the Jacobian; critics' against closed forms and central differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core.checks import InputError
from pga_tf.networks.norm import ExampleNorm
from pga_tf.networks.spectral import SpectralConv2D, SpectralDense
from pga_tf.objectives import penalties
from tests import strategies

RNG = np.random.default_rng(0)


def test_squared_weights_by_hand():
    kernels = [tf.Variable([[1.0, 2.0], [0.0, -1.0]]), tf.Variable([[3.0]])]
    np.testing.assert_allclose(penalties.squared_weights(kernels), 15.0)


def test_a_projection_estimates_the_squared_norm_of_the_jacobian():
    matrix = tf.constant(np.random.default_rng(0).standard_normal((3, 12)), tf.float32)
    decode = lambda z: tf.reshape(tf.tanh(tf.matmul(z, matrix)), [-1, 2, 3, 2])
    z = tf.constant([[0.3, -0.2, 0.1], [0.0, 0.5, 1.0]])
    with tf.GradientTape() as tape:
        tape.watch(z)
        images = decode(z)
    exact = tf.reduce_sum(tf.square(tape.batch_jacobian(images, z)), axis=[1, 2, 3, 4])
    draws = 4000
    probe = tf.random.stateless_normal([2 * draws, 2, 3, 2], seed=[0, 0])
    repeated, estimates = penalties.with_squared_jacobian(decode, tf.repeat(z, draws, axis=0), probe)
    estimates = estimates.numpy().reshape(2, draws)
    error = estimates.std(axis=1) / np.sqrt(draws)
    assert np.all(np.abs(estimates.mean(axis=1) - exact) < 4 * error)
    np.testing.assert_allclose(repeated[::draws], images, rtol=1e-6)


def test_the_penalty_trains_what_the_decoder_is_made_of():
    matrix = tf.Variable([[2.0, 0.0], [0.0, 3.0]])
    with tf.GradientTape() as tape:
        _, value = penalties.with_squared_jacobian(lambda z: tf.matmul(z, matrix), tf.ones([1, 2]), tf.ones([1, 2]))
    np.testing.assert_allclose(value, [4.0 + 9.0])  # |M v|^2
    np.testing.assert_allclose(tape.gradient(value, matrix), [[4.0, 4.0], [6.0, 6.0]])  # 2 M v v'


# Critics. x, y and v are images [B, 4, 4, 2]; a closed form knows the slope at the point where it should be taken.

SHAPE = (5, 4, 4, 2)
X, Y = RNG.uniform(size=SHAPE), RNG.uniform(-1.0, 2.0, size=SHAPE)
V, A = RNG.uniform(size=SHAPE), RNG.uniform(size=5)
ALL = {
    "wgan_gp": lambda critic, dtype=tf.float32: penalties.wgan_gp(critic, *(tf.constant(t, dtype) for t in (X, Y, A))),
    "dragan": lambda critic, dtype=tf.float32: penalties.dragan(critic, *(tf.constant(t, dtype) for t in (X, V, A))),
    "r1": lambda critic, dtype=tf.float32: penalties.r1(critic, tf.constant(X, dtype)),
}
EACH = pytest.mark.parametrize("penalty", ALL.values(), ids=ALL)
POINTS = {  # where each takes the slope
    "wgan_gp": X + A[:, None, None, None] * (Y - X),
    "dragan": X + A[:, None, None, None] * 0.5 * X.std() * V,
    "r1": X,
}


def of_slope(name, slope):
    """The penalty of slopes `[B]`."""
    return slope**2 if name == "r1" else (np.sqrt(1e-4 + slope**2) - 1.0) ** 2


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("logits", [lambda t: t, lambda t: t[:, None]], ids=["[B]", "[B, 1]"])
def test_the_slope_of_a_linear_critic_is_the_norm_of_its_weights(name, logits):
    for norm in (0.0, 0.3, 1.0, 5.0):
        c = RNG.normal(size=SHAPE[1:])
        c *= norm / np.linalg.norm(c)
        found = ALL[name](lambda x, c=c: logits(tf.reduce_sum(x * tf.constant(c, x.dtype), axis=[1, 2, 3])), tf.float64)
        np.testing.assert_allclose(found, np.full(5, of_slope(name, norm)), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_the_slope_of_a_quadratic_critic_tells_where_it_was_taken(name):
    """T = 1/2 s |x - m|^2 has slope s |x - m|, s of an example."""
    m, s = RNG.normal(size=SHAPE[1:]), np.arange(1.0, 6.0) / 10.0
    found = ALL[name](lambda x: 0.5 * tf.reduce_sum(tf.square(x - m), axis=[1, 2, 3]) * s, tf.float64)
    distance = np.linalg.norm((POINTS[name] - m).reshape(5, -1), axis=1)
    np.testing.assert_allclose(found, of_slope(name, s * distance), rtol=1e-10)


def layers_of(norm):
    """Layers of a smooth critic, so that differences see its second derivatives too."""
    layers = keras.layers
    if norm == "spectral":
        return [SpectralConv2D(3, 3, strides=2), layers.Activation("softplus"), layers.Flatten(), SpectralDense(1)]
    return [
        layers.Conv2D(3, 3, strides=2, padding="same"),
        *{"none": [], "layer": [ExampleNorm()], "keras_layer": [layers.LayerNormalization(axis=[1, 2, 3])]}[norm],
        layers.Activation("softplus"),
        layers.Flatten(),
        layers.Dense(4, activation="tanh"),
        layers.Dense(1),
    ]


def make_critic(norm, policy="float64"):
    """(critic, its trained variables), with weights of a seed."""
    keras.config.set_dtype_policy(policy)
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(1)
    images = keras.Input(SHAPE[1:], dtype="float64" if policy == "float64" else "float32")
    critic = keras.Sequential([images, *layers_of(norm)])
    for variable in critic.trainable_variables:
        variable.assign(variable + 0.2 * rng.normal(size=variable.shape))  # biases and scales are 0 and 1
    for layer in critic.layers:
        if norm == "spectral" and layer.trainable_variables:
            # A gradient holds u and v, a difference does not: at the singular vectors the two are one.
            layer.u.assign(np.linalg.svd(np.reshape(layer.kernel, [-1, layer.outputs]))[2][0])
    return critic, critic.trainable_variables


def differentiated(penalty, critic, variables, dtype=tf.float64):
    """(penalties `[B]`, gradients of their sum by the critic's weights)."""
    with tf.GradientTape() as tape:
        values = penalty(critic, dtype)
        total = tf.reduce_sum(values)
    zero = tf.UnconnectedGradients.ZERO  # the last bias has no say in slopes
    return values, tape.gradient(total, [v.value for v in variables], unconnected_gradients=zero)


def slopes(penalty, critic, variables):
    """Along one direction for each variable: (by the gradient, by a central difference)."""
    _, gradients = differentiated(penalty, critic, variables)
    step, rng = 1e-5, np.random.default_rng(2)
    by_gradient, by_difference = [], []
    for variable, gradient in zip(variables, gradients, strict=True):
        weights, direction, ends = variable.numpy(), rng.normal(size=variable.shape), []
        for sign in (1, -1):
            variable.assign(weights + sign * step * direction)
            ends.append(float(tf.reduce_sum(penalty(critic, tf.float64))))
        variable.assign(weights)
        by_gradient.append(np.sum(gradient * direction))
        by_difference.append((ends[0] - ends[1]) / (2 * step))
    return np.array(by_gradient), np.array(by_difference)


@EACH
@pytest.mark.parametrize("norm", ["none", "layer", "spectral"])
def test_gradients_by_the_weights_equal_central_differences(penalty, norm):
    by_gradient, by_difference = slopes(penalty, *make_critic(norm))
    # a difference is off by the order of step^2, and by rounding of the order of 1e-15 / step
    np.testing.assert_allclose(by_gradient, by_difference, rtol=1e-6, atol=1e-8)
    assert by_gradient[-1] == 0.0
    assert (np.abs(by_gradient[:-1]) > 1e-3).sum() >= 2  # there was something to compare


def test_the_layer_norm_of_keras_has_wrong_second_derivatives():
    """tf.nn.moments holds the mean inside the variance, which is right for first derivatives only (TF 2.21).

    Where this fails, TensorFlow has mended it, and Keras's layer may stand in a penalised critic.
    """
    by_gradient, by_difference = slopes(ALL["r1"], *make_critic("keras_layer"))
    assert np.abs(by_gradient[:-1] / by_difference[:-1] - 1.0).max() > 1e-4


@EACH
@pytest.mark.parametrize("norm", ["none", "layer", "spectral"])
def test_penalties_are_the_same_eagerly_in_graphs_and_under_xla(penalty, norm):
    critic, variables = make_critic(norm, "float32")
    function = lambda: differentiated(penalty, critic, variables, tf.float32)
    values, gradients = function()
    assert (values.shape, values.dtype) == ((5,), tf.float32)
    for compiled in (False, True):
        again, by_graph = tf.function(function, jit_compile=compiled, autograph=False)()
        np.testing.assert_allclose(again, values, rtol=1e-4)
        for a, b in zip(by_graph, gradients, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@EACH
@pytest.mark.parametrize(("jit_compile", "images"), [(False, tf.float32), (True, tf.bfloat16)], ids=["graph", "xla"])
def test_a_critic_in_bfloat16_has_float32_penalties_and_gradients(penalty, jit_compile, images):
    exact = penalty(make_critic("layer", "float32")[0])
    critic, variables = make_critic("layer", "mixed_bfloat16")
    half = lambda x: critic(tf.cast(x, tf.bfloat16))
    assert half(X).dtype == tf.bfloat16
    function = lambda: differentiated(penalty, half, variables, images)
    values, gradients = tf.function(function, jit_compile=jit_compile, autograph=False)()
    assert {t.dtype for t in (values, *gradients)} == {tf.float32}
    assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_allclose(values, exact, rtol=0.1, atol=0.01)  # 8 bits


def test_an_example_s_penalty_is_its_own():
    critic, _ = make_critic("layer")
    x, y, a = (tf.constant(t) for t in (X, Y, A))
    for penalty, inputs in ((penalties.wgan_gp, (x, y, a)), (penalties.r1, (x,))):
        together = penalty(critic, *inputs)
        alone = [penalty(critic, *(t[i : i + 1] for t in inputs))[0] for i in range(len(X))]
        np.testing.assert_allclose(together, alone, rtol=1e-10)
        assert np.ptp(together) > 0.01


def test_two_replicas_see_the_standard_deviation_of_one():
    strategy, rows = strategies.two_replicas(), slice(0, 4)
    x, v, a = (tf.constant(t[rows], tf.float32) for t in (X * np.arange(1, 6)[:, None, None, None], V, A))
    critic = lambda t: tf.reduce_sum(t**3, axis=[1, 2, 3])
    halves = strategy.experimental_distribute_values_from_function(
        lambda context: tuple(tf.split(t, 2)[context.replica_id_in_sync_group] for t in (x, v, a))
    )
    of_two = tf.function(lambda: strategy.run(lambda part: penalties.dragan(critic, *part), args=(halves,)))()
    found = tf.concat(strategy.experimental_local_results(of_two), axis=0)
    np.testing.assert_allclose(found, penalties.dragan(critic, x, v, a), rtol=1e-5)
    by_halves = [penalties.dragan(critic, *(tf.split(t, 2)[i] for t in (x, v, a))) for i in range(2)]
    assert np.abs(found / tf.concat(by_halves, axis=0) - 1.0).max() > 0.1  # that of each half is another


@EACH
def test_a_critic_without_slope_can_be_trained_out_of_it(penalty):
    c = tf.Variable(tf.zeros(SHAPE[1:]))
    with tf.GradientTape() as tape:
        values = penalty(lambda x: tf.reduce_sum(x * c, axis=[1, 2, 3]))
    assert np.isfinite(values).all()
    assert np.isfinite(tape.gradient(values, c)).all()


@EACH
def test_a_critic_that_does_not_look_is_refused(penalty):
    with pytest.raises(ValueError, match="no gradient reaches its input"):
        penalty(lambda x: tf.zeros([5]))


@pytest.mark.parametrize("penalty", [penalties.wgan_gp, penalties.dragan])
def test_unequal_shapes_are_refused(penalty):
    critic = lambda x: tf.reduce_sum(x, axis=1)
    with pytest.raises(InputError, match=r"expected the same shape, received \(4, 3\) and \(4, 1\)"):
        penalty(critic, tf.zeros([4, 3]), tf.zeros([4, 1]), tf.zeros([4]))
