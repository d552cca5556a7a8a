"""The VAE and its variants: the update is that of the negative ELBO, and each option does what it says."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from pga_tf.core import streams
from pga_tf.core.checks import InputError
from tests.methods import builders

PIXELS = 8 * 8 * 1
VARIANTS = {
    "fixed_gamma": {"likelihood": "fixed_gamma", "gamma": 0.5},
    "learned_gamma": {"likelihood": "learned_gamma", "gamma": 0.5},
    "cross_entropy": {"likelihood": "cross_entropy", "pixel_range": "unit"},
    "cv_vae": {"likelihood": "fixed_gamma", "gamma": 0.5, "posterior_stddev": 0.1},
}
SCALES = {  # of the bound, as vae.py documents them
    "fixed_gamma": 2 * 0.5**2 / PIXELS,
    "learned_gamma": 1 / PIXELS,
    "cross_entropy": 1 / PIXELS,
    "cv_vae": 2 * 0.5**2 / PIXELS,
}
each_variant = pytest.mark.parametrize("variant", VARIANTS)


def _negative_elbo(model, x, variant, step):
    """- log p(x|z) + KL(q(z|x) || N(0, I)) by TFP's distributions: `[B]`, and the decoded images."""
    normal, event = tfp.distributions.Normal, tfp.distributions.Independent
    codes = model.encoder(x, training=True)
    mean, stddev = (codes, 0.1 * tf.ones_like(codes)) if variant == "cv_vae" else codes
    posterior = event(normal(mean, stddev), 1)
    eps = streams.normal(mean.shape, "posterior", seed=0, step=step)
    outputs = model.decoder(mean + stddev * eps, training=True)
    if variant == "cross_entropy":
        x_hat = 1 / (1 + tf.exp(-outputs))
        nll = -tf.reduce_sum(x * tf.math.log(x_hat) + (1 - x) * tf.math.log(1 - x_hat), axis=[1, 2, 3])
    else:
        gamma = tf.exp(model.log_gamma) if variant == "learned_gamma" else 0.5
        x_hat, nll = outputs, -event(normal(outputs, gamma), 3).log_prob(x)
    prior = event(normal(tf.zeros_like(mean), tf.ones_like(mean)), 1)
    return nll + tfp.distributions.kl_divergence(posterior, prior), x_hat


@each_variant
def test_a_step_descends_the_negative_elbo_in_the_documented_units(variant):
    model = builders.build("vae", **VARIANTS[variant])
    for step in range(2):
        x = builders.images(model, seed=step)
        variables = model.trainable_variables
        with tf.GradientTape() as tape:
            elbo, x_hat = _negative_elbo(model, x, variant, step)
            loss = SCALES[variant] * tf.reduce_mean(elbo)
        expected = [0.05 * g for g in tape.gradient(loss, variables)]
        before = builders.weights(model)
        model.reset_metrics()
        logs = model.train_step(x)
        for old, new, move in zip(before, builders.weights(model), expected, strict=True):
            np.testing.assert_allclose(old - new, move, rtol=2e-3, atol=5e-7)  # differences of float32 weights
        np.testing.assert_allclose(logs["negative_elbo"], tf.reduce_mean(elbo), rtol=1e-5)
        np.testing.assert_allclose(logs["nll"] + logs["kl"], logs["negative_elbo"], rtol=1e-5)
        np.testing.assert_allclose(logs["pixel_error"], tf.reduce_mean(tf.square(x - x_hat)), rtol=1e-5)


@each_variant
def test_gamma_is_trained_only_where_it_is_learned(variant):
    model = builders.build("vae", **VARIANTS[variant])
    before = float(model.log_gamma.numpy())
    model.train_step(builders.images(model))
    assert (float(model.log_gamma.numpy()) != before) == (variant == "learned_gamma")


@pytest.mark.parametrize("start", [0.3, 2.0])
def test_learned_gamma_goes_to_the_root_mean_squared_pixel_error(start):
    model = builders.build("vae", likelihood="learned_gamma", gamma=start)
    x, step = builders.images(model), tf.function(model.train_step)
    for _ in range(60):
        model.reset_metrics()
        logs = step(x)
    error = float(logs["pixel_error"]) ** 0.5
    assert abs(np.log(start / error)) > 0.5
    assert float(logs["gamma"]) == pytest.approx(error, rel=0.05)


def test_cross_entropy_decodes_through_a_sigmoid():
    model = builders.build("vae", **VARIANTS["cross_entropy"])
    codes = 50.0 * tf.random.stateless_normal([16, builders.LATENT], seed=[0, 1])
    logits = model.decoder(codes, sources=("data",)).numpy()
    assert logits.min() < -1.0 < 1.0 < logits.max()
    images = model.decode(codes).numpy()
    np.testing.assert_allclose(images, 1 / (1 + np.exp(-logits)), rtol=1e-4)
    assert 0.0 <= images.min() <= images.max() <= 1.0


def test_the_posterior_of_a_cv_vae_has_one_stddev_for_every_x_and_its_encoder_no_head_for_it():
    model, full = builders.build("vae", **VARIANTS["cv_vae"]), builders.build("vae")
    model.train_step(builders.images(model))
    x = 3.0 * builders.images(model)
    np.testing.assert_array_equal(model.posterior(x).stddev(), np.full((8, builders.LATENT), 0.1, np.float32))
    assert model.encoder(x).shape == (8, builders.LATENT)
    assert any("log_variance" in v.path for v in full.encoder.variables)
    assert not any("log_variance" in v.path for v in model.encoder.variables)


def test_joint_training_bounds_the_divergence_by_a_vae_of_codes():
    """E log q(z|x) - log p(z|u) + KL(q(u|z) || N(0, I)), by TFP's densities from the same networks and noise."""
    model = builders.build("two_stage_joint", joint_width=16, joint_depth=1)
    model.log_second_gamma.assign(-0.3)
    x, step, size = builders.images(model), tf.constant(3, tf.int64), [8, builders.LATENT]
    losses, _ = model.terms(x, step)
    mean, stddev = model.encoder(x)
    codes = mean + stddev * streams.normal(size, "posterior", seed=0, step=3)
    u_mean, log_stddev = tf.split(model.second_encoder(codes), 2, axis=1)
    q_u = tfp.distributions.MultivariateNormalDiag(u_mean, tf.exp(log_stddev))
    u = u_mean + tf.exp(log_stddev) * streams.normal(size, "second_posterior", seed=0, step=3)
    p_z = tfp.distributions.MultivariateNormalDiag(model.second_decoder(u), tf.fill(size, np.float32(np.exp(-0.3))))
    q_z = tfp.distributions.MultivariateNormalDiag(mean, stddev)
    prior = tfp.distributions.MultivariateNormalDiag(tf.zeros(size), tf.ones(size))
    expected = -q_z.entropy() - p_z.log_prob(codes) + tfp.distributions.kl_divergence(q_u, prior)
    np.testing.assert_allclose(losses["kl"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(losses["second_nll"], -p_z.log_prob(codes), rtol=1e-4)


def test_joint_training_trains_the_first_encoder_by_the_second_stage():
    model = builders.build("two_stage_joint", joint_width=16, joint_depth=1)
    networks = model.networks()
    with tf.GradientTape(persistent=True) as tape:
        losses, _ = model.terms(builders.images(model), tf.constant(0, tf.int64))
        values = {loss: tf.reduce_sum(losses[loss]) for loss in ("nll", "kl")}
    for loss, trained in {"nll": {"encoder", "decoder"}, "kl": set(networks) - {"decoder"}}.items():
        gradients = tape.gradient(values[loss], networks)
        assert {name for name, group in gradients.items() if any(g is not None and np.any(g) for g in group)} == trained


def test_samples_of_joint_training_have_the_noise_of_the_second_stage():
    model = builders.build("two_stage_joint", joint_width=16, joint_depth=1)
    noise = np.random.default_rng(0).normal(size=(5, 2 * builders.LATENT)).astype(np.float32)
    u, around = np.split(noise, 2, axis=1)
    model.log_second_gamma.assign(np.log(0.5))
    np.testing.assert_allclose(model.map_noise(noise), model.second_decoder(u) + 0.5 * around, rtol=1e-5, atol=1e-6)
    assert model.sample(3).shape == (3, 8, 8, 1)
    with pytest.raises(InputError, match="--prior=second_vae"):
        builders.build("two_stage_joint", posterior_stddev=0.1)
