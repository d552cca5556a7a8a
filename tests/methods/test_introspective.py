"""Steps of Soft-IntroVAE, IntroVAE, AGE and ALAE against their papers written out with plain tapes, one per player.

Nothing is held here: each player's loss is differentiated by that player's variables alone, on images and targets that
are NumPy arrays where the paper holds them, and the next player sees the weights that the last one left.
"""

import numpy as np
import pytest
import tensorflow as tf
from keras import Sequential, layers

from pga_tf.core import streams
from pga_tf.core.checks import CollapseError, InputError
from pga_tf.methods import METHODS, soft_intro_vae
from pga_tf.training import loop
from tests.methods import builders
from tests.training import helpers

RATE, DIM, PIXELS = 0.05, builders.LATENT, 64
ROOT = np.float32(np.sqrt(DIM))


def noise(use, substep=0):
    return streams.normal([8, DIM], use, seed=0, step=0, substep=substep).numpy()


def square(x):
    return tf.reduce_sum(tf.square(x), axis=[1, 2, 3])


def kl(moments):
    mean, stddev = moments
    return tf.reduce_sum(0.5 * (mean**2 + stddev**2 - 1.0 - tf.math.log(stddev**2)), axis=1)


def descend(loss, *networks):
    """One step of SGD on the mean of `loss()` by the variables of `networks`."""
    variables = [v for network in networks for v in network.trainable_variables]
    with tf.GradientTape() as tape:
        value = tf.reduce_mean(loss())
    for variable, gradient in zip(variables, tape.gradient(value, variables), strict=True):
        variable.assign_sub(RATE * gradient)
    return float(value)


def assert_one_step_is(paper, method, **options):
    """A step of `method` leaves the weights and reports the losses that `paper(model, images)` does."""
    model, twin = (builders.build(method, network="mlp", **options) for _ in range(2))
    x = builders.images(model)
    before = builders.weights(model)
    logs, expected = model.train_step(x), paper(twin, x)
    for old, new, wanted in zip(before, builders.weights(model), builders.weights(twin), strict=True):
        np.testing.assert_allclose(new - old, wanted - old, rtol=2e-3, atol=2e-6)
    for name, value in expected.items():
        assert float(logs[name]) == pytest.approx(value, rel=1e-4), name


def soft(model, x):
    s, (b_rec, b_kl, b_neg, gamma_r) = 1.0 / PIXELS, (0.7, 0.5, 8.0, 0.3)
    f, g, z_n, eps = model.encoder, model.decoder, noise("prior"), [noise("posterior", k) for k in range(5)]
    z = (lambda mean, stddev: mean + stddev * eps[0])(*f(x)).numpy()
    x_r, x_p = g(z).numpy(), g(z_n).numpy()

    def l_e():
        mean, stddev = f(x)
        value = s * (b_rec * square(x - g(mean + stddev * eps[0])) + b_kl * kl((mean, stddev)))
        for made, e in ((x_r, eps[1]), (x_p, eps[2])):
            mean, stddev = f(made)
            error = square(made - g(mean + stddev * e))
            value += 0.25 * tf.exp(-2.0 * s * (b_rec * error + b_neg * kl((mean, stddev))))
        return value

    def l_d():
        value = b_rec * square(x - g(z)) + b_kl / 2.0 * (kl(f(g(z))) + kl(f(g(z_n))))
        for made, e in ((x_r, eps[3]), (x_p, eps[4])):
            mean, stddev = (moment.numpy() for moment in f(made))
            value += gamma_r * b_rec / 2.0 * square(made - g(mean + stddev * e))
        return s * value

    logs = {"kl_data": float(tf.reduce_mean(kl(f(x)))), "kl_samples": float(tf.reduce_mean(kl(f(x_p))))}
    logs["kl_gap"] = logs["kl_samples"] - logs["kl_data"]
    return logs | {"L_E": descend(l_e, f), "L_D": descend(l_d, g)}


def hinge(model, x):
    w_rec, w_kl, w_neg, m = 0.7, 0.5, 0.8, 9.0
    f, g, z_n, eps = model.encoder, model.decoder, noise("prior"), noise("posterior")
    z = (lambda mean, stddev: mean + stddev * eps)(*f(x)).numpy()
    x_r, x_p = g(z).numpy(), g(z_n).numpy()
    assert max(float(tf.reduce_mean(kl(f(made)))) for made in (x_r, x_p)) < m  # both hinges are alive

    def l_e():
        mean, stddev = f(x)
        made = sum(tf.nn.relu(m - tf.reduce_mean(kl(f(images)))) for images in (x_r, x_p))
        bound = w_rec * square(x - g(mean + stddev * eps)) + w_kl * kl((mean, stddev))
        return (bound + w_kl * w_neg / 2.0 * made) / PIXELS  # trained in these units

    def l_d():
        return (w_rec * square(x - g(z)) + w_kl / 2.0 * (kl(f(g(z))) + kl(f(g(z_n))))) / PIXELS

    return {"L_E": PIXELS * descend(l_e, f), "L_D": PIXELS * descend(l_d, g)}


def test_soft_intro_vaes_step_is_the_papers():
    assert_one_step_is(soft, "soft_intro_vae", weight_rec=0.7, weight_kl=0.5, weight_neg=8.0, weight_made_rec=0.3)


def test_intro_vaes_step_is_the_papers():
    options = {"weight_rec": 0.7, "weight_kl": 0.5, "weight_neg": 0.8, "hinge_margin": 9.0}
    assert_one_step_is(hinge, "soft_intro_vae", critic_loss="hinge", **options)


@pytest.mark.parametrize("critic_loss", ["soft", "hinge"])
def test_the_first_steps_are_a_plain_vaes_and_the_next_one_is_not(critic_loss):
    """Encoder first and decoder second is one step of both: neither loss of a VAE is changed by the other's update."""
    options = {"network": "mlp", "critic_loss": critic_loss, "weight_neg": 1.0}
    model, twin = (builders.build("soft_intro_vae", vae_steps=1, **options) for _ in range(2))
    x = builders.images(model)
    f, g, eps = twin.encoder, twin.decoder, noise("posterior")

    def bound():
        mean, stddev = f(x)
        return (square(x - g(mean + stddev * eps)) + kl((mean, stddev))) / PIXELS

    descend(bound, f, g)
    model.train_step(x)
    for new, wanted in zip(builders.weights(model), builders.weights(twin), strict=True):
        np.testing.assert_allclose(new, wanted, atol=2e-6)
    adversarial = builders.build("soft_intro_vae", **options)
    adversarial.train_step(x)
    changes = [np.abs(a - b).max() for a, b in zip(builders.weights(adversarial), builders.weights(twin), strict=True)]
    assert max(changes) > 1e-4


@pytest.mark.parametrize("quirk", ["none", "variance_as_stddev", "unit_sphere", "cosine_over_dimensions"])
def test_ages_step_is_the_papers_and_each_quirk_the_released_codes(quirk):
    def divergence(codes):
        codes = codes / ROOT if quirk == "unit_sphere" else codes
        m, v = tf.nn.moments(codes, axes=[0])
        spread, log_stddev = (v**2, tf.math.log(v)) if quirk == "variance_as_stddev" else (v, 0.5 * tf.math.log(v))
        return tf.reduce_mean((m**2 + spread) / 2.0 - log_stddev - 0.5)

    def paper(model, x):
        f, g = model.encoder, model.decoder
        on_sphere = lambda v: v / np.linalg.norm(v, axis=1, keepdims=True) * ROOT
        u = [on_sphere(noise("prior", k)) for k in range(3)]
        made = g(u[0]).numpy()
        w_z = 6.0 / DIM if quirk == "cosine_over_dimensions" else 6.0

        def l_e():
            z = f(x)
            return divergence(z) - divergence(f(made)) + 4.0 * tf.reduce_mean(tf.abs(x - g(z)))

        def l_g(u):
            z = f(g(u))
            cosine = tf.reduce_sum(u * z, axis=1) / tf.norm(u, axis=1) / tf.norm(z, axis=1)
            return divergence(z) + w_z * (1.0 - cosine)

        gap = float(divergence(f(made)) - divergence(f(x)))
        logs = {"kl_gap": gap, "L_e": descend(l_e, f)}
        return logs | {"L_g": [descend(lambda u=u[k]: l_g(u), g) for k in (1, 2)][-1]}

    options = {} if quirk == "none" else {quirk: True}
    assert_one_step_is(paper, "age", weight_x=4.0, weight_z=6.0, decoder_updates=2, **options)


def test_alaes_step_is_the_papers():
    softplus = tf.math.softplus

    def paper(model, x):
        e, g, f, d = model.encoder, model.decoder, model.mapping, model.critic
        u = [noise("prior", k) for k in range(3)]
        made = g(f(u[0])).numpy()

        def l_d():
            with tf.GradientTape() as tape:
                tape.watch(x)
                real = d(e(x))
            r1 = square(tape.gradient(real, x))
            return (softplus(d(e(made))) + softplus(-real))[:, 0] + 3.0 / 2.0 * r1

        def l_w():
            w = f(u[2])
            return 0.5 * tf.reduce_mean(tf.square(w.numpy() - e(g(w))), axis=1)

        margin = float(tf.reduce_mean(d(e(x)) - d(e(made))))
        logs = {"margin": margin, "L_D": descend(l_d, e, d)}
        logs["L_G"] = descend(lambda: softplus(-d(e(g(f(u[1]))))), f, g)
        return logs | {"L_w": descend(l_w, e, g, f) / 0.5}

    options = {"mapping_width": 8, "mapping_depth": 1, "critic_width": 8, "critic_depth": 1}
    assert_one_step_is(paper, "alae", r1_gamma=3.0, weight_code=0.5, **options)


def test_alaes_encoder_has_no_batch_norm_and_a_users_own_with_one_is_refused():
    model = builders.build("alae", batch_norm="per_source")
    assert not any("norm" in v.path for v in model.encoder.variables)
    assert any("norm" in v.path for v in model.decoder.variables)
    encoder = Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.BatchNormalization(), layers.Dense(2)])
    decoder = Sequential([layers.Input((2,)), layers.Dense(64, "tanh"), layers.Reshape((8, 8, 1))])
    mapping, critic = (Sequential([layers.Input((2,)), layers.Dense(n)]) for n in (2, 1))
    with pytest.raises(InputError, match=r"encoder: expected a model without batch norm.*Remedy: leave that out"):
        METHODS.get("alae")(encoder, decoder, mapping, critic)
    plain = Sequential([layers.Input((8, 8, 1)), layers.Flatten(), layers.Dense(2)])
    with pytest.raises(InputError, match=r"mapping: expected vectors of 2 .*received \(2, 1\).*a Dense\(2\)"):
        METHODS.get("alae")(plain, decoder, critic, critic)


# (method, options, what is reported, steps until that is believed, what is told, remedy); None: nothing is told
COLLAPSES = [
    (
        "soft_intro_vae",
        {"critic_loss": "hinge"},
        {"kl_samples": 1.3e4, "kl_data": 1.0},
        1_001,
        "far above",
        "--vae_steps",
    ),
    ("soft_intro_vae", {"critic_loss": "hinge"}, {"kl_samples": 1.1e4, "kl_data": 1.0}, 1_001, None, None),
    ("soft_intro_vae", {}, {"kl_samples": 4.0, "kl_data": 9.0}, 20_001, "lies below kl_data, 9", "--weight_neg"),
    ("soft_intro_vae", {}, {"kl_samples": 6.0, "kl_data": 9.0}, 20_001, None, None),
    ("age", {}, {"kl_samples": 5.1, "kl_data": 0.1}, 1_001, "all samples are one: kl_samples is 5.1", "--weight_z"),
    ("age", {}, {"kl_samples": 0.1, "kl_data": 5.1}, 1_001, "all images are one: kl_data is 5.1", "--weight_z"),
    ("age", {"unit_sphere": True}, {"kl_samples": 6.0, "kl_data": 6.0}, 1_001, None, None),
    ("alae", {}, {"margin": 51.0}, 1_001, "the critic has won", "--r1_gamma"),
    ("alae", {}, {"margin": 49.0}, 1_001, None, None),
]


@pytest.mark.parametrize(("method", "options", "values", "step", "told", "remedy"), COLLAPSES)
def test_a_game_that_is_lost_is_told_in_a_sentence_once_it_has_settled(method, options, values, step, told, remedy):
    model = builders.build(method, network="mlp", **options)
    if "kl_samples" in values:
        values = values | {"kl_gap": values["kl_samples"] - values["kl_data"]}
    found = model.collapse(values, step)
    if told is None:
        assert found is None
        return
    assert told in found
    assert remedy in found.partition(". Remedy: ")[2]
    assert model.collapse(values, step - 1) is None


def test_a_plain_vaes_steps_are_no_game():
    model = builders.build("soft_intro_vae", network="mlp", critic_loss="hinge", vae_steps=500)
    assert model.collapse({"kl_samples": 1e9}, 1_500) is None
    assert model.collapse({"kl_samples": 1e9}, 1_501)


@pytest.mark.slow
def test_a_run_that_explodes_stops_with_that_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(soft_intro_vae, "SETTLED", 4)
    config = helpers.config(
        tmp_path, method="soft_intro_vae", network="mlp", critic_loss="hinge", hinge_margin=1e-4, steps=12
    )
    message = r"^Training stopped: at step 5 kl_samples is .* far above --hinge_margin=0.0001.* checkpoint is .*step-4"
    with pytest.raises(CollapseError, match=message) as raised:
        loop.train(config, out=str)
    assert str(raised.value).count("Remedy: ") == 1
