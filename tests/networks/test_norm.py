"""SourceBatchNorm against NumPy in float64, segment by segment and source by source."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf.networks import norm
from pga_tf.networks.adapters import Adapted
from pga_tf.networks.norm import SourceBatchNorm
from pga_tf.networks.plan import NormConstants
from tests import strategies

SOURCES = ("data", "perturbed", "prior")
CONSTANTS = [NormConstants(1e-3, 0.99), NormConstants(1e-5, 0.999)]
each_constants = pytest.mark.parametrize("constants", CONSTANTS, ids=["pga", "dai_wipf"])
SHAPES = [(4, 7), (4, 3, 2, 7)]  # One segment; few positions, so that biased and unbiased variances differ.


def images(count, shape, seed=0):
    """`count` segments, each with its own mean and scale, float32."""
    rng = np.random.default_rng(seed)
    parts = [(k + 1) * (rng.standard_normal(shape) + 3 * k) for k in range(count)]
    return np.concatenate(parts).astype(np.float32)


def layer(mode, channels, constants=CONSTANTS[0]):
    built = SourceBatchNorm(known_sources=SOURCES, mode=mode, constants=constants)
    built.build((None, channels))
    rng = np.random.default_rng(9)
    built.gamma.assign(rng.uniform(0.5, 2.0, channels))
    built.beta.assign(rng.standard_normal(channels))
    return built


def moments(segment):
    axes = tuple(range(segment.ndim - 1))
    segment = segment.astype(np.float64)
    return segment.mean(axes), segment.var(axes)


def affine(built, x, mean, variance, epsilon=1e-3):
    return built.gamma.numpy() * (x - mean) / np.sqrt(variance + epsilon) + built.beta.numpy()


@pytest.mark.parametrize("mode", ["per_source", "shared"])
@pytest.mark.parametrize("shape", SHAPES)
def test_training_uses_the_statistics_of_each_segment(mode, shape):
    built = layer(mode, shape[-1])
    x = images(3, shape)
    expected = [affine(built, part, *moments(part)) for part in np.split(x, 3)]
    np.testing.assert_allclose(built(x, sources=SOURCES, training=True), np.concatenate(expected), rtol=1e-4, atol=1e-4)


def own_model():
    """A user's model with Keras's batch norm, as a network of a method."""
    model = keras.Sequential([keras.Input((7,)), keras.layers.BatchNormalization(epsilon=1e-3)])
    return Adapted(model, name="own"), model.layers[0]


@pytest.mark.parametrize("whose", ["ours", "a user's"])
def test_inference_by_the_batch_moves_nothing(whose):
    built, holder = (layer("per_source", 7),) * 2 if whose == "ours" else own_model()
    held = [np.array(v) for v in built.non_trainable_variables]
    x = images(1, (9, 7))
    expected = affine(holder, x, *moments(x))
    with norm.batch_statistics(built):
        np.testing.assert_allclose(built(x, sources=("data",)), expected, rtol=1e-4, atol=1e-4)
    for variable, before in zip(built.non_trainable_variables, held, strict=True):
        np.testing.assert_array_equal(variable, before)
    running = affine(holder, x, np.zeros(7), np.ones(7))
    np.testing.assert_allclose(built(x, sources=("data",)), running, rtol=1e-4, atol=1e-4)


@each_constants
@pytest.mark.parametrize("shape", SHAPES)
def test_epsilon_is_added_to_variances_in_training_and_in_inference(shape, constants):
    epsilon, _ = constants
    built = layer("per_source", shape[-1], constants)
    x = 0.01 * images(1, shape)  # of variance 1e-4: an epsilon of another network would be seen
    expected = affine(built, x, *moments(x), epsilon)
    np.testing.assert_allclose(built(x, sources=("data",), training=True), expected, rtol=1e-3, atol=1e-3)
    built.running_mean.assign(np.full((3, shape[-1]), 0.02))
    built.running_variance.assign(np.full((3, shape[-1]), 1e-4))
    np.testing.assert_allclose(built(x), affine(built, x, 0.02, 1e-4, epsilon), rtol=1e-3, atol=1e-3)


@each_constants
@pytest.mark.parametrize("shape", SHAPES)
def test_each_source_moves_its_own_running_statistics(shape, constants):
    momentum = constants.momentum
    built = layer("per_source", shape[-1], constants)
    x = images(2, shape)
    built(x, sources=("prior", "data"), training=True)
    for row, part in ((2, x[:4]), (0, x[4:])):
        mean, variance = moments(part)
        np.testing.assert_allclose(built.running_mean[row], (1 - momentum) * mean, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(built.running_variance[row], momentum + (1 - momentum) * variance, rtol=1e-6)
    np.testing.assert_array_equal(built.running_mean[1], np.zeros(shape[-1]))
    np.testing.assert_array_equal(built.running_variance[1], np.ones(shape[-1]))


@pytest.mark.parametrize("mode", ["per_source", "shared"])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_call_on_segments_equals_one_call_for_each(mode, shape):
    together, apart = layer(mode, shape[-1]), layer(mode, shape[-1])
    x = images(3, shape)
    y = together(x, sources=SOURCES, training=True)
    parts = [apart(p, sources=(s,), training=True) for p, s in zip(np.split(x, 3), SOURCES, strict=True)]
    np.testing.assert_allclose(y, np.concatenate(parts), rtol=1e-5, atol=1e-5)
    for a, b in zip(together.variables, apart.variables, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mode", "rows"), [("per_source", [2, 0]), ("shared", [0, 0])])
@pytest.mark.parametrize("shape", SHAPES)
def test_inference_uses_the_running_statistics_of_the_source(mode, rows, shape):
    built = layer(mode, shape[-1])
    count = 3 if mode == "per_source" else 1
    assert built.running_mean.shape == (count, shape[-1])
    rng = np.random.default_rng(1)
    mean, variance = rng.standard_normal((count, shape[-1])), rng.uniform(0.5, 3.0, (count, shape[-1]))
    built.running_mean.assign(mean)
    built.running_variance.assign(variance)
    x = images(2, shape)
    expected = [affine(built, p, mean[r], variance[r]) for p, r in zip(np.split(x, 2), rows, strict=True)]
    np.testing.assert_allclose(built(x, sources=("prior", "data")), np.concatenate(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(built.running_mean, mean, rtol=1e-6)


def test_a_source_never_trained_keeps_mean_0_and_variance_1():
    built = layer("per_source", 7)
    x = images(1, (4, 7))
    for _ in range(3):
        built(x, sources=("data",), training=True)
    np.testing.assert_allclose(built(x, sources=("prior",)), affine(built, x, 0.0, 1.0), rtol=1e-5, atol=1e-5)


@each_constants
@pytest.mark.parametrize("shape", SHAPES)
def test_the_fused_and_the_synchronised_forms_agree(shape, constants):
    x, weights = tf.constant(0.1 * images(2, shape)), tf.constant(images(2, shape, seed=1))
    gamma, beta = tf.linspace(0.5, 2.0, 7), tf.linspace(-1.0, 1.0, 7)
    results = []
    for form in (norm._fused, norm._synchronised):
        with tf.GradientTape() as tape:
            tape.watch([x, gamma, beta])
            y, mean, variance = form(x, 2, gamma, beta, constants.epsilon)
            loss = tf.reduce_sum(tf.reshape(y, x.shape) * weights)
        results.append([tf.reshape(y, x.shape), mean, variance, *tape.gradient(loss, [x, gamma, beta])])
    for a, b in zip(*results, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_one_replica_equals_two():
    strategy = strategies.two_replicas()
    alone = layer("per_source", 7)
    with strategy.scope():
        shared = layer("per_source", 7)
    x, weights = (
        images(2, (4, 3, 2, 7)).reshape(2, 4, 3, 2, 7),
        images(2, (4, 3, 2, 7), seed=1).reshape(2, 4, 3, 2, 7),
    )

    def step(built, x, weights):
        """Output `[2, b, ...]`, and gradients of a sum over examples, which replicas add up."""
        flat = tf.reshape(x, [-1, 3, 2, 7])
        with tf.GradientTape() as tape:
            tape.watch(flat)
            y = built(flat, sources=("prior", "data"), training=True)
            loss = tf.reduce_sum(y * tf.reshape(weights, flat.shape))
        d_x, d_gamma, d_beta = tape.gradient(loss, [flat, built.gamma.value, built.beta.value])
        return tf.reshape(y, x.shape), tf.reshape(d_x, x.shape), d_gamma, d_beta

    expected = step(alone, tf.constant(x), tf.constant(weights))

    @tf.function
    def run():
        def local():
            half = tf.distribute.get_replica_context().replica_id_in_sync_group * 2
            return step(shared, tf.constant(x)[:, half : half + 2], tf.constant(weights)[:, half : half + 2])

        return strategy.run(local)

    y, d_x, d_gamma, d_beta = (strategy.experimental_local_results(r) for r in run())
    np.testing.assert_allclose(tf.concat(y, axis=1), expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(tf.concat(d_x, axis=1), expected[1], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(tf.add_n(d_gamma), expected[2], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(tf.add_n(d_beta), expected[3], rtol=1e-4, atol=1e-4)
    for a, b in zip(shared.variables, alone.variables, strict=True):
        for local in strategy.experimental_local_results(a.value):
            np.testing.assert_allclose(local, b, rtol=1e-5, atol=1e-6)


def test_unknown_modes_are_refused():
    with pytest.raises(ValueError, match="one of per_source, shared"):
        SourceBatchNorm(known_sources=SOURCES, mode="each")


@pytest.mark.parametrize("known", [True, False])
def test_one_value_of_each_channel_is_refused_in_training_and_no_matter_in_inference(known):
    built = layer("per_source", 7)
    call = tf.function(
        lambda x: built(x, sources=("data", "prior"), training=True),
        input_signature=[tf.TensorSpec([2 if known else None, 7])],
    )
    # Keras and TensorFlow raise what a layer raises as a kind of their own, of the same words.
    with pytest.raises(Exception, match="expected two examples at least of each"):
        call(tf.zeros([2, 7]))
    several = tf.function(
        lambda x: built(x, sources=("data",), training=True), input_signature=[tf.TensorSpec([None, 7])]
    )
    assert several(tf.random.stateless_normal([2, 7], [0, 1])).shape == (2, 7)
    assert np.isfinite(built(tf.ones([1, 7]), training=False)).all()
    assert np.isfinite(built(tf.random.stateless_normal([1, 3, 2, 7], [0, 1]), training=True)).all()
