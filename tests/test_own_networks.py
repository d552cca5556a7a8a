"""--encoder, --decoder and --critic: networks of a user's own in runs, from training to serving."""

import dataclasses
import shutil
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

import pga_tf
from pga_tf import networks
from pga_tf.core.checks import InputError
from pga_tf.networks import Critic, Decoder, Encoder, NetworkOptions
from pipelines import code_hash
from tests import commands, own_networks

HERE = "tests.own_networks"
SHAPE = (8, 8, 1)
SMALL = {"dataset": "digits", "latent_dim": 3, "steps": 3, "batch_size": 8, "image_every": 100, "learning_rate": 0.01}


def options(**own):
    return NetworkOptions(network="conv_8", latent_dim=3, **{role: f"{HERE}:{name}" for role, name in own.items()})


@pytest.fixture
def run(tmp_path):
    return pga_tf.train(
        method="prior_free", **SMALL, workdir=tmp_path / "run", out=str, encoder=own_networks.encoder,
        decoder=own_networks.decoder, critic=f"{HERE}:critic", prior="mixture", components=2,
    )  # fmt: skip


@pytest.mark.slow
def test_a_run_of_own_networks_is_sampled_gone_on_with_and_exported(run, tmp_path, capsys):
    assert f"--encoder={HERE}:encoder" in (run.workdir / "config.flags").read_text()
    assert [type(layer).__name__ for layer in run.model.encoder.model.layers][1:3] == ["Flatten", "Dense"]
    again = pga_tf.load(run.workdir)
    before = run.sample(3)
    np.testing.assert_array_equal(again.sample(3), before)
    flags = {"method": "prior_free", **SMALL, "steps": 5, "workdir": run.workdir}
    own = {role: f"{HERE}:{role}" for role in ("encoder", "decoder", "critic")}
    commands.call("train", *(f"--{name}={value}" for name, value in {**flags, **own}.items()))
    assert f"with encoder {HERE}:encoder, decoder {HERE}:decoder, critic {HERE}:critic on" in capsys.readouterr().out
    shutil.rmtree(run.workdir / "priors")  # it was fitted to the weights of step 3
    longer = pga_tf.load(run.workdir)
    longer.fit_prior("mixture", components=2, out=str)
    served = tf.saved_model.load(str(longer.export("own", base=tmp_path / "models")))
    images = served.signatures["sample"](seed=tf.range(3, dtype=tf.int64))["image"]
    np.testing.assert_allclose(images * 255.0, longer.sample(3), atol=0.51)
    assert (longer.sample(3) != before).any()


def test_a_run_whose_networks_are_gone_is_refused(run, monkeypatch):
    monkeypatch.setitem(sys.modules, HERE, None)  # what Python says of a module that cannot be imported
    with pytest.raises(InputError, match=rf"encoder {HERE}:encoder: expected a function that can be imported"):
        pga_tf.load(run.workdir)


def test_weights_are_a_function_of_the_seed_and_codes_are_normalised(run):
    del run
    made = [
        pga_tf.methods.build("ae", pga_tf.AE.Options(latent_batch_norm=True), options(encoder="encoder"), SHAPE, seed=s)
        for s in (1, 1, 2)
    ]
    kernels = [model.encoder.model.layers[2].kernel.numpy() for model in made]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert (kernels[0] != kernels[2]).all()
    images = np.float32(np.random.default_rng(0).uniform(-1, 1, (64, *SHAPE)))
    codes = made[0].encoder(images, training=True).numpy()
    np.testing.assert_allclose([codes.mean(0), codes.std(0)], [[0] * 3, [1] * 3], atol=2e-2)
    on_sphere = networks.build_all({"encoder": Encoder(code_norm="sphere")}, options(encoder="encoder"), SHAPE)
    np.testing.assert_allclose(np.linalg.norm(on_sphere["encoder"](images), axis=1), np.sqrt(3.0), rtol=1e-5)


def test_the_door_of_keras_models_normalises_codes_too(tmp_path):
    model = pga_tf.AE(own_networks.encoder(SHAPE, 3), own_networks.decoder(SHAPE, 3), latent_batch_norm=True)
    model.compile("adam")
    images = np.random.default_rng(0).integers(0, 256, (64, *SHAPE), np.uint8)
    model.fit(images, batch_size=64, verbose=0)
    codes = model.encoder(model.in_training_range(images), training=True).numpy()
    np.testing.assert_allclose(codes.std(0), [1] * 3, atol=2e-2)
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), model.predict(images, verbose=0))


@pytest.mark.parametrize(
    ("role", "path", "message"),
    [
        (Encoder(), f"{HERE}:nothing", "has no attribute 'nothing'"),
        (Encoder(), f"{HERE}:encodre", f"did you mean {HERE}:encoder"),
        (Encoder(), "nowhere:encoder", "No module named 'nowhere'.*PYTHONPATH"),
        (Encoder(), HERE, "expected PACKAGE.MODULE:FUNCTION"),
        (Encoder(), f"{HERE}:L", "expected a function of"),
        (Encoder(), f"{HERE}:broken", r"RuntimeError: no layers left \(own_networks\.py, line \d+\)"),
        (
            Encoder(),
            f"{HERE}:encoder.nothing",
            "can be imported, received AttributeError: 'function' object has no attr",
        ),
        (Encoder(), f"{HERE}:of_a_damaged_file", r"a function of .*, received ValueError: File not found: filepath="),
        (Encoder(), f"{HERE}:leaves", "a function of .*, received SystemExit: 7"),
        (Encoder(), "json.nothing:encoder", "can be imported, received ModuleNotFoundError"),
        (Encoder(), "PATH.keras", "expected PACKAGE.MODULE:FUNCTION, received 'PATH.keras'"),
        (Encoder(), f"{HERE}:number", "expected a Keras model, received int"),
        (Encoder(), f"{HERE}:posterior", "expected one output, the codes, received 2"),
        (Encoder(), f"{HERE}:of_eight", "codes of --latent_dim=3, received codes of 8"),
        (Encoder(stochastic=True), f"{HERE}:encoder", "mean and standard deviation"),
        (Decoder(output="tanh"), f"{HERE}:encoder", "expected a model that takes"),
        (Decoder(output="tanh", spectral=True), f"{HERE}:decoder", "SpectralNormalization"),
        (Critic(), f"{HERE}:encoder", r"one number for each example, \[B, 1\]"),
    ],
)
def test_what_does_not_fit_its_role_is_refused_in_one_sentence(role, path, message):
    name = type(role).__name__.lower()
    with pytest.raises(InputError, match=message):
        networks.build_all({name: role}, dataclasses.replace(options(), **{name: path}), SHAPE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"method": "lpga", "critic": f"{HERE}:critic"}, "--critic: expected networks of --method=lpga"),
        ({"method": "lpga", "encoder": lambda shape, size: None}, "put it into a file of its own"),
    ],
)
def test_what_a_run_cannot_record_is_refused(values, message, tmp_path):
    with pytest.raises(InputError, match=message):
        pga_tf.train(**values, **SMALL, workdir=tmp_path / "run", out=str)
    assert not (tmp_path / "run").exists()


def test_a_pipeline_trains_anew_where_the_file_changes(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    path, digests = {"encoder": "my_networks:encoder"}, []
    for content in ("def encoder(): return 1", "def encoder(): return 1  # the same", "def encoder(): return 22"):
        (tmp_path / "my_networks.py").write_text(content)
        digests.append(code_hash.of_own_networks(path))
    assert digests[0] == digests[1] != digests[2]
    assert code_hash.of_own_networks({}) == ""
