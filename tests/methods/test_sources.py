"""Whose statistics a norm moves: the running means after one step, against NumPy's of what each source is declared as.

Encoder and decoder are single norms with a linear layer behind, so that a norm's running mean says what came in. Data
codes, perturbed codes and prior codes, and the images made of them, differ in scale by the way the networks are set.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import streams
from pga_tf.evaluation import latent
from pga_tf.methods import METHODS
from pga_tf.methods.method import Autoencoder
from pga_tf.networks.norm import SourceBatchNorm
from pga_tf.networks.sources import DECODER_SOURCES, ENCODER_SOURCES, SourceLayer, Stack
from pga_tf.priors import PRIORS
from tests.methods import builders

SHAPE, COUNT = (4, 4, 1), 16
PIXELS = 16


class Split(SourceLayer):
    """`[B, 2 H_dim]` to (mean, stddev), stddev constant in x but for a slope that trains."""

    def call(self, x, sources=("data",), training=False):
        mean, raw = tf.split(x, 2, axis=1)
        return mean, 0.5 * tf.nn.softplus(0.1 * raw)

    def compute_output_shape(self, input_shape):
        half = (input_shape[0], input_shape[1] // 2)
        return half, half


def _norm(sources, name):
    return SourceBatchNorm(known_sources=sources, mode="per_source", name=name)


def _network(role, name):
    """One norm, one dense layer: for a role that a method asks for."""
    if isinstance(role, (networks.Critic, networks.Mapping)):
        options = networks.NetworkOptions(network="mlp", latent_dim=builders.LATENT, filters=4)
        return networks.build(role, options, SHAPE, name=name)
    if isinstance(role, networks.Decoder):
        made = [
            _norm(DECODER_SOURCES, "codes_norm"),
            keras.layers.Dense(PIXELS, bias_initializer="ones"),
            keras.layers.Reshape(SHAPE),
            keras.layers.Activation(role.output),
        ]
        network = Stack(made, known_sources=DECODER_SOURCES, name=name)
        network.build((None, builders.LATENT))
        return network
    made = [keras.layers.Flatten(), *([_norm(ENCODER_SOURCES, "images_norm")] if role.batch_norm else [])]
    made += [keras.layers.Dense(builders.LATENT * (1 + role.stochastic), bias_initializer="ones")]
    made += [Split()] if role.stochastic else []
    network = Stack(made, known_sources=ENCODER_SOURCES, name=name)
    network.build((None, *SHAPE))
    return network


def _model(method, **options):
    kind = METHODS.get(method)
    fields = kind.Options.__dataclass_fields__
    options |= {"latent_batch_norm": False} if "latent_batch_norm" in fields else {}
    options |= {"perturbation_scale": 2.0} if "perturbation_scale" in fields else {}
    options = kind.Options(**options)
    keras.utils.set_random_seed(0)
    made = {name: _network(role, name) for name, role in kind.roles(options).items()}
    model = kind(**made, options=options, latent_dim=builders.LATENT)
    model.compile(keras.optimizers.SGD(0.0))  # what came in, not what was learned
    return model


class Numpy:
    """The two networks in training mode, in NumPy: each call normalises by the statistics of its own batch."""

    def __init__(self, model):
        (self.f_kernel, self.f_bias), (self.g_kernel, self.g_bias) = (
            [np.array(v) for v in network.trainable_variables if "norm" not in v.path]
            for network in (model.encoder, model.decoder)
        )
        self.stochastic = self.f_kernel.shape[1] > builders.LATENT
        self.squash = (lambda y: 1 / (1 + np.exp(-y))) if model.image_range[0] == 0.0 else np.tanh

    def f(self, images):
        found = _normalised(images.reshape(len(images), -1)) @ self.f_kernel + self.f_bias
        if not self.stochastic:
            return found, None
        mean, raw = np.split(found, 2, axis=1)
        return mean, 0.5 * np.log1p(np.exp(0.1 * raw))

    def g(self, codes):
        return self.squash(_normalised(codes) @ self.g_kernel + self.g_bias).reshape(-1, *SHAPE)


def _normalised(x):
    return (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-3)


def _noise(use, substep=0):
    return streams.normal([COUNT, builders.LATENT], use, seed=0, step=0, substep=substep).numpy()


def _inputs(method, model, x):
    """What a step feeds each network, by source, as the method's file and METHODS.md declare it; lists in order."""
    twin = Numpy(model)
    if method == "alae":
        return {}, {"prior": [model.mapping(_noise("prior", k)).numpy() for k in range(3)]}
    z, stddev = twin.f(x)
    if method == "vae":
        codes = z + stddev * _noise("posterior")
        return {"data": x}, {"data": codes}
    if method in ("ae", "rae", "wae"):
        return {"data": x}, {"data": z}
    if method == "prior_free":
        mu = 0.5 * streams.uniform([COUNT], "mixing", seed=0, step=0).numpy()[:, None]
        partners = z.reshape(-1, 2, builders.LATENT)[:, ::-1].reshape(z.shape)
        return {"data": x}, {"data": z, "perturbed": mu * z + (1 - mu) * partners}
    if method == "age":
        u = [_noise("prior", k) for k in range(1 + model.options.decoder_updates)]
        u = [v / np.linalg.norm(v, axis=1, keepdims=True) * np.sqrt(builders.LATENT) for v in u]
        return {"data": x, "samples": [twin.g(v) for v in u]}, {"data": z, "prior": u}
    eps, z_n = _noise("perturbation"), _noise("prior")
    if method == "soft_intro_vae":  # first the encoder's passes, then the decoder's
        codes = z + stddev * _noise("posterior")
        made = {"reconstructions": twin.g(codes), "samples": twin.g(z_n)}
        again = [
            mean + sigma * _noise("posterior", k)
            for (mean, sigma), k in zip([twin.f(images) for images in made.values()] * 2, range(1, 5), strict=True)
        ]
        images = {"data": x} | {source: [batch] * 2 for source, batch in made.items()}
        return images, {"data": [codes] * 2, "prior": [z_n] * 2, "perturbed": again}
    if method == "lpga":
        delta = 2.0 * np.sqrt(builders.LATENT) * eps / np.linalg.norm(eps, axis=1, keepdims=True)
    elif method == "vpga":
        delta = stddev * eps
    else:
        delta = (stddev + 2.0) * eps
    codes = {"data": z, "perturbed": z + delta, "prior": z_n}
    images = {"data": x} | {
        source: twin.g(codes[of]) for source, of in
        (("reconstructions", "data"), ("perturbed", "perturbed"), ("samples", "prior"))
    }  # fmt: skip
    return images, codes


def _running(network):
    return next((v for v in network.variables if v.name == "running_mean"), None)


def _batches(given):
    return given if isinstance(given, list) else [given]


def _images(model, seed=1):
    low, high = model.image_range
    # not of mean 0, and each pixel of another mean: no two sources look alike
    rng = np.random.default_rng(seed)
    return (low + (high - low) * rng.beta(1.0, np.linspace(1.0, 6.0, PIXELS), (COUNT, PIXELS))).reshape(-1, *SHAPE)


AUTOENCODERS = [name for name in METHODS.names() if issubclass(METHODS.get(name), Autoencoder)]


@pytest.mark.parametrize("method", AUTOENCODERS)
def test_each_norm_moves_towards_the_mean_of_its_source(method):
    model = _model(method)
    x = _images(model).astype(np.float32)
    images, codes = _inputs(method, model, x)
    model.train_step(tf.constant(x))
    for network, sources, expected in (
        (model.encoder, ENCODER_SOURCES, images),
        (model.decoder, DECODER_SOURCES, codes),
    ):
        if _running(network) is None:
            assert not expected
            continue
        for row, source in zip(_running(network).numpy(), sources, strict=True):
            moved = np.zeros_like(row)
            for batch in _batches(expected.get(source, [])):
                moved += 0.01 * (batch.reshape(COUNT, -1).mean(axis=0) - moved)
            np.testing.assert_allclose(row, moved, atol=2e-6, err_msg=f"{network.name}, {source}")
        means = [_batches(given)[0].reshape(COUNT, -1).mean(axis=0) for given in expected.values()]
        for i, a in enumerate(means):  # else swapping two sources would not be seen
            assert all(np.abs(a - b).max() > 1e-3 for b in means[:i]), (network.name, i)


PGA = ("lpga", "vpga", "lvpga")
PRIOR = (*PGA, "soft_intro_vae", "age", "alae")  # codes of the prior by its own statistics; all others by those of data
DATA = {"alae": "prior"}  # whose decoder meets codes of its own prior alone


@pytest.mark.parametrize("method", AUTOENCODERS)
def test_inference_uses_the_statistics_of_the_source_that_is_declared(method):
    model = _model(method)
    for k, network in enumerate((model.encoder, model.decoder)):
        running = _running(network)
        if running is None:
            continue
        rows = np.arange(running.shape[0])[:, None] + 1.0
        running.assign(np.broadcast_to(rows * (k + 1.0), running.shape))
    codes = np.random.default_rng(2).normal(size=(5, builders.LATENT)).astype(np.float32)
    x = _images(model)[:5].astype(np.float32)

    def decoded(source):
        return model.decoder(codes, sources=(source,)).numpy()

    assert np.abs(decoded("data") - decoded("prior")).max() > 1e-3
    np.testing.assert_array_equal(model.decode(codes, source="data"), decoded(DATA.get(method, "data")))
    np.testing.assert_array_equal(model.decode(codes, source="prior"), decoded("prior" if method in PRIOR else "data"))
    wanted = model.encoder(x, sources=("data",))
    np.testing.assert_array_equal(model.encode(x), wanted[0] if isinstance(wanted, tuple) else wanted)
    if method in PGA:
        for source in ("reconstructions", "samples"):
            wanted = model.encoder(x, sources=(source,))
            expected = wanted[0] if isinstance(wanted, tuple) else wanted
            np.testing.assert_array_equal(model.encode(x, source=source), expected)
            assert np.abs(model.encode(x) - expected).max() > 1e-3


@pytest.mark.parametrize("method", AUTOENCODERS)
def test_samples_and_reconstructions_are_decoded_by_their_own_statistics(method):
    """Of each prior: by the method's "prior" where the prior is its law, and as data where it imitates codes."""
    model = _model(method)
    running = _running(model.decoder)
    running.assign(np.broadcast_to(np.arange(running.shape[0])[:, None] + 1.0, running.shape))
    draw = builders.drawing(model)
    low, high = model.image_range
    to_uint8 = lambda y: np.clip(np.round((np.asarray(y) - low) / (high - low) * 255.0), 0, 255).astype(np.uint8)
    of_data, of_prior = DATA.get(method, "data"), "prior" if method in PRIOR else "data"
    for kind, source in (("normal", of_prior), ("mixture", of_data)):
        draw.prior = PRIORS.get(kind)(builders.LATENT)
        codes = draw.codes(streams.sample_seeds(6))
        expected = to_uint8(model.decoder(codes, sources=(source,)))
        np.testing.assert_array_equal(draw.samples(6), expected)
    x = _images(model)[:5].astype(np.float32)
    pairs = draw.reconstructions(x, model.image_range)
    np.testing.assert_array_equal(pairs[1::2], to_uint8(model.decoder(model.encode(x), sources=(of_data,))))


@pytest.mark.parametrize("method", ["lpga", "vpga", "lvpga"])
def test_the_laws_of_theorem_1_have_statistics_of_their_own(method):
    model, rng = _model(method), np.random.default_rng(0)
    for variable in model.non_trainable_variables:
        if variable.name == "running_mean":
            variable.assign(rng.normal(size=variable.shape))
    x, z_n = tf.constant(_images(model, 3), tf.float32), _noise("diagnostics/prior")

    def f(images, source):
        codes = model.encoder(images, sources=(source,))
        return (codes[0] if isinstance(codes, tuple) else codes).numpy()

    def expected(of_data, of_prior):
        h = lambda codes, decoded, encoded: f(model.decoder(codes, sources=(decoded,)), encoded)
        return latent.mmd(h(f(x, "data"), *of_data), h(z_n, *of_prior))

    found = model.diagnostics(x)
    assert float(found["mmd_codes"]) == pytest.approx(latent.mmd(f(x, "data"), z_n), abs=1e-5)
    wanted = expected(("data", "reconstructions"), ("prior", "samples"))
    assert float(found["mmd_mapped"]) == pytest.approx(wanted, abs=1e-5)
    assert abs(wanted - expected(("data", "data"), ("prior", "data"))) > 1e-3
    assert abs(wanted - expected(("data", "reconstructions"), ("data", "reconstructions"))) > 1e-3
    assert model.diagnostics(x[:1]).keys().isdisjoint({"mmd_codes", "mmd_mapped"})
