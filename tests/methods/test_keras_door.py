"""Methods as Keras users meet them: own networks, arrays, callbacks, files; and what they are refused with."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import pga_tf
from pga_tf.core import interfaces
from pga_tf.core.checks import InputError
from pga_tf.methods import METHODS
from pga_tf.networks import Critic, Encoder, Mapping
from tests.methods import builders

L = keras.layers
SHIPPED = [name for name in METHODS.names() if not name.startswith("toy_")]
SHAPE = (8, 8, 1)
OPTIONS = {"adversarial_pga": {"critic_norm": "none"}}  # a user's own kernels are not divided by their norms


def digits(count=48, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *SHAPE), np.uint8)


def encoder(outputs=1, latent=3, shape=SHAPE, norm=False):
    images = keras.Input(shape)
    hidden = L.Dense(16)(L.Flatten()(images))
    hidden = L.Activation("relu")(L.BatchNormalization()(hidden) if norm else hidden)
    codes = [L.Dense(latent)(hidden), L.Dense(latent, "softplus")(hidden), L.Dense(latent)(hidden)][:outputs]
    return keras.Model(images, codes[0] if outputs == 1 else codes)


def decoder(latent=3, shape=SHAPE, last="tanh"):
    codes = keras.Input((latent,))
    pixels = L.Dense(int(np.prod(shape)), last)(L.Dense(16, "relu")(codes))
    return keras.Model(codes, L.Reshape(shape)(pixels))


def critic():
    images = keras.Input(SHAPE)
    return keras.Model(images, L.Dense(1)(L.Dense(16, "relu")(L.Flatten()(images))))


def of_users(name, **options):
    """A method on networks that a user would write."""
    kind, options = METHODS.get(name), OPTIONS.get(name, {}) | options
    made = {}
    for role, spec in kind.roles(kind.Options(**options)).items():
        if isinstance(spec, Encoder):
            made[role] = encoder(2 if spec.stochastic else 1)
        elif isinstance(spec, Critic) and spec.output != "logit":
            code = encoder()
            made[role] = keras.Model(code.input, decoder(last=spec.output)(code.output))
        elif isinstance(spec, Mapping) or getattr(spec, "of", "") == "codes":
            codes = keras.Input((3,))
            made[role] = keras.Model(codes, L.Dense(3 * spec.outputs if isinstance(spec, Mapping) else 1)(codes))
        else:
            made[role] = critic() if isinstance(spec, Critic) else decoder()
    return kind(**made, **options)


AT_ALL_TIMES = ("lpga", "vae", "prior_free", "gan")  # one of each kind; `slow` has the others


@pytest.mark.parametrize(
    "name", [name if name in AT_ALL_TIMES else pytest.param(name, marks=pytest.mark.slow) for name in SHIPPED]
)
def test_a_users_script(name, tmp_path):
    keras.utils.set_random_seed(0)
    model = of_users(name)
    assert (model.latent_dim, model.image_shape) == (3, SHAPE)
    model.compile("adam")
    stop = keras.callbacks.EarlyStopping("loss", patience=5)
    keep = keras.callbacks.ModelCheckpoint(str(tmp_path / "kept.keras"))
    history = model.fit(
        digits(), validation_data=digits(16, seed=1), epochs=2, batch_size=16, verbose=0, callbacks=[stop, keep]
    ).history
    assert {"loss", "val_loss", *model.LOSSES} <= history.keys()
    assert np.isfinite([history["loss"], history["val_loss"]]).all()
    assert history["loss"] == history[model.TOTAL]
    assert 0.0 not in [*history["loss"], *history["val_loss"]]
    assert int(model.step) == 6
    found = model.evaluate(digits(16, seed=1), verbose=0, return_dict=True)
    assert found["loss"] == pytest.approx(history["val_loss"][-1], rel=1e-4)  # nothing moved by looking
    given = served = digits(4) if isinstance(model, interfaces.Encodes) else np.eye(4, 3, dtype=np.float32)
    restored = model.predict(given, verbose=0)
    if isinstance(model, interfaces.Encodes):
        served = model.in_training_range(given)
        np.testing.assert_allclose(restored, model.reconstruct(served), atol=1e-5)
    else:
        np.testing.assert_allclose(restored, model.decode(given), atol=1e-5)
    np.testing.assert_allclose(model(given), restored, atol=1e-5)

    model.save(tmp_path / "m.keras")
    for path in ("m.keras", "kept.keras"):
        loaded = keras.models.load_model(tmp_path / path)
        np.testing.assert_array_equal(loaded.predict(given, verbose=0), restored)
    assert int(loaded.step) == 6
    assert loaded.optimizers.keys() == model.optimizers.keys()
    model.export(tmp_path / "served", verbose=False)
    archive = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(archive.serve(served), restored, atol=1e-5)
    if model.PRIOR is None:
        with pytest.raises(InputError, match=rf"{type(model).__name__}.sample: expected a method with a prior"):
            model.sample(2)
    else:
        samples = model.sample(5, seed=3)
        assert (samples.shape, samples.dtype) == ((5, *SHAPE), np.uint8)
        np.testing.assert_array_equal(loaded.sample(5, seed=3), samples)
        np.testing.assert_array_equal(model.sample(2, seed=3, start=2), samples[2:4])
        np.testing.assert_array_equal(builders.drawing(model).samples(5, seed=3), samples)  # as a run would draw


def test_a_loaded_model_goes_on_as_the_saved_one(tmp_path):
    """Optimisers, clock and weights are all there: the next epochs are equal bit for bit."""
    model = of_users("lpga", warmup_steps=0)
    model.compile(keras.optimizers.Adam(1e-2))
    fit = lambda m: m.fit(digits(32), batch_size=16, epochs=2, shuffle=False, verbose=0)
    fit(model)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    fit(model)
    fit(loaded)
    for a, b in zip(model.trainable_variables, loaded.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert int(loaded.step) == 8


def test_networks_of_the_package_are_saved_by_name(tmp_path):
    model = builders.build("prior_free", batch_norm="per_source")
    model.train_step(builders.images(model))
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    x = builders.images(model)
    np.testing.assert_array_equal(loaded.encode(x), model.encode(x))  # running statistics too


def test_uint8_and_floats_train_alike():
    models = [of_users("vae") for _ in range(2)]
    models[1].set_weights(models[0].get_weights())
    images = digits(32)
    for model, given in zip(models, (images, images.astype(np.float32) / 127.5 - 1.0), strict=True):
        model.compile("sgd")
        model.fit(given, batch_size=16, shuffle=False, verbose=0)
    for a, b in zip(models[0].get_weights(), models[1].get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_batch_norm_of_a_users_network_sees_no_two_sources_together():
    network = encoder(norm=True)
    model = pga_tf.LPGA(network, decoder(), warmup_steps=0)
    x = np.float32(np.random.default_rng(0).uniform(-1, 1, (8, *SHAPE)))
    apart = [network(part, training=True).numpy() for part in (x, 0.1 * x)]
    together = model.encoder(tf.concat([x, 0.1 * x], axis=0), sources=("data", "samples"), training=True)
    np.testing.assert_allclose(together, np.concatenate(apart), atol=1e-5)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.flat, self.head = L.Flatten(), L.Dense(3)

    def call(self, images):
        return self.head(self.flat(images))


def test_subclassed_networks_and_vectors_are_taken():
    assert pga_tf.AE(Subclassed(), decoder(), image_shape=SHAPE).latent_dim == 3
    called = Subclassed()
    called(np.zeros([1, *SHAPE], np.float32))
    assert pga_tf.AE(called, decoder()).image_shape == SHAPE
    with pytest.raises(InputError, match="input shape is known, received one that was never called"):
        pga_tf.AE(Subclassed(), decoder())
    table = pga_tf.VAE(encoder(2, shape=(5,)), decoder(shape=(5,)))
    table.compile("adam")
    rows = np.float32(np.random.default_rng(0).uniform(-1, 1, (32, 5)))
    assert np.isfinite(table.fit(rows, verbose=0).history["loss"]).all()
    assert table.sample(4).shape == (4, 5)


FLOATS = digits().astype(np.float32) / 127.5 - 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pga_tf.VAE(encoder(1), decoder()), "encoder: expected two outputs .* received one output"),
        (lambda: pga_tf.LPGA(encoder(2), decoder()), "encoder: expected one output, the codes, received 2"),
        (lambda: pga_tf.VPGA(encoder(3), decoder()), "encoder: expected two outputs"),
        (lambda: pga_tf.LPGA(encoder(), decoder(), latent_dim=16), "latent_dim=16, received codes of 3"),
        (lambda: pga_tf.LPGA(encoder(), decoder(latent=5)), r"decoder: expected a model that takes \[B, 3\]"),
        (lambda: pga_tf.LPGA(encoder(), decoder(shape=(4, 4, 1))), r"decoder: expected images \(8, 8, 1\)"),
        (lambda: pga_tf.LPGA(encoder(), decoder(), weigth_nll=1.0), "did you mean weight_nll="),
        (lambda: pga_tf.LPGA(encoder()), "LPGA: expected networks encoder, decoder"),
        (lambda: pga_tf.LPGA(encoder(), decoder(), weight_nll=-1.0), "--weight_nll: expected a value >= 0"),
        (lambda: of_users("lpga").fit(FLOATS, FLOATS), "fit: expected images alone"),
        (
            lambda: of_users("lpga").fit(digits().astype(np.float32)),
            r"floats in \[-1, 1\], received float32 in \[0, 255\]",
        ),
        (lambda: of_users("lpga").fit(digits()[:, :4]), r"images \[N, 8, 8, 1\], received \[48, 4, 8, 1\]"),
        (lambda: of_users("lpga").fit(FLOATS, validation_data=(FLOATS, FLOATS)), "validation_data=.*images alone"),
        (lambda: of_users("rae").evaluate(FLOATS), r"floats in \[0, 1\]"),
        (lambda: of_users("rae").predict(FLOATS), r"predict: expected uint8 images, or floats in \[0, 1\]"),
        (lambda: of_users("prior_free").fit(digits(47)), "multiples of 2, received batches of 32 and a last one of 15"),
        (lambda: of_users("prior_free").fit(digits(), batch_size=5), "multiples of 2, received batches of 5"),
        (
            lambda: of_users("ae").fit(tf.data.Dataset.from_tensors(2.0 * FLOATS)),
            r"fit: expected uint8 images, or floats in \[-1, 1\]",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(make, message):
    with pytest.raises(InputError, match=message) as error:
        make()
    assert "\n" not in str(error.value)
    assert "Remedy" in str(error.value)


def test_a_method_without_an_encoder_gives_images_of_codes():
    model = builders.build("gan", network="mlp", critic_updates=2, **builders.WGAN_GP)
    model.compile("adam")
    history = model.fit(digits(32), batch_size=16, verbose=0).history  # a batch is cut into two
    assert "loss" in history
    assert int(model.step) == 2
    assert model.predict(np.zeros([2, builders.LATENT], np.float32), verbose=0).shape == (2, *SHAPE)
    assert model.sample(3).shape == (3, *SHAPE)


def test_floats_that_look_like_another_range_are_pointed_out():
    model = of_users("ae")
    model.compile("adam")
    with pytest.warns(UserWarning, match=r"taken as in \[-1, 1\].*2 \* images - 1"):
        model.fit(digits(8).astype(np.float32) / 255.0, verbose=0)


def test_what_is_no_model_is_refused_by_name():
    with pytest.raises(InputError, match="AE: encoder: expected a Keras model, received function"):
        pga_tf.AE(lambda images: images, decoder())
    with pytest.raises(InputError, match=r"decoder: expected a model that takes .* received .*incompatible"):
        pga_tf.AE(encoder(latent=2), decoder(latent=3))
