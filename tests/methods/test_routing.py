"""METHODS row by row: each loss trains what its superscript says, and gives exactly zero to everything else."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import streams
from pga_tf.methods.adversarial import Adversarial
from tests.methods import builders

# loss -> networks that it trains; L_lr,H has a weight in the tests, so that its own pass exists
ROUTING = {
    "lpga": {
        "L_r": {"encoder", "decoder"},
        "L_lr_N": {"encoder"},
        "L_lr_H": {"encoder"},
        "L_nll_phi": {"encoder"},
        "L_nll_theta": {"decoder"},
    },
    "vpga": {
        "L_r": {"encoder", "decoder"},
        "L_lr_N": {"encoder"},
        "L_lr_H": {"encoder"},
        "L_vr": {"encoder", "decoder"},
        "L_vkl": {"encoder"},
    },
    "lvpga": {
        "L_r": {"encoder", "decoder"},
        "L_lr_N": {"encoder"},
        "L_lr_H": {"encoder"},
        "L_vr": {"encoder", "decoder"},
        "L_nll_phi": {"encoder"},
        "L_vkl": {"encoder"},
    },
    "ae": {"L_r": {"encoder", "decoder"}},
    "rae": {"L_rec": {"encoder", "decoder"}, "L_z": {"encoder"}, "L_reg": {"decoder"}},
    "gan": {"L_C": {"critic"}, "penalty": {"critic"}, "L_G": {"decoder"}},
    "began": {"L_real": {"critic"}, "L_generated": {"critic"}, "L_G": {"decoder"}},
    "prior_free": {
        "L_r": {"encoder", "decoder"},
        "d_interpolation": {"encoder", "decoder"},
        "d_reconstruction": {"encoder", "decoder"},
        "L_dis": {"critic"},
    },
}
PGA = ("lpga", "vpga", "lvpga")
OPTIONS = {name: {"weight_lr_h": 1.0} for name in PGA} | {"gan": builders.WGAN_GP}


def _terms(model, x):
    """The losses of step 0."""
    step = tf.constant(0, tf.int64)
    if isinstance(model, Adversarial):
        y = tf.stop_gradient(model.generated(8, step, 0))
        return model.critic_loss(x, y, step, 0)[1] | {"L_G": model.generator_loss(model.generated(8, step, 1))}
    return model.terms(x) if type(model).__name__ == "AE" else model.terms(x, step)


def _gradients(model, x, losses):
    """dict of loss to dict of network to gradients."""
    variables = model.networks()
    with tf.GradientTape(persistent=True) as tape:
        terms = _terms(model, x)
        values = {loss: tf.reduce_sum(terms[loss]) for loss in losses}
    return {loss: tape.gradient(value, variables) for loss, value in values.items()}


def _size(gradients):
    return sum(0.0 if g is None else float(tf.reduce_sum(tf.abs(g))) for g in gradients)


@pytest.mark.parametrize("batch_norm", ["none", "shared", "per_source"])
@pytest.mark.parametrize("method", ROUTING)
def test_each_loss_trains_exactly_its_networks(method, batch_norm):
    model = builders.build(method, batch_norm=batch_norm, **OPTIONS.get(method, {}))
    for loss, gradients in _gradients(model, builders.images(model), ROUTING[method]).items():
        # exactly: nothing may leak
        assert {network for network, values in gradients.items() if _size(values)} == ROUTING[method][loss], loss


@pytest.mark.parametrize("method", ["vpga", "lvpga"])
def test_l_vr_trains_the_encoder_through_sigma_alone(method):
    model = builders.build(method)
    x = builders.images(model)
    sigma = [v for v in model.encoder.trainable_variables if "stddev" in v.path or "variance" in v.path]
    mean = [v for v in model.encoder.trainable_variables if "mean" in v.path]
    assert sigma
    assert mean
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(_terms(model, x)["L_vr"])
    gradients = tape.gradient(value, sigma + mean)
    assert _size(gradients[: len(sigma)]) > 0.0
    assert _size(gradients[len(sigma) :]) == 0.0


@pytest.mark.parametrize("method", PGA)
def test_l_lr_h_trains_nothing_without_its_weight(method):
    model = builders.build(method, weight_lr_h=0.0)
    (gradients,) = _gradients(model, builders.images(model), ["L_lr_H"]).values()
    assert all(_size(g) == 0.0 for g in gradients.values())


@pytest.mark.parametrize("batch_norm", ["none", "per_source"])
def test_l_r_has_the_gradient_of_the_plain_autoencoder(batch_norm):
    """The carried gradient equals that of 1/2 |g(f(x)) - x|^2 computed without any trick."""
    model = builders.build("lpga", batch_norm=batch_norm)
    x = builders.images(model)
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        x_hat = model.decoder(model.encoder(x, training=True), training=True)
        plain = tf.reduce_mean(tf.square(x_hat - x), axis=[1, 2, 3])
    expected = tape.gradient(plain, variables)
    with tf.GradientTape() as tape:
        value = _terms(model, x)["L_r"]
    np.testing.assert_allclose(value, plain, rtol=1e-5)
    for received, wanted in zip(tape.gradient(value, variables), expected, strict=True):
        np.testing.assert_allclose(received, wanted, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("method", PGA)
def test_one_tape_equals_separate_losses(method):
    """One scalar with held parameters gives the same gradients as one tape for each loss and network."""
    model = builders.build(method, weight_lr_h=0.5, warmup_steps=0)
    x = builders.images(model)
    weight = {
        "L_lr_N": model.options.weight_lr_n,
        "L_lr_H": 0.5,
        "L_nll_phi": getattr(model.options, "weight_nll", 0.0),
        "L_nll_theta": getattr(model.options, "weight_nll", 0.0),
        "L_vr": getattr(model.options, "weight_vr", 0.0),
        "L_vkl": getattr(model.options, "weight_vkl", 0.0),
    }
    expected = None
    for loss, gradients in _gradients(model, x, ROUTING[method]).items():
        trained = ROUTING[method][loss]
        scaled = [
            np.zeros(v.shape) if g is None or name not in trained else weight.get(loss, 1.0) * g.numpy() / len(x)
            for name, group in gradients.items()
            for g, v in zip(group, model.networks()[name], strict=True)
        ]
        expected = scaled if expected is None else [a + b for a, b in zip(expected, scaled, strict=True)]
    before = builders.weights(model)
    model.train_step(x)
    for old, new, gradient in zip(before, builders.weights(model), expected, strict=True):
        np.testing.assert_allclose(
            old - new, 0.05 * gradient, rtol=2e-3, atol=5e-7
        )  # differences of weights near 0.1 in float32


def test_l_vr_of_lvpga_holds_the_size_of_delta_by_finite_differences():
    """Eq. 16: sigma_phi is trained through h(z + delta') alone, while |delta'| in the denominator is a constant."""
    model = builders.build("lvpga", network="mlp", perturbation_scale=0.3)
    x, dim = builders.images(model), builders.LATENT
    bias = next(v for v in model.encoder.trainable_variables if v.path.endswith("log_variance/bias"))
    start, eps = bias.numpy(), streams.normal([8, dim], "perturbation", seed=0, step=0).numpy()

    def log_size():  # log|delta'|, mean over the batch
        delta = (model.encoder(x)[1].numpy().astype(np.float64) + 0.3) * eps
        return np.log(np.linalg.norm(delta, axis=1)).mean()

    def held_and_free(shift):
        bias.assign(start + shift)
        free = float(tf.reduce_mean(_terms(model, x)["L_vr"]))
        return free + log_size(), free  # held: without the denominator, which does not move

    step = 0.05  # of log sigma^2; float32 values near 1 leave 4 digits of the difference
    (held_up, free_up), (held_down, free_down) = held_and_free(step), held_and_free(-step)
    held, free = (held_up - held_down) / (2 * step), (free_up - free_down) / (2 * step)
    bias.assign(start)
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(_terms(model, x)["L_vr"])
    received = float(tf.reduce_sum(tape.gradient(value, bias)))
    assert received == pytest.approx(held, rel=0.03)
    assert abs(held - free) > 0.3 * abs(held)  # a denominator that trained would be seen
