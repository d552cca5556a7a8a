"""Packed runs give what the run gave that they were packed from, in one file of weights, and are not trained on."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf

from pga_tf import run as run_lib
from pga_tf.core.checks import InputError
from pga_tf.priors.mixture import MixtureOptions
from pga_tf.runs import packing
from pga_tf.runs.config import FitOptions
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import fitting, loop
from tests import commands
from tests.training import helpers


def trained(path, method="ae", **values):
    loop.train(helpers.config(path, method=method, dataset="digits", network="mlp", steps=3, **values), out=str)
    return run_lib.load(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run of an autoencoder with a mixture fitted to its codes."""
    made = trained(tmp_path_factory.mktemp("runs") / "ae")
    fit = FitOptions(prior="mixture", prior_name="two")
    fitting.fit(made.config, made.model, fit, MixtureOptions(components=2), out=str)
    return made


def test_it_gives_what_the_run_gives_and_holds_no_more_than_that_needs(run, tmp_path):
    found = {"scores": {}}
    run.directory.note.write_text("Of three steps.\n")
    folder = packing.pack(run.config, run.model, "two", tmp_path / "deep" / "packed", evaluation=found)
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config.flags", "image_shape.json", "data.json", "weights.npz", "prior.flags", "evaluation/evaluation.json",
        "note.txt", "priors/two/config.flags", "priors/two/image_shape.json", "priors/two/prior.npz",
    }  # fmt: skip
    assert [path.name for path in folder.parent.iterdir()] == ["packed"]
    assert str(run.workdir) not in "".join(path.read_text() for path in folder.rglob("*.*s*") if path.suffix != ".npz")
    packed = run_lib.load(folder)
    assert (packed.step, packed.priors()) == (3, ["two"])
    np.testing.assert_array_equal(packed.sample(5), run.sample(5))
    images = run.sample(3, seed=1)
    np.testing.assert_array_equal(packed.encode(images), run.encode(images))
    assert packed.card()["note"] == "Of three steps."
    assert packed.card()["flags"] == run.card()["flags"] | {"workdir": str(folder)}


@pytest.mark.parametrize(("kind", "held"), [("bfloat16", np.uint16), ("int8", np.int8)])
def test_rounded_kernels_are_the_packed_model(run, kind, held, tmp_path):
    packed = run_lib.load(run.pack(tmp_path / "packed", optimize=kind))
    for there, here in zip(run.model.trainable_variables, packed.model.trainable_variables, strict=True):
        if kind == "bfloat16" and len(there.shape) == 2:
            np.testing.assert_array_equal(here, tf.cast(tf.cast(there.value, tf.bfloat16), tf.float32))
        assert (np.asarray(here) != np.asarray(there)).any() == (len(there.shape) == 2)
        np.testing.assert_allclose(here, there, atol=0.01 * np.abs(there).max())
    with np.load(tmp_path / "packed" / "weights.npz") as arrays:
        kernels = [name for name in arrays.files if name.endswith("kernel")]
        assert {arrays[name].dtype for name in kernels} == {np.dtype(held)}
        assert kernels
    again = run_lib.load(packed.pack(tmp_path / "again", optimize=kind))  # which rounds what is rounded
    np.testing.assert_allclose(again.encode(run.sample(3)), packed.encode(run.sample(3)), atol=1e-5)


def test_scores_of_other_weights_do_not_go_along(run, tmp_path):
    packing.pack(run.config, run.model, "two", tmp_path / "p", optimize="bfloat16", evaluation={"scores": {}})
    assert not RunDirectory(tmp_path / "p").evaluation.exists()


@pytest.mark.parametrize(("method", "values"), [("vae", {"batch_norm": "per_source", "ema": 0.5}), ("gan", {})])
def test_statistics_averages_and_methods_without_an_encoder(method, values, tmp_path):
    made = trained(tmp_path / "run", method, **values)
    packed = run_lib.load(made.pack(tmp_path / "packed"))
    np.testing.assert_array_equal(packed.sample(5), made.sample(5))
    assert packed.priors() == made.priors() == [made.model.PRIOR]


def test_what_cannot_be_is_refused(run, tmp_path):
    folder = run.pack(tmp_path / "packed")
    with pytest.raises(InputError, match="expected a new folder, received one that holds something"):
        run.pack(folder)
    with pytest.raises(InputError, match="--optimize"):
        run.pack(tmp_path / "other", optimize="int4")
    with pytest.raises(InputError, match="expected a fitted prior"):
        run.pack(tmp_path / "other", prior="mixture")
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]
    with pytest.raises(InputError, match="expected last, received best"):
        run_lib.load(folder, "best")
    with pytest.raises(InputError, match=r"a packed run, which has weights alone.*--flagfile=\S+/packed/config.flags"):
        loop.train(helpers.config(folder, method="ae", dataset="digits", network="mlp", steps=5), out=str)
    with pytest.raises(InputError, match="--pack: expected a run alone, received --name too"):
        commands.call("export", f"--workdir={folder}", f"--pack={tmp_path / 'other'}", "--name=x")


@pytest.mark.parametrize("damage", ["cut", "empty", "missing", "shape", "nan"])
def test_damaged_weights_are_refused(run, damage, tmp_path):
    path = run.pack(tmp_path / "packed") / "weights.npz"
    with np.load(path) as file:
        arrays = dict(file)
    name = next(name for name, values in arrays.items() if values.ndim == 2)
    if damage in ("cut", "empty"):
        path.write_bytes(path.read_bytes()[: 1000 if damage == "cut" else 0])
    else:
        changed = {"missing": None, "shape": arrays[name].T, "nan": np.full_like(arrays[name], np.nan)}[damage]
        np.savez(path, **{key: changed if key == name else values for key, values in arrays.items()
                          if key != name or damage != "missing"})  # fmt: skip
    with pytest.raises(InputError, match=r"weights\.npz: expected the weights of .* Remedy: put the file back"):
        run_lib.load(path.parent)


def test_what_a_kill_left_does_not_stay(run, tmp_path):
    left = tmp_path / ".packed.packing"
    left.mkdir()
    (left / "weights.npz").write_bytes(b"half")
    assert pathlib.Path(run.pack(tmp_path / "packed")).name == "packed"
    assert [path.name for path in tmp_path.iterdir()] == ["packed"]
