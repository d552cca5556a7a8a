"""Every registered network: shapes, hand-computed parameter counts, first outputs, refusals."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import networks
from pga_tf.core.checks import InputError

SIZES = {
    "conv_8": (8, 8, 1),
    "conv_mnist": (28, 28, 1),
    "conv_32": (32, 32, 3),
    "conv_64": (64, 64, 3),
    "resnet_32": (32, 32, 3),
    "infogan": (28, 28, 1),
    "mlp": (1, 1, 2),
    "scale_resnet": (32, 32, 3),
    "sngan_64": (64, 64, 3),
    "wae": (64, 64, 3),
}
NARROW = {"resnet_32": 16, "scale_resnet": 8, "sngan_64": 4, "wae": 8}  # widths for tests, where the published is slow


def make(network, image_shape=None, *, stochastic=False, output="tanh", **options):
    options = networks.NetworkOptions(network=network, **options)
    return networks.build(options, image_shape or SIZES[network], stochastic=stochastic, output=output)


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


def test_residual_blocks_are_normalised_before_each_relu_but_the_first():
    encoder, decoder = make("resnet_32", filters=8, batch_norm="per_source")
    assert [v.shape[0] for v in encoder.trainable_variables if v.name == "gamma"] == [8] * 7
    assert [v.shape[0] for v in decoder.trainable_variables if v.name == "gamma"] == [32, 8, 8, 8, 8, 8]


def test_the_newer_networks_are_normalised_where_their_papers_put_it():
    gammas = lambda name, filters: [
        [v.shape[0] for v in net.trainable_variables if v.name == "gamma"]
        for net in make(name, filters=filters, batch_norm="shared")
    ]
    assert gammas("wae", 2) == [[2, 4, 8, 16], [8, 4, 2]]
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
        critic = networks.build_critic(options, SIZES[network], spectral=spectral)
        assert critic(x).shape == (2, 1)
        assert not [v.path for v in critic.variables if "norm" in v.path]
        assert any(v.name == "u" for v in critic.variables) == (spectral or network == "infogan")
    kernels = [v for v in critic.trainable_variables if len(v.shape) > 1]
    assert len([v for v in critic.variables if v.name == "u"]) == len(kernels)  # none is left out
    for kernel in kernels:
        kernel.assign(100.0 * kernel)
    for _ in range(100):
        first = critic(x, training=True)
    for kernel in kernels:
        kernel.assign(0.01 * kernel)
    np.testing.assert_allclose(critic(x), first, rtol=0.05, atol=1e-4)  # the size of a kernel says nothing


def test_filters_scale_the_width():
    encoder, _ = make("conv_64", filters=128)
    assert encoder.trainable_variables[0].shape == (5, 5, 3, 128)
    assert encoder.trainable_variables[6].shape == (5, 5, 512, 1024)


@pytest.mark.parametrize("network", networks.names())
@pytest.mark.parametrize("batch_norm", ["none", "shared", "per_source"])
def test_shapes_types_and_first_outputs(network, batch_norm):
    keras.utils.set_random_seed(1)
    shape = SIZES[network]
    width = NARROW.get(network, 0)
    encoder, decoder = make(network, latent_dim=5, filters=width, stochastic=True, batch_norm=batch_norm)
    images = tf.random.stateless_uniform([6, *shape], seed=[1, 2], minval=-1.0, maxval=1.0)
    mean, stddev = encoder(images, sources=("data", "samples"), training=True)
    assert mean.shape == stddev.shape == (6, 5)
    assert mean.dtype == stddev.dtype == tf.float32
    assert 1e-4 < np.std(mean) < 10.0
    decoded = decoder(mean, sources=("data", "perturbed", "prior"), training=True)
    assert decoded.shape == images.shape
    assert decoded.dtype == tf.float32
    assert np.all(np.abs(decoded) <= 1.0)
    # No two codes give the same image: signal gets through at the start.
    assert np.min(np.std(decoded, axis=0)) > 0.0


@pytest.mark.parametrize("network", [n for n in networks.names() if n != "infogan"])
def test_stddev_starts_near_a_tenth(network):
    keras.utils.set_random_seed(2)
    encoder, _ = make(network, latent_dim=4, stochastic=True, filters=NARROW.get(network, 0))
    bias = next(v for v in encoder.trainable_variables if v.path.endswith("log_variance/bias"))
    np.testing.assert_allclose(bias, 2.0 * math.log(0.1), rtol=1e-6)
    _, stddev = encoder(tf.zeros([3, *SIZES[network]]))
    np.testing.assert_allclose(stddev, 0.1, rtol=1e-5)


@pytest.mark.parametrize("network", ["mlp", "infogan"])
@pytest.mark.parametrize("scale", [-1e6, 1e6])
def test_stddev_neither_overflows_nor_vanishes(network, scale):
    encoder, _ = make(network, latent_dim=3, stochastic=True)
    for v in encoder.trainable_variables:
        if v.path.endswith(("log_variance/bias", "head/bias")):
            v.assign(tf.fill(v.shape, scale))
    _, stddev = encoder(tf.ones([2, *SIZES[network]]))
    assert np.all(np.isfinite(np.square(stddev)))
    assert np.all(np.isfinite(1.0 / np.square(stddev)))


@pytest.mark.parametrize(("output", "low", "high"), [("tanh", -1, 1), ("sigmoid", 0, 1), ("linear", -9, 9)])
def test_output_function(output, low, high):
    _, decoder = make("mlp", latent_dim=2, output=output)
    for v in decoder.trainable_variables:
        if v.path.endswith("pixels/bias"):
            v.assign([-9.0, 9.0])
    np.testing.assert_allclose(decoder(tf.zeros([1, 2]))[0, 0, 0], [low, high], atol=2e-4)


@pytest.mark.parametrize("network", networks.names())
def test_same_seed_same_weights(network):
    def weights(seed):
        keras.utils.set_random_seed(seed)
        pair = make(network, latent_dim=3, filters=8, batch_norm="per_source")
        return [v.numpy() for net in pair for v in net.variables]

    first, second, other = weights(3), weights(3), weights(4)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_images_need_not_be_square():
    encoder, decoder = make("conv_8", (8, 12, 4), latent_dim=3)
    assert decoder(encoder(tf.zeros([2, 8, 12, 4]))).shape == (2, 8, 12, 4)


@pytest.mark.parametrize(
    ("network", "size", "multiple", "fits"),
    [
        ("conv_mnist", (30, 30), 4, "mlp"),
        ("conv_32", (28, 28), 8, "conv_8, conv_mnist, infogan, mlp"),
        ("conv_64", (64, 40), 16, "conv_32, conv_8, conv_mnist, infogan, mlp, resnet_32, wae"),
        ("resnet_32", (36, 32), 8, "conv_8, conv_mnist, infogan, mlp"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(network, size, multiple, fits):
    with pytest.raises(InputError, match=f"multiples of {multiple}, received {size[0]}x{size[1]}.*: {fits}\\."):
        make(network, (*size, 3))


@pytest.mark.parametrize("image_shape", [(28, 28), (28, 28, 0), (None, 28, 1)])
def test_incomplete_image_shapes_are_refused(image_shape):
    with pytest.raises(InputError, match="height, width, channels"):
        make("conv_mnist", image_shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "conv_minst"}, "did you mean 'conv_mnist'"),
        ({"latent_dim": 0}, "--latent_dim: expected a value >= 1, received 0"),
        ({"filters": -1}, "--filters"),
        ({"batch_norm": "per_sauce"}, "did you mean 'per_source'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        networks.build(networks.NetworkOptions(**options), (28, 28, 1), stochastic=False, output="tanh")


def test_unknown_output_is_refused():
    with pytest.raises(InputError, match="one of tanh, sigmoid, linear"):
        make("mlp", output="softmax")


@pytest.mark.parametrize("sources", [("data", "prior"), "data", ()])
def test_unknown_sources_are_refused(sources):
    encoder, _ = make("mlp")
    with pytest.raises(ValueError, match=r"encoder: expected sources .* data, reconstructions, perturbed, samples"):
        encoder(tf.zeros([4, 1, 1, 2]), sources=sources)


def test_unequal_segments_are_refused():
    _, decoder = make("mlp", latent_dim=3)
    with pytest.raises(ValueError, match=r"batch of 2 equal segments.*received 5 examples"):
        decoder(tf.zeros([5, 3]), sources=("data", "prior"))


def test_table_lists_what_is_trained():
    encoder, _ = make("mlp", latent_dim=3, batch_norm="per_source")
    text = networks.table(encoder)
    assert text.startswith(f"encoder: {networks.parameter_count(encoder):,} parameters")
    assert len(text.splitlines()) == 1 + len(encoder.trainable_variables)


def test_checkpoints_hold_every_variable(tmp_path):
    keras.utils.set_random_seed(5)
    saved, _ = make("infogan", (8, 8, 1), filters=4, batch_norm="per_source")
    saved(tf.ones([4, 8, 8, 1]), training=True)
    path = tf.train.Checkpoint(network=saved).write(str(tmp_path / "weights"))
    loaded, _ = make("infogan", (8, 8, 1), filters=4, batch_norm="per_source")
    tf.train.Checkpoint(network=loaded).read(path).assert_consumed()
    for a, b in zip(saved.variables, loaded.variables, strict=True):
        np.testing.assert_array_equal(a, b)
