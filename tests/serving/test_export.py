"""Publishing a version: whole or not at all, behind the gate, never over one that is there."""

import dataclasses
import errno
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.apis import prediction_log_pb2
from tensorflow_serving.config import model_server_config_pb2

from pga_tf.core.checks import InputError
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.runs.config import FitOptions
from pga_tf.serving import export, gate, reference, versions
from pga_tf.serving.export import ExportOptions
from pga_tf.training import fitting, loop
from tests import commands
from tests.serving import models
from tests.training import helpers

ROOT = pathlib.Path(__file__).parents[2]
SHAPE = (8, 8, 1)


@pytest.fixture(scope="module")
def pair():
    return models.make()


def publish(pair, base, **options):
    return export.export(
        *pair, SHAPE, ExportOptions(**{"name": "vpga", "base": str(base)} | options), {"prior": "normal"}
    )


def left(base):
    """Every file and folder below `base` but the lock."""
    return sorted(str(p.relative_to(base)) for p in pathlib.Path(base).rglob("*") if not p.name.endswith(".lock"))


def config_of(base):
    return text_format.Parse((base / "models.config").read_text(), model_server_config_pb2.ModelServerConfig())


def command(*arguments):
    whole = [sys.executable, "-m", "pga_tf.export", *arguments]
    return subprocess.run(whole, cwd=ROOT, capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    loop.train(helpers.config(path, method="vpga", dataset="digits", network="mlp", steps=4), out=str)
    return path


def test_the_command_publishes_a_model_that_a_fresh_process_serves_without_keras(run, tmp_path):
    done = command(f"--workdir={run}", "--name=vpga", f"--export_base={tmp_path}")
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "vpga" / "1"
    card = json.loads((folder / "assets.extra" / "model_card.json").read_text())
    assert card["run"]["method"] == "vpga"
    assert card["flags"]["latent_dim"] == 3
    assert card["evaluation"] is None
    assert card["signatures"]["sample"]["out"] == {"image": {"dtype": "float32", "shape": [None, *SHAPE]}}
    assert card["signatures"].keys() == card["gate"]["found"].keys()
    assert max(card["gate"]["found"].values()) <= card["gate"]["tolerance"] == 1e-5
    # what is served is what the run gives
    draw, _ = trained.load(config_lib.of_run(run))
    served = tf.saved_model.load(str(folder)).signatures["sample_png"](tf.range(3, dtype=tf.int64))["png_bytes"]
    np.testing.assert_array_equal([tf.io.decode_png(png) for png in served], draw.samples(3))


def test_versions_count_up_and_labels_follow(pair, tmp_path, monkeypatch):
    other = config_of_other = model_server_config_pb2.ModelServerConfig()
    other.model_config_list.config.add(name="other", base_path="/models/other", model_platform="tensorflow")
    (tmp_path / "models.config").write_text(text_format.MessageToString(other))
    with models.gate_in_process(monkeypatch):
        for _ in range(2):
            publish(pair, tmp_path)
        before, entry = config_of(tmp_path).model_config_list.config
        assert before == config_of_other.model_config_list.config[0]
        assert (entry.name, entry.base_path, entry.model_platform) == ("vpga", "/models/vpga", "tensorflow")
        assert dict(entry.version_labels) == {"stable": 1, "canary": 2}
        assert list(entry.model_version_policy.specific.versions) == [1, 2]

        with pytest.raises(InputError, match=r"a version that .*vpga does not have; it has 1, 2"):
            publish(pair, tmp_path, version=1)
        publish(pair, tmp_path, version=7)
        entry = config_of(tmp_path).model_config_list.config[1]
        assert dict(entry.version_labels) == {"stable": 1, "canary": 7}
        assert list(entry.model_version_policy.specific.versions) == [1, 7]

    with pytest.raises(InputError, match="expected a version of vpga: 1, 2, 7, received 3"):
        versions.set_label(versions.Versions(tmp_path, "vpga"), "stable", 3)
    versions.set_label(versions.Versions(tmp_path, "vpga"), "stable", 7)
    entry = config_of(tmp_path).model_config_list.config[1]
    assert dict(entry.version_labels) == {"stable": 7}
    assert list(entry.model_version_policy.specific.versions) == [7]
    assert versions.Versions(tmp_path, "vpga").existing() == [1, 2, 7]


def test_a_model_that_gives_something_else_is_not_published(pair, tmp_path, monkeypatch):
    expected = reference.arrays(*pair, SHAPE)
    expected["sample/out/image"][5, 2, 2] += 1e-3
    monkeypatch.setattr(reference, "arrays", lambda *_: expected)
    with pytest.raises(InputError, match=r"sample: expected image of the Python model to 1e-05.*nothing was published"):
        publish(pair, tmp_path)
    assert left(tmp_path) == []


def test_the_gate_sees_rows_that_depend_on_their_neighbours(tmp_path):
    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None, 2], name="z")])
        def decode(self, z):
            return {"image": z - tf.reduce_mean(z, axis=0)}

    module, z = Module(), np.random.default_rng(0).normal(size=[gate.ROWS, 2]).astype(np.float32)
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.decode, "decode": module.decode})
    with pytest.raises(gate.Difference, match="for a batch of 1"):
        gate.check(str(tmp_path), {"decode/in/z": z, "decode/out/image": z - z.mean(axis=0)}, 1e-5)
    with pytest.raises(gate.Difference, match=r"the signatures \['decode', 'encode'\]"):
        gate.check(str(tmp_path), {"decode/in/z": z, "encode/in/image": z}, 1e-5)


@pytest.mark.parametrize(("status", "verdict"), [(3, True), (1, True), (-9, False)])
def test_a_gate_that_was_killed_says_nothing_of_the_model(tmp_path, monkeypatch, status, verdict):
    done = subprocess.CompletedProcess([], status, stdout="", stderr="")
    monkeypatch.setattr(export.subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(InputError, match=f"received exit status {status}") as refused:
        export._pass_gate(tmp_path, {}, 1e-5)
    assert isinstance(refused.value, export.NotTheModel) == verdict


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("saved_model.pb", r"OSError: Cannot parse file .*saved_model\.pb"),
        ("variables.index", r"\w+: not an sstable"),
        ("variables.data-00000-of-00001", r"\w+: Read less bytes than requested"),
        ("expected.npz", "BadZipFile: "),
    ],
)
def test_the_gate_tells_what_it_cannot_read_in_a_line(tmp_path, monkeypatch, capsys, name, text):
    class Module(tf.Module):
        def __init__(self):
            super().__init__()
            self.weights = tf.Variable([1.0])

        @tf.function(input_signature=[tf.TensorSpec([None, 1], name="z")])
        def decode(self, z):
            return {"image": self.weights * z}

    for module in ("keras", "tf_keras", "pga_tf"):  # which it forbids in its own process
        monkeypatch.setitem(sys.modules, module, sys.modules.get(module))
    module, z = Module(), np.ones([gate.ROWS, 1], np.float32)
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.decode, "decode": module.decode})
    expected = tmp_path / "expected.npz"
    np.savez(expected, **{"decode/in/z": z, "decode/out/image": z})
    assert gate.main(str(tmp_path), str(expected), "1e-5") == 0
    path = next(tmp_path.rglob(name))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert gate.main(str(tmp_path), str(expected), "1e-5") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(text, line)


def test_not_a_number_is_within_no_tolerance(pair, tmp_path):
    export.write(*pair, SHAPE, tmp_path)
    expected = reference.arrays(*pair, SHAPE)
    expected["decode/out/image"][:] = np.nan
    with pytest.raises(gate.Difference, match="difference of nan"):
        gate.check(str(tmp_path), expected, 1e9)


def test_warm_up_requests_parse_and_are_answered(pair, tmp_path, monkeypatch):
    with models.gate_in_process(monkeypatch):
        folder, _ = publish(pair, tmp_path, batch_sizes=(1, 5))
    loaded = tf.saved_model.load(str(folder))
    path = folder / "assets.extra" / "tf_serving_warmup_requests"
    logs = [prediction_log_pb2.PredictionLog.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]
    seen = set()
    for log in logs:
        request = log.predict_log.request
        assert request.model_spec.name == "vpga"
        inputs = {key: tf.constant(tf.make_ndarray(value)) for key, value in request.inputs.items()}
        loaded.signatures[request.model_spec.signature_name](**inputs)
        seen.add((request.model_spec.signature_name, *{len(value) for value in inputs.values()}))
    assert seen == {(name, n) for name in loaded.signatures if name != "serving_default" for n in (1, 5)}
    assert path.stat().st_size < 300 * len(logs)  # and not as large as the images that they stand for


KILLED_WHILE_WRITING = """
import os, signal, sys
import tensorflow as tf
from pga_tf import command_line, export
real = tf.saved_model.save
def save(*arguments, **options):
    real(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
tf.saved_model.save = save
export.define_flags()
command_line.run(export.main, usage="")
"""


def test_a_kill_while_writing_publishes_nothing_and_the_next_export_cleans_up(run, pair, tmp_path, monkeypatch):
    arguments = [f"--workdir={run}", "--name=vpga", f"--export_base={tmp_path}"]
    done = subprocess.run([sys.executable, "-c", KILLED_WHILE_WRITING, *arguments], cwd=ROOT, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert versions.Versions(tmp_path, "vpga").existing() == []
    assert not (tmp_path / "models.config").exists()
    assert len(list((tmp_path / "vpga").iterdir())) == 1  # what was half written, under a name that no server reads
    with models.gate_in_process(monkeypatch):
        folder, _ = publish(pair, tmp_path)
    assert [path.name for path in (tmp_path / "vpga").iterdir()] == [folder.name] == ["1"]


def test_a_full_disk_publishes_nothing(pair, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export.warmup, "write", full)
    with models.gate_in_process(monkeypatch), pytest.raises(InputError, match=r"room for the model.*No space left"):
        publish(pair, tmp_path)
    assert left(tmp_path) == []


def test_a_file_too_large_for_the_disk_publishes_nothing(pair, tmp_path):
    """TensorFlow's own writer meets the limit here, and has errors of its own."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(InputError, match="--export_base="):
            publish(pair, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert left(tmp_path) == []


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(pair, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(reference, "arrays", lambda *_: pytest.fail("the work began"))
    with pytest.raises(InputError, match=r"--export_base=.*a folder that can be written"):
        publish(pair, tmp_path / "file")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "a/b"}, "--name: expected letters"),
        ({"name": "../x"}, "--name: expected letters"),
        ({"version": -1}, "--version: expected 0 or above"),
        ({"tolerance": float("nan")}, "--tolerance"),
        ({"label": "newest"}, "one of stable, canary"),
        ({"optimize": "int4"}, "one of none, bfloat16, int8"),
        ({"batch_sizes": ()}, "--batch_sizes"),
        ({"batch_sizes": (0, 4)}, "--batch_sizes"),
        ({"batch_sizes": (1, 65)}, "--batch_sizes: expected sizes from 1 to 64"),
    ],
)
def test_options_that_cannot_be_are_refused(pair, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        publish(pair, tmp_path, **options)
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", ["a[b]", "star*", "what?", "back\\slash", os.fsdecode(b"byte\xe9")])
def test_a_base_that_no_server_could_load_from_is_refused_before_the_work(pair, tmp_path, name):
    with pytest.raises(InputError, match=r"--export_base: expected a path in UTF-8 without \[, \*, \? and"):
        publish(pair, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_damaged_models_config_is_refused_and_stays(pair, tmp_path):
    (tmp_path / "models.config").write_text("model_config_list {")
    with pytest.raises(InputError, match="expected a text proto ModelServerConfig"):
        publish(pair, tmp_path)
    assert (tmp_path / "models.config").read_text() == "model_config_list {"
    assert left(tmp_path) == ["models.config"]


def test_two_exports_of_one_model_at_once_are_refused(pair, tmp_path):
    with versions.Versions(tmp_path, "vpga").publishing(0), pytest.raises(InputError, match="no other process exports"):
        publish(pair, tmp_path)


def test_missing_checkpoints_and_priors_of_other_runs_are_refused(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    config = config_lib.of_run(copy)
    model, _ = trained.load_model(config)
    assert fitting.fit(config, model, FitOptions(prior="mixture"), models.OWN["mixture"], out=str)
    loop.train(dataclasses.replace(config, run=dataclasses.replace(config.run, steps=5)), out=str)
    arguments = ["--name=vpga", f"--export_base={tmp_path}/base", f"--workdir={copy}"]
    with pytest.raises(InputError, match="fitted to others"):
        commands.call("export", *arguments, "--prior=mixture")
    shutil.rmtree(copy / "checkpoints")
    with pytest.raises(InputError, match="a checkpoint in"):
        commands.call("export", *arguments)
    assert not (tmp_path / "base").exists()
