"""`import pga_tf` as a user does it: light, and with functions that do what the commands do."""

import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest

import pga_tf
from pga_tf.core.checks import InputError
from pga_tf.runs.directory import RunDirectory
from tests import commands

SMALL = {
    "dataset": "digits", "network": "conv_8", "filters": 4, "latent_dim": 3, "steps": 4, "batch_size": 8,
    "learning_rate": 0.01, "image_every": 100,
}  # fmt: skip


def test_importing_loads_no_tensorflow_and_loading_commands_keeps_the_functions():
    code = (
        "import sys, pga_tf; assert not {'tensorflow', 'keras', 'numpy'} & set(sys.modules);"
        "assert {'train', 'LPGA', 'Run'} <= set(dir(pga_tf)); import importlib;"
        "importlib.import_module('pga_tf.train'); importlib.import_module('pga_tf.evaluate');"
        "assert callable(pga_tf.train) and callable(pga_tf.evaluate) and pga_tf.LPGA.__name__ == 'LPGA'"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    with pytest.raises(AttributeError, match="no attribute 'Diffusion'"):
        pga_tf.Diffusion  # noqa: B018


SCRIPT = """
import sys
import keras
import numpy as np
from keras import layers
import pga_tf

assert "pga_tf.methods" in sys.modules  # load_model below finds the methods in a process that only imported pga_tf
rng = np.random.default_rng(0)
x, test = rng.integers(0, 256, (64, 8, 8, 1), np.uint8), rng.integers(0, 256, (32, 8, 8, 1), np.uint8)


def networks(stochastic):
    images, codes = keras.Input((8, 8, 1)), keras.Input((3,))
    hidden = layers.Dense(16, "relu")(layers.Flatten()(images))
    mean = layers.Dense(3)(hidden)
    made = [keras.Model(images, [mean, layers.Dense(3, "softplus")(hidden)] if stochastic else mean)]
    made.append(keras.Model(codes, layers.Reshape((8, 8, 1))(layers.Dense(64, "tanh")(codes))))
    return made


# each method goes this way in tests/methods/test_keras_door.py
for name in ("VPGA", "PriorFree", "ALAE"):
    critic = keras.Sequential([keras.Input((8, 8, 1)), layers.Flatten(), layers.Dense(1)])
    of_codes = [keras.Sequential([keras.Input((3,)), layers.Dense(n)]) for n in (3, 1)]  # a map, and a critic
    extra = {"PriorFree": [critic], "ALAE": of_codes}.get(name, [])
    model = getattr(pga_tf, name)(*networks(name == "VPGA"), *extra)
    model.compile("adam")
    log = keras.callbacks.TensorBoard(f"{sys.argv[1]}/logs")
    model.fit(x, validation_data=test, epochs=1, batch_size=32, callbacks=[log], verbose=0)
    model.save(f"{sys.argv[1]}/m.keras")
    loaded = keras.models.load_model(f"{sys.argv[1]}/m.keras")
    np.testing.assert_array_equal(loaded.predict(test, verbose=0), model.predict(test, verbose=0))
    if name != "PriorFree":
        samples = model.sample(16, seed=3)
        assert samples.shape == (16, 8, 8, 1) and samples.dtype == np.uint8
        np.testing.assert_array_equal(loaded.sample(16, seed=3), samples)

small = dict(dataset="digits", network="conv_8", filters=4, latent_dim=3, batch_size=8, optimizer="adam")
pga_tf.train(method="lpga", **small, steps=20, workdir=f"{sys.argv[1]}/run")
run = pga_tf.load(f"{sys.argv[1]}/run")
images = run.sample(4)
run.fit_prior("mixture", components=2)
assert (run.sample(4, prior="mixture") != images).any()
scores = run.evaluate(num_samples=40, seeds=1, cache_dir=sys.argv[1])
print(scores)
assert scores.to_dict()["scores"]["frechet"]["value"] == scores["frechet"] > 0
worse = pga_tf.evaluate(rng.integers(0, 256, (300, 8, 8), np.uint8), against="digits", cache_dir=sys.argv[1])
print("Frechet distance of noise", worse["frechet"])
"""


@pytest.mark.slow
def test_a_users_script_in_a_process_of_its_own(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(tmp_path)], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Frechet distance (digits features)" in done.stdout
    assert list((tmp_path / "logs").rglob("events*"))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    steps = []
    count = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: steps.append(logs["L_r"]))
    workdir = tmp_path_factory.mktemp("door") / "run"
    run = pga_tf.train(
        method="vpga", **SMALL, workdir=workdir, prior="mixture", components=2, callbacks=[count], out=str
    )
    assert len(steps) == 4
    return run


def test_train_leaves_what_the_command_leaves(run, tmp_path):
    flags = {"method": "vpga", **SMALL, "workdir": tmp_path / "run", "prior": "mixture", "components": 2}
    commands.call("train", *(f"--{name}={value}" for name, value in flags.items()))
    again = pga_tf.load(tmp_path / "run")
    for a, b in zip(run.model.trainable_variables, again.model.trainable_variables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert RunDirectory(tmp_path / "run").read_own_prior() == RunDirectory(run.workdir).read_own_prior() == "mixture"
    np.testing.assert_array_equal(run.sample(3), again.sample(3))
    assert run.priors() == again.priors() == ["normal", "mixture"]
    assert repr(again).endswith("vpga on digits, step 4")


def test_a_run_draws_encodes_and_decodes(run):
    images = run.sample(6)
    assert (images.shape, images.dtype) == ((6, 8, 8, 1), np.uint8)
    assert (run.sample(6, prior="normal") != images).any()
    np.testing.assert_array_equal(run.sample(2, start=3), images[3:5])
    codes = run.encode(images)
    assert (codes.shape, codes.dtype) == ((6, 3), np.float32)
    np.testing.assert_array_equal(run.encode(np.float32(images) / 127.5 - 1.0), codes)
    np.testing.assert_array_equal(run.decode(codes), run.reconstruct(images))
    between = run.interpolate(images[:3], images[3:], steps=5)
    assert between.shape == (3, 5, 8, 8, 1)
    np.testing.assert_array_equal(between[:, 0], run.reconstruct(images[:3]))
    np.testing.assert_array_equal(between[:, -1], run.reconstruct(images[3:]))


def test_graphs_are_traced_once_and_a_prior_that_is_fitted_anew_is_read_anew(run, tmp_path):
    copied = pga_tf.load(shutil.copytree(run.workdir, tmp_path / "run"))
    assert copied.drawing() is copied.drawing("mixture")
    before = copied.sample(4, prior="mixture")
    shutil.rmtree(copied.directory.prior("mixture"))
    copied.fit_prior("mixture", components=5, out=str)
    assert (copied.sample(4, prior="mixture") != before).any()
    traced = copied.drawing()._decoders
    copied.sample(3)
    assert [decoder.experimental_get_tracing_count() for decoder in traced.values()] == [1]


def test_a_run_is_scored_and_exported(run, tmp_path):
    scores = run.evaluate(num_samples=40, seeds=2, cache_dir=str(tmp_path))
    assert scores["frechet"] == scores.to_dict()["scores"]["frechet"]["value"] > 0.0
    assert "Frechet distance (digits features)" in str(scores)
    assert (run.directory.evaluation / "report.html").exists()
    folder = run.export("mine", base=tmp_path / "models")
    assert (folder / "saved_model.pb").exists()


def test_arrays_from_anywhere_are_scored(tmp_path):
    from sklearn.datasets import load_digits

    images = np.uint8(np.round(load_digits().images / 16.0 * 255.0))
    scores = pga_tf.evaluate(images[:400], against="digits", cache_dir=str(tmp_path))
    noise = np.random.default_rng(0).integers(0, 256, (400, 8, 8), np.uint8)
    worse = pga_tf.evaluate(noise, against="digits", cache_dir=str(tmp_path), workdir=tmp_path / "out")
    assert scores["frechet"] < worse["frechet"] / 5
    assert (tmp_path / "out" / "evaluation" / "evaluation.json").exists()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run: pga_tf.train(method="lpga", stepz=3), "did you mean 'steps'"),
        (lambda run: pga_tf.train(method="lpga", likelihood="fixed_gamma", steps=1), "Option: expected one of"),
        (lambda run: pga_tf.load("nowhere"), "a run directory made by pga_tf.train"),
        (lambda run: run.sample(2, prior="latent_map"), "expected a fitted prior"),
        (lambda run: run.fit_prior("mixture", component=3), "did you mean 'components'"),
        (lambda run: run.evaluate(num_sample=3), "did you mean 'num_samples'"),
        (lambda run: run.decode(np.zeros([2, 4])), r"finite codes \[N, 3\]"),
        (lambda run: run.encode(np.full([2, 8, 8, 1], 2.0)), r"floats in \[-1, 1\]"),
        (lambda run: pga_tf.evaluate(np.zeros([3, 2]), against="digits"), r"shape \[N, H, W\]"),
    ],
)
def test_what_cannot_be_is_refused(run, call, message):
    with pytest.raises(InputError, match=message):
        call(run)
