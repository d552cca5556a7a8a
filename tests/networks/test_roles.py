"""Roles: critics of images and of codes with each norm, codes on the sphere, maps; and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import networks
from pga_tf.core.checks import InputError
from pga_tf.networks import Critic, Decoder, Encoder, Mapping, NetworkOptions


def build(role, seed=0, **options):
    keras.utils.set_random_seed(seed)
    chosen = NetworkOptions(**{"network": "conv_8", "latent_dim": 5, "filters": 4} | options)
    return networks.build(role, chosen, (8, 8, 1), name="network")


def examples(of, count=6, seed=1):
    shape = (8, 8, 1) if of == "images" else (5,)
    return tf.random.stateless_normal([count, *shape], seed=[seed, 0])


@pytest.mark.parametrize("spectral", [False, True])
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
@pytest.mark.parametrize("of", ["images", "codes"])
def test_a_critic_gives_one_logit_and_has_the_norm_that_is_asked_for(of, norm, spectral):
    critic = build(Critic(of=of, norm=norm, spectral=spectral, width=8, depth=2))
    logits = critic(examples(of))
    assert (logits.shape, logits.dtype) == ((6, 1), tf.float32)
    names = [v.path for v in critic.variables]
    assert any("running_mean" in name for name in names) == (norm == "batch")
    assert any("gamma" in name for name in names) == (norm != "none")
    assert any(name.endswith("/u") for name in names) == spectral


@pytest.mark.parametrize("of", ["images", "codes"])
def test_no_batch_statistic_of_a_critic_is_over_real_and_generated_ones(of):
    critic = build(Critic(of=of, norm="batch", width=8, depth=2))
    real, generated = examples(of), 5.0 + 3.0 * examples(of, seed=2)
    together = critic(tf.concat([real, generated], axis=0), sources=("data", "generated"), training=True)
    critic = build(Critic(of=of, norm="batch", width=8, depth=2))
    apart = [critic(x, sources=(s,), training=True) for x, s in ((real, "data"), (generated, "generated"))]
    np.testing.assert_allclose(together, tf.concat(apart, axis=0), atol=1e-5)
    mixed = build(Critic(of=of, norm="batch", width=8, depth=2))(
        tf.concat([real, generated], axis=0), sources=("data",), training=True
    )
    assert np.abs(mixed - together).max() > 1e-2


@pytest.mark.parametrize("of", ["images", "codes"])
def test_layer_norm_couples_no_examples_and_normalises_each(of):
    critic = build(Critic(of=of, norm="layer", width=8, depth=2))
    x = examples(of)
    logits = critic(x, training=True)
    np.testing.assert_allclose(critic(x[:1], training=True), logits[:1], atol=1e-6)
    if of == "codes":
        hidden = critic.norms[0](critic.hidden[0](x)).numpy()
        np.testing.assert_allclose(hidden.mean(axis=1), 0.0, atol=1e-5)
        np.testing.assert_allclose(hidden.std(axis=1), 1.0, atol=1e-2)


@pytest.mark.parametrize("network", ["resnet_32", "sngan_64"])
def test_sn_gans_critics_sum_over_positions(network):
    keras.utils.set_random_seed(0)
    size = {"resnet_32": 32, "sngan_64": 64}[network]
    options = NetworkOptions(network=network, filters=4)
    critic = networks.build(Critic(), options, (size, size, 3), name="critic")
    head = next(v for v in critic.trainable_variables if v.path.endswith("head/kernel"))
    assert head.shape == ({"resnet_32": 4, "sngan_64": 64}[network], 1)  # no position has weights of its own


def test_codes_on_the_sphere_have_mean_square_1():
    codes = build(Encoder(code_norm="sphere"))(examples("images"))
    np.testing.assert_allclose(tf.norm(codes, axis=1), np.sqrt(5), rtol=1e-5)
    plain = build(Encoder())(examples("images")).numpy()
    np.testing.assert_allclose(codes / np.sqrt(5), plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6)


def test_a_map_has_the_outputs_and_the_join_that_are_asked_for():
    assert build(Mapping(width=8, depth=2))(tf.zeros([3, 5])).shape == (3, 5)
    joined = build(Mapping(width=8, depth=2, outputs=2, join=True))
    assert joined(tf.zeros([3, 5])).shape == (3, 10)
    assert joined.head.kernel.shape == (8 + 5, 10)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Encoder(code_norm="cube"),
        lambda: Critic(of="pictures"),
        lambda: Critic(norm="group"),
        lambda: Decoder(output="softmax"),
    ],
)
def test_other_roles_are_refused(make):
    with pytest.raises(InputError, match="expected one of"):
        make()


def test_a_stochastic_encoder_has_no_code_norm():
    with pytest.raises(ValueError, match="no code_norm"):
        Encoder(stochastic=True, code_norm="batch")
