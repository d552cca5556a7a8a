"""Every registered network as its paper has it: parameter counts by hand, where norms sit, critics."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import networks
from pga_tf.core.checks import InputError
from pga_tf.networks.norm import SourceBatchNorm
from pga_tf.networks.resnet import CornerUnpooling, ResidualBlock
from tests.networks.made import SIZES, make

UNPOOLING = (keras.layers.UpSampling2D, CornerUnpooling)


def conv(size, inputs, outputs, bias=True):
    return size * size * inputs * outputs + bias * outputs


def dense(inputs, outputs, bias=True):
    return inputs * outputs + bias * outputs


def block(inputs, outputs, shortcut):
    return conv(3, inputs, outputs) + conv(3, outputs, outputs) + shortcut * conv(1, inputs, outputs)


def scale(width, blocks=2):
    """A ScaleBlock: each residual block has two convolutions and one as its shortcut."""
    return 3 * blocks * conv(3, width, width)


# network, latent_dim, encoder, decoder: one term a layer, in the layers' order (METHODS.md, section 1).
PUBLISHED = [
    (
        "conv_mnist",
        12,
        conv(5, 1, 64) + conv(5, 64, 128) + dense(7 * 7 * 128, 1024) + dense(1024, 12),
        dense(12, 1024) + dense(1024, 7 * 7 * 128) + conv(5, 128, 64) + conv(5, 64, 1),
    ),
    (
        "conv_32",
        128,
        conv(5, 3, 64) + conv(5, 64, 128) + conv(5, 128, 256) + dense(4 * 4 * 256, 128),
        dense(128, 4 * 4 * 256) + conv(5, 256, 128) + conv(5, 128, 64) + conv(5, 64, 3),
    ),
    (
        "conv_64",
        128,
        conv(5, 3, 64) + conv(5, 64, 128) + conv(5, 128, 256) + conv(5, 256, 512) + dense(4 * 4 * 512, 128),
        dense(128, 4 * 4 * 512) + conv(5, 512, 256) + conv(5, 256, 128) + conv(5, 128, 64) + conv(5, 64, 3),
    ),
    (
        "infogan",
        64,
        conv(4, 1, 64) + conv(4, 64, 128) + dense(7 * 7 * 128, 1024) + dense(1024, 64),
        dense(64, 1024) + dense(1024, 7 * 7 * 128) + conv(4, 128, 64) + conv(4, 64, 1),
    ),
    (
        "resnet_32",
        128,
        block(3, 512, True) + block(512, 512, True) + 2 * block(512, 512, False) + dense(8 * 8 * 512, 128),
        dense(128, 4 * 4 * 2048) + block(2048, 512, True) + 2 * block(512, 512, True) + conv(3, 512, 3),
    ),
    (
        "scale_resnet",
        64,
        conv(3, 3, 32) + scale(32) + conv(3, 32, 64) + scale(64) + conv(3, 64, 128) + scale(128)
        + 2 * dense(128, 512) + dense(512, 512) + dense(512, 64),
        dense(64, 2 * 2 * 512) + sum(conv(3, 2 * n, n) + scale(n) for n in (256, 128, 64, 32)) + conv(3, 32, 3),
    ),
    (
        "sngan_64",
        128,
        block(3, 64, True) + sum(block(n, 2 * n, True) for n in (64, 128, 256, 512)) + dense(4 * 4 * 1024, 128),
        dense(128, 4 * 4 * 1024) + sum(block(2 * n, n, True) for n in (512, 256, 128, 64)) + conv(3, 64, 3),
    ),
    (
        "wae",
        64,
        conv(5, 3, 128) + conv(5, 128, 256) + conv(5, 256, 512) + conv(5, 512, 1024) + dense(8 * 8 * 1024, 64),
        dense(64, 8 * 8 * 1024) + conv(5, 1024, 512) + conv(5, 512, 256) + conv(5, 256, 128) + conv(5, 128, 3),
    ),
    (
        "wae_mnist",
        8,
        conv(4, 1, 128) + conv(4, 128, 256) + conv(4, 256, 512) + conv(4, 512, 1024) + dense(2 * 2 * 1024, 8),
        dense(8, 7 * 7 * 1024) + conv(4, 1024, 512) + conv(4, 512, 256) + conv(4, 256, 1),
    ),
    (
        "wae_celeba",
        64,
        conv(5, 3, 128) + conv(5, 128, 256) + conv(5, 256, 512) + conv(5, 512, 1024) + dense(4 * 4 * 1024, 64),
        dense(64, 8 * 8 * 1024) + conv(5, 1024, 512) + conv(5, 512, 256) + conv(5, 256, 128) + conv(5, 128, 3),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("network", "latent_dim", "encoder_size", "decoder_size"), PUBLISHED)
def test_published_networks_have_the_published_number_of_parameters(network, latent_dim, encoder_size, decoder_size):
    encoder, decoder = make(network, latent_dim=latent_dim)
    assert networks.parameter_count(encoder) == encoder_size
    assert networks.parameter_count(decoder) == decoder_size


# Channels of the normalised layers; each norm adds gamma and beta and takes a bias away.
NORMS = {
    "conv_mnist": ([128, 1024], [6272]),
    "conv_32": ([128, 256], [128]),
    "conv_64": ([256, 512], [256, 128]),
    "infogan": ([128, 1024], [1024, 6272, 64]),
}


@pytest.mark.parametrize("network", NORMS)
def test_norms_sit_where_the_papers_put_them(network):
    for plain, normed, channels in zip(
        make(network), make(network, batch_norm="per_source"), NORMS[network], strict=True
    ):
        gammas = [v.shape[0] for v in normed.trainable_variables if v.name == "gamma"]
        assert gammas == channels
        assert networks.parameter_count(normed) == networks.parameter_count(plain) + sum(channels)
        assert not [v.path for v in plain.variables if "norm" in v.path]


def same_conv(x, kernel, bias):
    """A convolution of stride 1, padded with zeros to the same size: `[H, W, C]` in float64."""
    size = kernel.shape[0]
    padded = np.pad(x, [(size // 2, size // 2)] * 2 + [(0, 0)])
    height, width = x.shape[:2]
    y = np.zeros((height, width, kernel.shape[-1])) + bias
    for i in range(size):
        for j in range(size):
            y += padded[i : i + height, j : j + width] @ kernel[i, j]
    return y


@pytest.mark.parametrize("unpooling", ["repeat", "corner"])
@pytest.mark.parametrize("filters", [2, 3])  # as many as there are channels, and more
def test_a_block_up_unpools_before_both_of_its_branches(filters, unpooling):
    block = ResidualBlock(filters, channels=2, norm=None, scale="up", unpooling=unpooling)
    block.build((None, 3, 2, 2))
    rng = np.random.default_rng(0)
    for variable in block.variables:
        variable.assign(rng.normal(size=variable.shape))  # biases too: they reach the zeros of the shortcut
    x = rng.normal(size=(3, 2, 2))
    cell = np.ones((2, 2, 1)) if unpooling == "repeat" else np.array([[[1.0], [0.0]], [[0.0], [0.0]]])
    unpooled = lambda x: np.kron(x, cell)
    weights = {v.path.split("/", 1)[-1]: v.numpy().astype(np.float64) for v in block.variables}
    layer = lambda x, name: same_conv(x, weights[f"{name}/kernel"], weights[f"{name}/bias"])
    branch = layer(np.maximum(layer(unpooled(np.maximum(x, 0)), "conv_1"), 0), "conv_2")
    received = block(tf.constant(x[None], tf.float32))[0]
    np.testing.assert_allclose(received, branch + layer(unpooled(x), "shortcut"), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("network", ["resnet_32", "sngan_64"])
def test_unpooling_is_that_of_every_block_of_the_decoder(network):
    layers = {}
    for unpooling in ("repeat", "corner"):
        encoder, decoder = make(network, filters=4, unpooling=unpooling)
        assert not [part for part in encoder._flatten_layers() if isinstance(part, UNPOOLING)]
        layers[unpooling] = [type(part) for part in decoder._flatten_layers() if isinstance(part, UNPOOLING)]
    assert layers["corner"] == len(layers["repeat"]) * [CornerUnpooling]
    assert set(layers["repeat"]) == {keras.layers.UpSampling2D}


@pytest.mark.parametrize("network", [n for n in networks.names() if n not in ("resnet_32", "sngan_64")])
def test_unpooling_is_refused_where_there_is_nothing_to_unpool(network):
    message = f"--unpooling: expected repeat with --network={network},.* received corner.*--network=resnet_32 or"
    with pytest.raises(InputError, match=message):
        make(network, filters=4, unpooling="corner")


def test_a_scale_has_as_many_residual_blocks_as_are_asked_for():
    counts = {}
    for count in (1, 2, 3):
        parts = [part for net in make("scale_resnet", filters=2, scale_blocks=count) for part in net._flatten_layers()]
        counts[count] = sum(re.fullmatch(r"scale_\d_block_\d", part.name) is not None for part in parts)
    assert counts == {1: 7, 2: 14, 3: 21}  # three scales down, four up
    with pytest.raises(InputError, match=r"--scale_blocks: expected 2 with --network=wae.*use --network=scale_resnet"):
        make("wae", filters=2, scale_blocks=1)


@pytest.mark.parametrize("network", networks.names())
def test_batch_norm_has_the_constants_of_the_networks_authors(network):
    """Epsilon and momentum of Dai and Wipf's networks and of WAE's are theirs; all others have TF-slim's epsilon."""
    own = dict.fromkeys(("infogan", "wae", "scale_resnet"), (1e-5, 0.999))
    own |= dict.fromkeys(("wae_mnist", "wae_celeba"), (1e-5, 0.9))
    wanted = own.get(network, (1e-3, 0.99))
    options = networks.NetworkOptions(network=network, filters=4, batch_norm="per_source")
    for role in (networks.Encoder(), networks.Decoder("tanh"), networks.Critic(norm="batch")):
        (net,) = networks.build_all({"network": role}, options, SIZES[network]).values()
        norms = [part for part in net._flatten_layers() if isinstance(part, SourceBatchNorm)]
        assert {(norm.epsilon, norm.momentum) for norm in norms} == {wanted}


def test_residual_blocks_are_normalised_before_each_relu_but_the_first():
    encoder, decoder = make("resnet_32", filters=8, batch_norm="per_source")
    assert [v.shape[0] for v in encoder.trainable_variables if v.name == "gamma"] == [8] * 7
    assert [v.shape[0] for v in decoder.trainable_variables if v.name == "gamma"] == [32, 8, 8, 8, 8, 8]


def test_the_newer_networks_are_normalised_where_their_papers_put_it():
    gammas = lambda name, filters: [
        [v.shape[0] for v in net.trainable_variables if v.name == "gamma"]
        for net in make(name, filters=filters, batch_norm="shared")
    ]
    assert gammas("wae", 2) == gammas("wae_celeba", 2) == [[2, 4, 8, 16], [8, 4, 2]]
    assert gammas("wae_mnist", 2) == [[2, 4, 8, 16], [8, 4]]
    # each residual block: two norms, the first of its input's width, which is the scale's
    assert gammas("scale_resnet", 2) == [[2] * 4 + [4] * 4 + [8] * 4, [16] * 4 + [8] * 4 + [4] * 4 + [2] * 4]
    assert gammas("sngan_64", 2) == [[2, 2, 4, 4, 8, 8, 16, 16, 32], [32, 16, 16, 8, 8, 4, 4, 2, 2]]


def test_scale_resnet_has_a_scale_more_for_64_pixels():
    encoder, decoder = make("scale_resnet", (64, 64, 3), filters=2)
    assert [v.shape for v in encoder.trainable_variables if "scale_4" in v.path and v.name == "kernel"] == [
        (3, 3, 16, 16)
    ] * 6
    assert decoder.trainable_variables[0].shape[1] == 2 * 2 * 64
    assert decoder(tf.zeros([1, 32])).shape == (1, 64, 64, 3)


@pytest.mark.parametrize("network", [n for n in networks.names() if n != "mlp"])
def test_a_critic_gives_one_number_and_a_spectral_one_is_bounded(network):
    keras.utils.set_random_seed(5)
    options = networks.NetworkOptions(network=network, filters=4, batch_norm="shared")
    x = tf.random.stateless_uniform([2, *SIZES[network]], seed=[1, 2], minval=-1.0, maxval=1.0)
    for spectral in (False, True):
        critic = networks.build(networks.Critic(spectral=spectral), options, SIZES[network], name="critic")
        assert critic(x).shape == (2, 1)
        assert not [v.path for v in critic.variables if "norm" in v.path]
        assert any(v.name == "u" for v in critic.variables) == spectral
    kernels = [v for v in critic.trainable_variables if len(v.shape) > 1]
    assert len([v for v in critic.variables if v.name == "u"]) == len(kernels)  # none is left out
    for kernel in kernels:
        kernel.assign(100.0 * kernel)
    train = tf.function(lambda: critic(x, training=True))
    for _ in range(100):
        first = train()
    for kernel in kernels:
        kernel.assign(0.01 * kernel)
    np.testing.assert_allclose(critic(x), first, rtol=0.05, atol=1e-4)  # the size of a kernel says nothing
