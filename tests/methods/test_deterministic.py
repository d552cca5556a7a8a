"""Autoencoders without a posterior: AE, RAE and the prior-free model with its critic."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import streams
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.networks.spectral import power_iteration
from pga_tf.runs import config as config_lib
from tests.methods import builders
from tests.training import helpers

RATE = 0.05  # of the builders' SGD


def _moved(model, step):
    before = builders.weights(model)
    step()
    return [old - new for old, new in zip(before, builders.weights(model), strict=True)]


def test_ae_descends_the_squared_error_of_a_pixel():
    model = builders.build("ae")
    x = builders.images(model)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model.decoder(model.encoder(x)) - x))
    expected = tape.gradient(loss, model.trainable_variables)
    for moved, gradient in zip(_moved(model, lambda: model.train_step(x)), expected, strict=True):
        np.testing.assert_allclose(moved, RATE * gradient, rtol=2e-3, atol=5e-7)


@pytest.mark.parametrize("method", ["ae", "prior_free"])
def test_latent_batch_norm_gives_codes_of_mean_0_and_variance_1(method):
    model = builders.build(method, latent_batch_norm=True)
    codes = model.encoder(builders.images(model, count=256), training=True).numpy()
    np.testing.assert_allclose(codes.mean(axis=0), 0.0, atol=1e-5)
    variance = builders.build(method, latent_batch_norm=False).encoder(builders.images(model, count=256)).numpy().var(0)
    np.testing.assert_allclose(codes.var(axis=0), variance / (variance + 1e-3), rtol=1e-3)
    assert not [v.path for v in model.trainable_variables if "code_norm" in v.path]  # no scale undoes it


def test_inference_uses_the_running_statistics_of_the_code_norm():
    model = builders.build("ae", latent_batch_norm=True)
    x = builders.images(model, count=64)
    move = tf.function(lambda: model.encoder(x, training=True))
    for _ in range(2000):  # 0.99^2000 of the variance 1 that they start from
        move()
    np.testing.assert_allclose(model.encode(x), model.encoder(x, training=True), atol=5e-3)
    np.testing.assert_allclose(model.encode(x[:1]), model.encode(x)[:1], atol=1e-5)


def _rae(shape=(8, 8, 1), **options):
    model = builders.build("rae", shape=shape, **options)
    return model, builders.images(model, shape=shape)


def test_rae_l2_descends_its_three_terms():
    model, x = _rae(shape=(8, 8, 3), weight_code=0.3, weight_regulariser=0.2)
    with tf.GradientTape() as tape:
        z = model.encoder(x)
        loss = tf.reduce_mean(tf.square(model.decoder(z) - x))
        loss += 0.3 * tf.reduce_mean(tf.square(z))
        loss += 0.2 * sum(
            tf.reduce_sum(tf.square(v.value)) for v in model.decoder.trainable_variables if "kernel" in v.path
        )
    expected = tape.gradient(loss, model.trainable_variables)
    for moved, gradient in zip(_moved(model, lambda: model.train_step(x)), expected, strict=True):
        np.testing.assert_allclose(moved, RATE * gradient, rtol=2e-3, atol=5e-7)


def test_rae_gp_penalises_the_jacobian_of_the_decoder():
    model, x = _rae(regulariser="gradient_penalty", weight_regulariser=1.0)
    z = model.encoder(x)
    with tf.GradientTape() as tape:
        tape.watch(z)
        images = model.decoder(z)
    jacobian = tape.batch_jacobian(images, z)
    probe = streams.normal(list(x.shape), "projection", seed=0, step=0)
    expected = tf.reduce_sum(tf.square(tf.einsum("bhwc,bhwcz->bz", probe, jacobian)), axis=1)
    np.testing.assert_allclose(model.terms(x, tf.constant(0, tf.int64))["L_reg"], expected, rtol=1e-3)
    flat = tuple(model.train_step(x).values())
    assert np.isfinite(flat).all()


def test_rae_sn_divides_the_decoders_kernels_by_their_spectral_norms():
    model, x = _rae(regulariser="spectral_norm")
    for _ in range(100):
        model.decoder(tf.zeros([1, builders.LATENT]), training=True)
    images = model.decoder(model.encoder(x))
    plain, _ = _rae(regulariser="none")
    for received, given in zip(plain.encoder.trainable_variables, model.encoder.trainable_variables, strict=True):
        received.assign(given)
    for received, given in zip(plain.decoder.trainable_variables, model.decoder.trainable_variables, strict=True):
        value = given.numpy()
        if value.ndim == 4:  # a deconvolution's last axis is its input
            value = value / np.linalg.svd(value.transpose(0, 1, 3, 2).reshape(-1, value.shape[2]))[1][0]
        elif value.ndim == 2:
            value = value / np.linalg.svd(value)[1][0]
        received.assign(value)
    np.testing.assert_allclose(plain.decoder(plain.encoder(x)), images, atol=2e-3)
    assert float(model.terms(x, tf.constant(0, tf.int64))["L_reg"][0]) == 0.0


def test_prior_free_takes_the_steps_of_two_separate_losses():
    """Eq. 10 for the autoencoder and Eq. 9 for the critic, each by a tape of its own, from the weights before."""
    weights = {"weight_interpolation": 0.7, "weight_reconstruction": 0.4, "margin": 0.3, "blend": 0.25}
    model = builders.build("prior_free", **weights)
    x = builders.images(model)
    mu = 0.5 * streams.uniform([8], "mixing", seed=0, step=0)
    assert float(tf.reduce_min(mu)) > 0.0
    assert float(tf.reduce_max(mu)) < 0.5
    d = lambda images: model.critic(images)[:, 0]
    autoencoder = [*model.encoder.trainable_variables, *model.decoder.trainable_variables]
    with tf.GradientTape(persistent=True) as tape:
        z = model.encoder(x, training=True)
        other = tf.gather(z, [1, 0, 3, 2, 5, 4, 7, 6])
        x_hat = model.decoder(z)
        x_mu = model.decoder(mu[:, None] * z + (1 - mu[:, None]) * other)
        l_ae = tf.reduce_mean(tf.square(x - x_hat), axis=[1, 2, 3]) + 0.7 * d(x_mu) ** 2 + 0.4 * d(x_hat) ** 2
        l_dis = d(x) ** 2 + (d(0.25 * x + 0.75 * x_hat) - 0.3) ** 2 + (d(x_mu) - mu - 0.3) ** 2
    expected = {
        id(v): gradient / 8
        for loss, variables in ((l_ae, autoencoder), (l_dis, model.critic.trainable_variables))
        for v, gradient in zip(variables, tape.gradient(loss, variables), strict=True)
    }
    model = builders.build("prior_free", **weights)  # the passes above have moved the code norm's statistics
    order = [*model.encoder.trainable_variables, *model.decoder.trainable_variables, *model.critic.trainable_variables]
    before = [np.array(v) for v in order]
    logs = model.train_step(x)
    for variable, old, gradient in zip(order, before, expected.values(), strict=True):
        np.testing.assert_allclose(old - variable.numpy(), RATE * gradient, rtol=3e-3, atol=5e-7)
    np.testing.assert_allclose(logs["L_dis"], tf.reduce_mean(l_dis), rtol=1e-5)
    np.testing.assert_allclose(logs["L_ae"], tf.reduce_mean(l_ae), rtol=1e-5)


def test_a_spectral_critic_moves_its_power_iteration_once_a_step():
    model = builders.build("prior_free", critic_norm="spectral")
    vectors = [v for v in model.critic.non_trainable_variables if v.name == "u"]
    before = [np.array(v) for v in vectors]
    kernels = [np.array(v) for v in model.critic.trainable_variables if v.name == "kernel"]
    model.train_step(builders.images(model))
    assert len(before) == 4  # two convolutions, two dense layers
    for old, new, kernel in zip(before, vectors, kernels, strict=True):
        once = power_iteration(tf.reshape(kernel, [-1, kernel.shape[-1]]), old)[1]
        np.testing.assert_allclose(new, once, atol=1e-5)
        assert np.abs(old - once).max() > 1e-3


def test_a_critic_that_trains_for_nothing_is_refused():
    method = METHODS.get("prior_free")
    with pytest.raises(InputError, match="use --method=ae --latent_batch_norm"):
        method.roles(method.Options(weight_interpolation=0.0, weight_reconstruction=0.0))


@pytest.mark.parametrize(("size", "replica_count", "multiple"), [(7, 1, 2), (6, 2, 4)])
def test_a_batch_that_does_not_come_in_pairs_is_refused(tmp_path, size, replica_count, multiple):
    config = helpers.config(tmp_path, method="prior_free", batch_size=size, replicas=replica_count)
    with pytest.raises(InputError, match=f"--batch_size: expected a multiple of {multiple}, .* received {size}"):
        config_lib.validate(config)


def test_the_critic_learns_to_tell_mixtures_from_images():
    """On data whose codes mix into images that are not data, d(x_mu) ends above d(x)."""
    model = builders.build("prior_free", optimizer=lambda: keras.optimizers.Adam(2e-3), weight_interpolation=1e-3)
    x = tf.sign(builders.images(model, count=64))
    step = tf.function(model.train_step)
    for _ in range(150):
        model.reset_metrics()
        logs = step(x)
    assert float(logs["L_dis"]) < 0.5 * 0.2**2 * 2  # d = 0 everywhere costs lambda^2 + E(mu + lambda)^2 > 0.08
    real = float(tf.reduce_mean(model.critic(x)))
    z = model.encode(x)
    mixed = float(tf.reduce_mean(model.critic(model.decode(0.5 * z + 0.5 * tf.reverse(z, [0])))))
    assert mixed > real + 0.2
