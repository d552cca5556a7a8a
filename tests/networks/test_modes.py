"""The same numbers however a network is called: held, traced, compiled, in bfloat16."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import routing
from pga_tf.networks.resnet import ResidualBlock

OPTIONS = {
    "conv_8": {"batch_norm": "per_source", "filters": 8},
    "conv_32": {"batch_norm": "shared", "filters": 4},
    "infogan": {"batch_norm": "per_source", "filters": 4},
    "resnet_32": {"batch_norm": "per_source", "filters": 4},
    "mlp": {"batch_norm": "none", "filters": 16},
}
SOURCES = ("data", "perturbed")


def make(network):
    """A pair for 8x8 images with the same weights at each call."""
    keras.utils.set_random_seed(7)
    options = networks.NetworkOptions(network=network, latent_dim=4, **OPTIONS[network])
    roles = {"encoder": networks.Encoder(stochastic=True), "decoder": networks.Decoder(output="tanh")}
    return networks.build_all(roles, options, (8, 8, 1)).values()


def images():
    return tf.random.stateless_uniform([8, 8, 8, 1], seed=[1, 2], minval=-1.0, maxval=1.0)


def step(encoder, decoder, x, call_encoder=None):
    """One training-mode pass through both, with gradients; a flat list of tensors."""
    variables = encoder.trainable_variables + decoder.trainable_variables
    with tf.GradientTape() as tape:
        mean, stddev = (call_encoder or encoder)(x, sources=SOURCES, training=True)
        y = decoder(mean + stddev, sources=SOURCES, training=True)
        loss = tf.reduce_mean(tf.square(y - x))
    gradients = tape.gradient(loss, variables)
    return [mean, stddev, y, *(g for g in gradients if g is not None)]


def state(*pair):
    return [v.numpy() for net in pair for v in net.non_trainable_variables]


def assert_close(actual, expected, rtol=1e-3, atol=1e-5):
    for a, b in zip(actual, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@pytest.mark.parametrize("network", OPTIONS)
def test_eager_equals_graph_equals_xla(network):
    pair = make(network)
    expected, expected_state = step(*pair, images()), state(*pair)
    # Compiling takes seconds, and InfoGAN's pair has nearly every kind of layer; the next test has the rest.
    for jit in (False, True) if network == "infogan" else (False,):
        pair = make(network)
        traced = tf.function(step, jit_compile=jit)
        assert_close(traced(*pair, images()), expected)
        assert_close(state(*pair), expected_state)


@pytest.mark.parametrize("unpooling", ["repeat", "corner"])
def test_a_residual_block_compiles(unpooling):
    block = ResidualBlock(4, channels=3, norm=None, scale="up", unpooling=unpooling)
    block.build((None, 4, 4, 3))
    x = tf.random.stateless_normal([2, 4, 4, 3], seed=[3, 4])
    compiled = tf.function(block, jit_compile=True)
    np.testing.assert_allclose(compiled(x), block(x), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("network", OPTIONS)
def test_a_held_call_equals_a_direct_one_in_outputs_and_state(network):
    encoder, decoder = make(network)
    mean, stddev = encoder(images(), sources=SOURCES, training=True)
    y = decoder(mean, sources=SOURCES, training=True)
    expected, expected_state = [mean, stddev, y], state(encoder, decoder)
    encoder, decoder = make(network)
    before = state(encoder, decoder)
    mean, stddev = routing.held(encoder)(images(), sources=SOURCES, training=True)
    y = routing.held(decoder)(mean, sources=SOURCES, training=True)
    assert_close([mean, stddev, y], expected, rtol=1e-5, atol=1e-6)
    assert_close(state(encoder, decoder), expected_state, rtol=1e-5, atol=1e-6)
    assert all(np.any(a != b) for a, b in zip(before, expected_state, strict=True))


@pytest.mark.parametrize("network", OPTIONS)
def test_a_held_network_passes_gradients_on_and_receives_none(network):
    encoder, _ = make(network)
    x = images()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        mean, _ = routing.held(encoder)(x, sources=SOURCES, training=True)
        loss = tf.reduce_sum(tf.sin(mean))
    assert tape.gradient(loss, encoder.trainable_variables) == [None] * len(encoder.trainable_variables)
    assert np.max(np.abs(tape.gradient(loss, x))) > 1e-5


@pytest.mark.parametrize("network", OPTIONS)
def test_every_parameter_receives_a_gradient(network):
    encoder, decoder = make(network)
    values = step(encoder, decoder, images())[3:]
    routing.require_gradients(values, encoder.trainable_variables + decoder.trainable_variables)
    assert all(np.any(value != 0.0) for value in values)


@pytest.mark.parametrize("network", OPTIONS)
def test_bfloat16_is_finite_and_close(network):
    exact = step(*make(network), images())
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        pair = make(network)
        rough = step(*pair, images())
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(v.dtype == "float32" for net in pair for v in net.variables)
    assert all(r.dtype == tf.float32 for r in rough)
    assert all(np.all(np.isfinite(r)) for r in rough)
    for r, e in zip(rough[:3], exact[:3], strict=True):
        # bfloat16 keeps 8 bits: 0.4% a layer, and norms over 4 examples magnify it.
        assert 1e-5 < np.sqrt(np.mean(np.square(r - e))) / np.std(e) < 0.1
