"""Where one method becomes another: the limits of Eq. 16, and the bound of Proposition 1 on a real network."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import methods, networks
from pga_tf.core import streams
from pga_tf.methods import adversarial_pga, jacobian, perceptual
from pga_tf.objectives import pga
from tests.methods import builders


def test_lvpga_becomes_lpga_when_sigma_goes_to_0():
    """Eq. 16 with g' = g and eta = 0 equals Eq. 9 as sigma_phi approaches 0, where delta' is eps * noise."""
    lpga = builders.build("lpga", perturbation="gaussian", warmup_steps=0)
    lvpga = builders.build(
        "lvpga", weight_vr=1.5e-2, weight_nll=1.5e-2, weight_vkl=0.0, perturbation_scale=1e-2, warmup_steps=0
    )
    for mine, other in ((lvpga.decoder, lpga.decoder), (lvpga.encoder, lpga.encoder)):
        own = [v for v in mine.trainable_variables if "stddev" not in v.path and "variance" not in v.path]
        for variable, value in zip(own, other.trainable_variables, strict=True):
            variable.assign(value)
    for variable in lvpga.encoder.trainable_variables:
        if "stddev" in variable.path or "variance" in variable.path:
            variable.assign(tf.fill(variable.shape, -60.0 if variable.shape.rank == 1 else 0.0))  # sigma_phi -> 0
    x = builders.images(lpga)
    # float32 differences of h at a distance of 1e-2 carry a relative error near 1e-4
    assert abs(float(lvpga.train_step(x)["loss"]) - float(lpga.train_step(x)["loss"])) < 1e-3
    for variable, value in zip(lvpga.decoder.trainable_variables, lpga.decoder.trainable_variables, strict=True):
        np.testing.assert_allclose(variable, value, atol=1e-5)


@pytest.mark.parametrize("method", ["mmd_pga", "adversarial_pga"])
def test_without_matching_and_by_likelihood_a_matched_method_is_lpga(method):
    matched = builders.build(
        method, code_law="likelihood", weight_match=0.0, weight_code=0.3, warmup_steps=1, batch_norm="per_source"
    )
    lpga = builders.build("lpga", weight_nll=0.3, warmup_steps=1, batch_norm="per_source")
    for step in range(3):
        x = builders.images(lpga, seed=step)
        logs, expected = matched.train_step(x), lpga.train_step(x)
        np.testing.assert_allclose(logs["loss"], expected["loss"], rtol=1e-6)
    for role in ("encoder", "decoder"):
        for received, wanted in zip(matched.networks()[role], lpga.networks()[role], strict=True):
            np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", ["mmd_pga", "adversarial_pga"])
def test_without_any_matching_a_matched_method_is_an_autoencoder_with_l_lr(method):
    none = builders.build(method, weight_match=0.0, weight_code=0.0, weight_lr_n=0.5, warmup_steps=0)
    lpga = builders.build("lpga", weight_nll=0.0, weight_lr_n=0.5, warmup_steps=0)
    x = builders.images(lpga)
    none.train_step(x)
    lpga.train_step(x)
    for role in ("encoder", "decoder"):
        for received, wanted in zip(none.networks()[role], lpga.networks()[role], strict=True):
            np.testing.assert_allclose(received, wanted, rtol=0, atol=1e-6)


class Linear:
    """A critic C(z) = c'z of codes `[B, 3]`, with a Keras network's face."""

    def __init__(self, c):
        self.c = keras.Variable(c[:, np.newaxis])
        self.trainable_variables, self.non_trainable_variables = [self.c], []

    def __call__(self, codes, training=False):
        return codes @ self.c

    def stateless_call(self, constants, state, codes, training=False):
        return codes @ constants[0], state


def test_hinge_losses_of_codes_are_those_of_a_linear_critic_by_hand():
    rng = np.random.default_rng(0)
    c, r, q = (rng.normal(size=shape).astype(np.float32) for shape in ((3,), (8, 3), (8, 3)))
    critic, generated = Linear(c), tf.Variable(q)
    with tf.GradientTape(persistent=True) as tape:
        l_c, fooled, margin = adversarial_pga._against(critic, tf.constant(r), generated)
    np.testing.assert_allclose(l_c, np.maximum(1 - r @ c, 0) + np.maximum(1 + q @ c, 0), rtol=1e-5)
    np.testing.assert_allclose(fooled, -(q @ c), rtol=1e-5)
    np.testing.assert_allclose(margin, (r - q) @ c, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(fooled, generated), np.tile(-c, (8, 1)), rtol=1e-6)
    assert tape.gradient(fooled, critic.c.value) is None
    assert tape.gradient(l_c, generated) is None
    slope = -(r * (r @ c < 1)[:, None]).sum(axis=0) + (q * (q @ c > -1)[:, None]).sum(axis=0)
    np.testing.assert_allclose(tape.gradient(l_c, critic.c.value)[:, 0], slope, rtol=1e-4, atol=1e-5)


def test_lvpga_without_code_nll_has_the_form_of_vpga():
    """Eq. 16 with g = 0: the same terms as Eq. 13, all equal but L_vr, whose law differs."""
    lvpga, vpga = builders.build("lvpga", perturbation_scale=1e-4), builders.build("vpga")
    for variable, value in zip(lvpga.trainable_variables, vpga.trainable_variables, strict=True):
        variable.assign(value)
    x = builders.images(vpga)
    step = tf.constant(0, tf.int64)
    left, right = lvpga.terms(x, step), vpga.terms(x, step)
    for name in ("L_r", "L_lr_N", "L_lr_H", "L_vkl"):
        np.testing.assert_allclose(left[name], right[name], rtol=1e-4)
    # L_vr of both from the same passes, by hand
    z_n, eps = (streams.normal([8, builders.LATENT], use, seed=0, step=0) for use in ("prior", "perturbation"))
    scaled = lambda eps, stddev: stddev * eps
    p = perceptual.forward(vpga.encoder, vpga.decoder, x, z_n, eps, perturb=scaled, options=vpga.options)
    moved, delta = (p.h - p.h_pert).numpy(), p.delta.numpy()
    rms = np.sqrt((p.z.numpy() ** 2).mean(axis=0))
    np.testing.assert_allclose(right["L_vr"], ((moved / rms) ** 2).mean(axis=1), rtol=1e-4)
    fixed = builders.build("vpga", vr_scale="fixed", vr_sigma=0.5)  # of the same weights
    np.testing.assert_allclose(fixed.terms(x, step)["L_vr"], ((moved / 0.5) ** 2).mean(axis=1), rtol=1e-4)
    log_ratio = 0.5 * np.log((moved**2).sum(axis=1) / (delta**2).sum(axis=1))
    np.testing.assert_allclose(left["L_vr"], log_ratio, atol=1e-3)  # delta differs by a thousandth


def test_lvpga_perturbs_by_sigma_and_eps_and_has_sigma_alone_in_its_posterior():
    """As released; with sigma_phi and eps both near 0.1 their root of squares would move codes by 0.7 as much."""
    model = builders.build("lvpga", perturbation_scale=0.1)
    x, step = builders.images(model), tf.constant(0, tf.int64)
    mean, sigma = (value.numpy().astype(np.float64) for value in model.encoder(x))
    noise = streams.normal([8, builders.LATENT], "perturbation", seed=0, step=0).numpy().astype(np.float64)
    delta = (sigma + 0.1) * noise
    mapped = lambda z: np.asarray(model.encoder(model.decoder(np.float32(z)))[0], np.float64)
    h, h_pert = mapped(mean), mapped(mean + delta)
    received = model.terms(x, step)
    log_ratio = 0.5 * np.log(((h_pert - h) ** 2).sum(axis=1) / (delta**2).sum(axis=1))
    np.testing.assert_allclose(received["L_vr"], log_ratio, atol=2e-4)  # float32 differences of h
    divergence = 0.5 * (mean**2 + sigma**2 - 1 - np.log(sigma**2)).mean(axis=1)
    np.testing.assert_allclose(received["L_vkl"], divergence, rtol=1e-5)
    np.testing.assert_allclose(model.posterior(x).stddev(), sigma, rtol=1e-6)


@pytest.mark.parametrize("kind", ["sphere", "gaussian"])
def test_proposition_1_holds_on_a_network(kind):
    options = networks.NetworkOptions(network="mlp", latent_dim=3, filters=64)
    model = methods.build("lpga", methods.LPGA.Options(), options, (4, 4, 1))
    codes = tf.random.stateless_normal([16, 3], seed=[0, 1])
    with tf.GradientTape() as tape:
        tape.watch(codes)
        mapped = jacobian.h(model, codes)
    matrices = tape.batch_jacobian(mapped, codes).numpy()
    exact = jacobian.log_det_exact(model, codes).numpy()
    np.testing.assert_allclose(exact, np.linalg.slogdet(matrices)[1], atol=0.02)

    repeated = tf.repeat(codes, 64, axis=0)  # 64 estimates at each code, each with noise of its own
    bound = jacobian.log_det_bound(model, repeated, scale=1e-3, kind=kind, draws=16).numpy().reshape(16, 64)
    bound, error = bound.mean(axis=1), bound.std(axis=1) / 64**0.5
    assert np.all(exact + 4 * error < bound)
    # and the bound is the mean of H/2 log |J u|^2 over directions u
    directions = np.random.default_rng(0).normal(size=(20000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    stretched = np.square(directions @ matrices.transpose(0, 2, 1)).sum(axis=2)
    np.testing.assert_array_less(np.abs(bound - 1.5 * np.log(stretched).mean(axis=1)), 4 * error + 0.02)


def test_exact_log_det_equals_forward_mode():
    model = builders.build("lpga", network="mlp", shape=(4, 4, 1))
    code = tf.random.stateless_normal([1, builders.LATENT], seed=[0, 2])
    columns = []
    for unit in np.eye(builders.LATENT, dtype=np.float32)[:, None]:
        with tf.autodiff.ForwardAccumulator(code, tf.constant(unit)) as forward:
            mapped = jacobian.h(model, code)
        columns.append(forward.jvp(mapped)[0])
    expected = np.linalg.slogdet(np.stack(columns))[1]
    np.testing.assert_allclose(jacobian.log_det_exact(model, code)[0], expected, atol=0.02)


def test_sphere_perturbation_has_its_published_radius():
    delta = pga.perturbation(tf.random.stateless_normal([4, 12], seed=[0, 3]), 1e-2, "sphere")
    np.testing.assert_allclose(tf.norm(delta, axis=1), 1e-2 * np.sqrt(12), rtol=1e-5)
