"""Where one method becomes another: the limits of Eq. 16, and the bound of Proposition 1 on a real network."""

import numpy as np
import tensorflow as tf

from pga_tf.methods import latent_map, perceptual
from pga_tf.objectives import pga
from tests.methods import builders


def test_lvpga_becomes_lpga_when_sigma_goes_to_eps():
    """Eq. 16 with g' = g and eta = 0 equals Eq. 9 as sigma_phi approaches eps."""
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
            variable.assign(tf.fill(variable.shape, -60.0 if variable.shape.rank == 1 else 0.0))  # s -> 0
    x = builders.images(lpga)
    # float32 differences of h at a distance of 1e-2 carry a relative error near 1e-4
    assert abs(float(lvpga.train_step(x)["loss"]) - float(lpga.train_step(x)["loss"])) < 1e-3
    for variable, value in zip(lvpga.decoder.trainable_variables, lpga.decoder.trainable_variables, strict=True):
        np.testing.assert_allclose(variable, value, atol=1e-5)


def test_lvpga_without_code_nll_has_the_form_of_vpga():
    """Eq. 16 with g = 0: the same terms as Eq. 13, all equal but L_vr, whose law differs."""
    lvpga, vpga = builders.build("lvpga", perturbation_scale=1e-4), builders.build("vpga")
    for variable, value in zip(lvpga.trainable_variables, vpga.trainable_variables, strict=True):
        variable.assign(value)
    x = builders.images(vpga)
    left, right = lvpga.terms(x), vpga.terms(x)
    for name in ("L_r", "L_lr_N", "L_lr_H", "L_vkl"):
        np.testing.assert_allclose(left[name], right[name], rtol=1e-4)
    # L_vr of both from the same passes, by hand
    p = perceptual.forward(vpga, x, perturb=lambda eps, stddev: stddev * eps, with_l_lr_h=False)
    moved, delta = (p.h - p.h_pert).numpy(), p.delta.numpy()
    rms = np.sqrt((p.z.numpy() ** 2).mean(axis=0))
    np.testing.assert_allclose(right["L_vr"], ((moved / rms) ** 2).mean(axis=1), rtol=1e-4)
    log_ratio = 0.5 * np.log((moved**2).sum(axis=1) / (delta**2).sum(axis=1))
    np.testing.assert_allclose(left["L_vr"], log_ratio, atol=1e-3)  # sigma_phi differs by eps^2 alone


def test_proposition_1_holds_on_a_network():
    model = builders.build("lpga", network="mlp", shape=(1, 1, 2))
    codes = tf.random.stateless_normal([16, builders.LATENT], seed=[0, 1])
    exact = latent_map.log_det_exact(model, codes).numpy()
    bound = latent_map.log_det_bound(model, codes, 1e-2, draws=512).numpy()
    assert np.all(np.isfinite(bound))
    assert np.all(exact < bound)  # three latent dimensions through two: the determinant is (near) zero


def test_exact_log_det_equals_forward_mode():
    model = builders.build("lpga", network="mlp", shape=(4, 4, 1))
    code = tf.random.stateless_normal([1, builders.LATENT], seed=[0, 2])
    columns = []
    for unit in np.eye(builders.LATENT, dtype=np.float32)[:, None]:
        with tf.autodiff.ForwardAccumulator(code, tf.constant(unit)) as forward:
            mapped = latent_map.h(model, code)
        columns.append(forward.jvp(mapped)[0])
    expected = np.linalg.slogdet(np.stack(columns))[1]
    np.testing.assert_allclose(latent_map.log_det_exact(model, code)[0], expected, atol=0.02)


def test_sphere_perturbation_has_its_published_radius():
    delta = pga.perturbation(tf.random.stateless_normal([4, 12], seed=[0, 3]), 1e-2, "sphere")
    np.testing.assert_allclose(tf.norm(delta, axis=1), 1e-2 * np.sqrt(12), rtol=1e-5)
