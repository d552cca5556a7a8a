"""Every registered network: shapes, types, first outputs, weights by seed, refusals, checkpoints."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import networks
from pga_tf.core.checks import InputError
from tests.networks.made import NARROW, SIZES, make


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
        ("conv_64", (64, 40), 16, "conv_32, conv_8, conv_mnist, infogan, mlp, resnet_32, wae, wae_celeba, wae_mnist"),
        ("resnet_32", (36, 32), 8, "conv_8, conv_mnist, infogan, mlp"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(network, size, multiple, fits):
    with pytest.raises(InputError, match=f"multiples of {multiple}, received {size[0]}x{size[1]}.*: {fits}\\."):
        make(network, (*size, 3))


@pytest.mark.parametrize(
    ("image_shape", "network"),
    [
        ((8, 8, 1), "conv_8"), ((12, 20, 3), "conv_8"), ((28, 28, 1), "conv_mnist"), ((32, 32, 3), "conv_32"),
        ((40, 32, 3), "conv_32"), ((64, 64, 3), "conv_64"), ((128, 96, 3), "conv_64"), ((60, 60, 1), "conv_mnist"),
        ((50, 50, 3), "mlp"), ((1, 1, 2), "mlp"), ((4, 4, 1), "mlp"),
    ],
)  # fmt: skip
def test_where_none_is_named_the_images_choose_a_network_that_takes_them(image_shape, network):
    assert networks.resolved(networks.NetworkOptions(), image_shape).network == network
    encoder, _ = make("auto", image_shape, latent_dim=2)
    assert encoder(tf.zeros([2, *image_shape])).shape == (2, 2)


@pytest.mark.parametrize("image_shape", [(28, 28), (28, 28, 0), (None, 28, 1)])
def test_incomplete_image_shapes_are_refused(image_shape):
    with pytest.raises(InputError, match="height, width, channels"):
        make("conv_mnist", image_shape)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "conv_minst"}, "did you mean 'conv_mnist'"),
        ({"latent_dim": 0}, "--latent_dim: expected a value >= 1 and <= 1048576, received 0"),
        ({"filters": -1}, "--filters"),
        ({"batch_norm": "per_sauce"}, "did you mean 'per_source'"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        networks.build(networks.Encoder(), networks.NetworkOptions(**options), (28, 28, 1), name="encoder")


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
