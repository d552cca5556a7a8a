"""METHODS row by row: each loss trains what its superscript says, and gives exactly zero to everything else."""

import re

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import streams
from pga_tf.core.checks import InputError
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
    "mmd_pga": {
        "L_r": {"encoder", "decoder"},
        "L_lr_N": {"encoder"},
        "L_lr_H": {"encoder"},
        "L_match": {"decoder"},
        "L_code": {"encoder"},
    },
    "adversarial_pga": {
        "L_r": {"encoder", "decoder"},
        "L_lr_N": {"encoder"},
        "L_lr_H": {"encoder"},
        "L_match": {"decoder"},
        "L_code": {"encoder"},
        "L_C": {"code_critic"},
        "L_C2": {"prior_critic"},
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
    "wae": {"L_rec": {"encoder", "decoder"}, "L_mmd": {"encoder"}},
    "soft_intro_vae": {"L_E": {"encoder"}, "L_made": {"encoder"}, "L_rec": {"encoder"}, "L_D": {"decoder"}},
    "age": {"L_e": {"encoder"}, "kl_samples": {"encoder"}, "L_x": {"encoder"}, "L_g": {"decoder"}, "L_z": {"decoder"}},
    "alae": {
        "L_D": {"encoder", "critic"},
        "r1": {"encoder", "critic"},
        "L_G": {"mapping", "decoder"},
        "L_w": {"encoder", "decoder", "mapping"},
    },
}
VARIANTS = {  # name -> (method, options, routing)
    "wae_gan": (
        "wae", {"divergence": "gan"}, {"L_rec": {"encoder", "decoder"}, "L_C": {"critic"}, "L_adv": {"encoder"}},
    ),
    "aae": (
        "wae", {"divergence": "gan", "in_turn": True, "log_prior": False, "weight_pixels": 0.0},
        {"L_rec": {"encoder", "decoder"}, "L_C": {"critic"}, "L_adv": {"encoder"}},
    ),
    "wae_sliced": ("wae", {"divergence": "sliced"}, {"L_rec": {"encoder", "decoder"}, "L_sw": {"encoder"}}),
    "info_vae": (
        "wae", {"stochastic_encoder": True, "weight_kl": 0.5},
        {"L_rec": {"encoder", "decoder"}, "L_mmd": {"encoder"}, "L_kl": {"encoder"}},
    ),
    "intro_vae": ("soft_intro_vae", {"critic_loss": "hinge"}, ROUTING["soft_intro_vae"]),
    "age_released": ("age", {"variance_as_stddev": True, "unit_sphere": True}, ROUTING["age"]),
}  # fmt: skip
PGA = ("lpga", "vpga", "lvpga", "mmd_pga", "adversarial_pga")
OPTIONS = {name: {"weight_lr_h": 1.0} for name in PGA} | {"gan": builders.WGAN_GP}


def _terms(model, x):
    """The losses of step 0; of players that step in turn, all at the weights before."""
    step, draw = tf.constant(0, tf.int64), lambda k: model.normal([8, builders.LATENT], "prior", step, k)
    kind = type(model).__name__
    if kind == "SoftIntroVAE":
        terms, z = model.encoder_terms(x, draw(0), step)
        return terms | model.decoder_terms(x, z, draw(0), step)
    if kind == "AGE":
        return model.encoder_terms(x, draw(0)) | model.decoder_terms(draw(1))
    if kind == "ALAE":
        return model.critic_terms(x, draw(0)) | model.generator_terms(draw(1)) | model.code_terms(draw(2))
    if isinstance(model, Adversarial):
        y = tf.stop_gradient(model.generated(8, step, 0))
        return model.critic_loss(x, y, step, 0)[1] | {"L_G": model.generator_loss(model.generated(8, step, 1))}
    return model.terms(x) if type(model).__name__ == "AE" else model.terms(x, tf.constant(0, tf.int64))


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
@pytest.mark.parametrize("name", [*ROUTING, *VARIANTS])
def test_each_loss_trains_exactly_its_networks(name, batch_norm):
    method, options, routing = VARIANTS.get(name) or (name, OPTIONS.get(name, {}), ROUTING[name])
    model = builders.build(method, batch_norm=batch_norm, **options)
    assert set(model.LOSSES) - {"kl_data", "kl_samples"} <= set(routing)  # those two are parts of others
    for loss, gradients in _gradients(model, builders.images(model), routing).items():
        # exactly: nothing may leak
        assert {network for network, values in gradients.items() if _size(values)} == routing[loss], loss


BOTH = {"encoder", "decoder"}
ABLATIONS = [  # (method, option, whom losses train that the paper routes otherwise)
    ("lpga", {"lr_trains": "both"}, {"L_lr_N": BOTH, "L_lr_H": BOTH}),
    ("lpga", {"nll_trains": "both"}, {"L_nll_theta": BOTH}),
    ("vpga", {"lr_trains": "both"}, {"L_lr_N": BOTH, "L_lr_H": BOTH}),
    ("vpga", {"nll_trains": "both"}, {}),  # L_vr trains both already; see the next test
    ("vpga", {"vr_scale": "fixed"}, {}),
    ("lpga", {"pixel_loss": "l1"}, {}),
    ("lpga", {"pixel_loss": "huber"}, {}),
    ("lpga", {"weight_reconstruction": 0.0}, {}),
]


@pytest.mark.parametrize(
    ("method", "options", "changed"), ABLATIONS, ids=lambda v: v if isinstance(v, str) else "-".join(v)
)
def test_an_ablation_changes_whom_its_own_loss_trains_and_nothing_else(method, options, changed):
    model = builders.build(method, weight_lr_h=1.0, **options)
    for loss, gradients in _gradients(model, builders.images(model), ROUTING[method]).items():
        expected = changed.get(loss, ROUTING[method][loss])
        assert {network for network, values in gradients.items() if _size(values)} == expected, loss


IDLE = [
    ("lpga", {"pixel_loss": "l1", "weight_reconstruction": 0.0}, "--weight_reconstruction above 0"),
    ("vpga", {"lr_trains": "both", "weight_lr_n": 0.0}, "--weight_lr_n or --weight_lr_h above 0"),
    ("lpga", {"nll_trains": "both", "weight_nll": 0.0}, "--weight_nll above 0"),
    ("lvpga", {"nll_trains": "both", "weight_vr": 0.0, "weight_nll": 1.0}, "--weight_vr above 0"),
    ("vpga", {"vr_sigma": 0.5}, "--vr_scale=fixed"),
    ("mmd_pga", {"nll_trains": "both"}, "--code_law=likelihood and --weight_code above 0"),
    ("adversarial_pga", {"pixel_loss": "huber", "weight_reconstruction": 0.0}, "--weight_reconstruction above 0"),
]


@pytest.mark.parametrize(("method", "options", "remedy"), IDLE, ids=str)
def test_an_ablation_that_changes_nothing_is_refused(method, options, remedy):
    with pytest.raises(InputError, match=re.escape(f"leave --{next(iter(options))} out, or add {remedy}.")):
        builders.build(method, **options)


@pytest.mark.parametrize("options", [{}, {"nll_trains": "both"}], ids=["published", "into the encoder"])
@pytest.mark.parametrize("method", ["lpga", "vpga"])
def test_l_r_is_the_plain_autoencoders_with_and_without_held_codes(method, options):
    """Where f(x) is not held under L_nll^theta, L_r reaches it without being carried, and only once."""
    model = builders.build(method, **options)
    x = builders.images(model)
    with tf.GradientTape() as tape:
        codes = model.encoder(x, training=True)
        x_hat = model.decoder(codes[0] if method == "vpga" else codes, training=True)
        plain = tf.reduce_mean(tf.square(x_hat - x), axis=[1, 2, 3])
    expected = tape.gradient(plain, model.trainable_variables)
    with tf.GradientTape() as tape:
        value = _terms(model, x)["L_r"]
    for received, wanted in zip(tape.gradient(value, model.trainable_variables), expected, strict=True):
        if wanted is not None:
            np.testing.assert_allclose(received, wanted, rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("method", ["vpga", "lvpga"])
def test_l_vr_into_the_encoder_trains_means_too(method):
    model = builders.build(method, nll_trains="both")
    mean = [v for v in model.encoder.trainable_variables if "mean" in v.path]
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(_terms(model, builders.images(model))["L_vr"])
    assert mean
    assert _size(tape.gradient(value, mean)) > 0.0


def test_without_l_r_everything_else_trains_from_the_first_step():
    model = builders.build("lpga", weight_reconstruction=0.0, warmup_steps=100, weight_nll=0.5, weight_lr_n=0.25)
    x = builders.images(model)
    losses = {name: float(tf.reduce_mean(value)) for name, value in _terms(model, x).items()}
    expected = 0.25 * losses["L_lr_N"] + 0.5 * (losses["L_nll_phi"] + losses["L_nll_theta"])
    assert float(model.train_step(x)["loss"]) == pytest.approx(expected, rel=1e-5)
    half = builders.build("lpga", weight_reconstruction=0.5, warmup_steps=100)
    assert float(half.train_step(x)["loss"]) == pytest.approx(0.5 * losses["L_r"], rel=1e-5)


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
        "L_match": getattr(model.options, "weight_match", 0.0),
        "L_code": getattr(model.options, "weight_code", 0.0),
    }
    expected, state = None, [v.numpy() for v in model.non_trainable_variables]
    for loss, gradients in _gradients(model, x, ROUTING[method]).items():
        trained = ROUTING[method][loss]
        scaled = [
            np.zeros(v.shape) if g is None or name not in trained else weight.get(loss, 1.0) * g.numpy() / len(x)
            for name, group in gradients.items()
            for g, v in zip(group, model.networks()[name], strict=True)
        ]
        expected = scaled if expected is None else [a + b for a, b in zip(expected, scaled, strict=True)]
    for variable, value in zip(model.non_trainable_variables, state, strict=True):
        variable.assign(value)  # the passes have moved the power iteration of spectral critics
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
