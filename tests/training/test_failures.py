"""What goes wrong is refused or stopped with one clear message, and what is on disk stays whole."""

import errno
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf import data
from pga_tf.core import memory
from pga_tf.core.checks import InputError, NonFiniteError
from pga_tf.runs.checkpoints import Checkpoints
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from tests.methods import builders
from tests.training import helpers


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"latent_dim": 0}, r"--latent_dim.*>= 1.*received 0"),
        ({"batch_size": -4}, r"--batch_size.*received -4"),
        ({"learning_rate": -0.1}, r"--learning_rate.*>= 0"),
        ({"learning_rate": float("nan")}, r"--learning_rate.*finite"),
        ({"weight_nll": -1.0}, r"--weight_nll.*>= 0"),
        ({"perturbation": "sphre"}, r"did you mean 'sphere'"),
        ({"network": "conv_mnits"}, r"did you mean 'conv_mnist'"),
        ({"dataset": "digit"}, r"did you mean 'digits'"),
        ({"dataset": "fake:9x9x1"}, r"9.*conv_8|conv_8.*9"),
        ({"replicas": 3}, r"multiple of --replicas=3"),
        ({"replicas": 2, "steps_per_execution": 2}, r"--steps_per_execution=1"),
        ({"replicas": 2, "jit": True}, r"--replicas and --jit: .*pass --nojit"),
        ({"momentum": 1.0}, r"--momentum.*<= 0.9999"),
        ({"batch_size": 1, "batch_norm": "shared"}, r"--batch_size: expected at least 2 with batch norm"),
        ({"batch_size": 1, "method": "ae", "latent_batch_norm": True}, r"--batch_size: expected at least 2 with batch"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(tmp_path, values, message):
    with pytest.raises(InputError, match=message):
        loop.train(helpers.config(tmp_path / "run", **values), out=str)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch_size": 10**9}, r"--batch_size: expected what fits in the 1 GiB of .* received what takes [\d.]+ TiB"),
        ({"network": "mlp", "filters": 60000}, r"Weights of dense_2, 60000 x 60000: expected what fits in the 1 GiB"),
        ({"latent_dim": 300_000, "filters": 1}, r"Networks: expected what fits in .* lower --latent_dim or --filters"),
        ({"dataset": "fake:3000x3000x1"}, r"--dataset=fake:3000x3000x1: expected what fits in the 1 GiB of memory"),
        ({"latent_dim": 10**9}, r"--latent_dim: expected a value .* <= 1048576"),
        ({"image_size": 10**6}, r"--image_size: expected a value .* <= 16384"),
        ({"steps": 10**20}, r"--steps: expected at most 1,099,511,627,776"),
        ({"steps_per_execution": 10**6}, r"--steps_per_execution: expected at most the 8 steps of the run"),
    ],
)
def test_what_is_asked_for_is_held_against_memory_before_it_is_allocated(tmp_path, monkeypatch, values, message):
    monkeypatch.setattr(memory, "available", lambda: 2**30)
    with pytest.raises(InputError, match=message):
        loop.train(helpers.config(tmp_path / "run", method="vae", **values), out=str)
    assert not (tmp_path / "run").exists()


def test_cross_entropy_wants_pixels_in_the_unit_interval(tmp_path):
    with pytest.raises(InputError, match="add --pixel_range=unit"):
        loop.train(helpers.config(tmp_path, method="vae", likelihood="cross_entropy"), out=str)


def test_a_dry_run_writes_nothing_and_prints_the_plan(tmp_path):
    lines = []
    loop.train(helpers.config(tmp_path / "run", dry_run=True), out=lines.append)
    text = "\n".join(lines)
    assert not (tmp_path / "run").exists()
    for part in ("8x8x1", "parameters: encoder", "ms a step", "MiB of memory", "steps: 8", "decoder/deconv_2/bias"):
        assert part in text


def test_a_workdir_of_another_configuration_is_refused_naming_the_flags(tmp_path):
    loop.train(helpers.config(tmp_path, steps=2, network="mlp"), out=str)
    before = helpers.state(tmp_path)
    with pytest.raises(InputError, match=r"--latent_dim=5 \(the run there: 3\), --learning_rate=0.01"):
        loop.train(helpers.config(tmp_path, steps=2, network="mlp", latent_dim=5, learning_rate=0.01), out=str)
    helpers.assert_same_state(before, helpers.state(tmp_path))


def test_a_longer_run_of_the_same_configuration_goes_on_but_not_under_a_cosine(tmp_path):
    loop.train(helpers.config(tmp_path / "a", steps=2, network="mlp"), out=str)
    loop.train(helpers.config(tmp_path / "a", steps=4, network="mlp"), out=str)
    assert helpers.step_of(helpers.state(tmp_path / "a")) == 4
    cosine = helpers.config(tmp_path / "b", steps=2, network="mlp", schedule="cosine")
    RunDirectory(tmp_path / "b").create()
    RunDirectory(tmp_path / "b").write_config(cosine, (8, 8, 1))
    RunDirectory(tmp_path / "b").require_same_config(cosine)
    with pytest.raises(InputError, match="--steps=4"):
        loop.train(helpers.config(tmp_path / "b", steps=4, network="mlp", schedule="cosine"), out=str)


def test_a_run_of_before_an_option_was_there_goes_on_with_its_default(tmp_path):
    loop.train(helpers.config(tmp_path, steps=2, network="mlp"), out=str)
    old = RunDirectory(tmp_path).config
    old.write_text("".join(line for line in old.read_text().splitlines(True) if "weight_decay" not in line))
    with pytest.raises(InputError, match=r"--weight_decay=0.1 \(the run there: 0.0\)"):
        loop.train(helpers.config(tmp_path, steps=4, network="mlp", weight_decay=0.1), out=str)
    assert loop.train(helpers.config(tmp_path, steps=4, network="mlp"), out=str)


def test_a_workdir_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder that can be written"):
        loop.train(helpers.config(tmp_path / "file" / "run"), out=str)


def test_a_workdir_without_permission_is_refused(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "mkdir", refuse)  # root may write anywhere
    with pytest.raises(InputError, match=r"folder that can be written, received PermissionError: Permission denied"):
        loop.train(helpers.config(tmp_path / "run"), out=str)


def test_a_workdir_in_use_is_refused(tmp_path):
    config = helpers.config(tmp_path, steps=2, network="mlp")
    RunDirectory(tmp_path).create()
    with RunDirectory(tmp_path).locked(), pytest.raises(InputError, match="one in use"):
        loop.train(config, out=str)


def test_a_learning_rate_of_a_million_stops_training_and_keeps_the_last_good_checkpoint(tmp_path):
    with pytest.raises(
        NonFiniteError, match=r"Training stopped: \S+ is (nan|inf|-inf) at step \d+.*last good checkpoint"
    ):
        loop.train(helpers.config(tmp_path / "bad", learning_rate=1e6, steps=200, checkpoint_every=1), out=str)
    for name, value in helpers.state(tmp_path / "bad").items():
        assert np.isfinite(value).all(), name


def test_a_nan_in_the_data_stops_training_naming_quantity_and_step(tmp_path, monkeypatch):
    batches = data.Source.batches

    def poisoned(self, *args, start_step=0, **kwargs):
        """The seventh batch holds one NaN pixel."""

        def poison(k, images):
            spot = tf.reshape(tf.one_hot(5, tf.size(images), on_value=float("nan"), off_value=0.0), tf.shape(images))
            return tf.where(k == 6, images + spot, images)

        return batches(self, *args, start_step=start_step, **kwargs).enumerate(start_step).map(poison)

    monkeypatch.setattr(data.Source, "batches", poisoned)
    with pytest.raises(NonFiniteError, match=r"L_r is nan at step 7.*step-4"):
        loop.train(helpers.config(tmp_path, steps=12, warmup_steps=0), out=str)
    assert all(np.isfinite(value).all() for value in helpers.state(tmp_path).values())


def test_a_full_disk_while_checkpointing_leaves_the_older_checkpoint(tmp_path, full_disk):
    model = builders.build("lpga")
    checkpoints = Checkpoints(tmp_path, model, keep=1)
    checkpoints.save()
    good = builders.weights(model)
    model.train_step(builders.images(model))
    with (
        full_disk(1000),
        pytest.raises(InputError, match=r"Checkpoint at step 1.*room for .*free some space"),
    ):
        checkpoints.save()
    assert checkpoints.restore() == 0
    for a, b in zip(good, builders.weights(model), strict=True):
        np.testing.assert_array_equal(a, b)
    model.train_step(builders.images(model))
    checkpoints.save()  # and once there is room again, it works
    assert checkpoints.latest_step() == 1


@pytest.mark.parametrize("window", [{}, {"window/L_r/0": 3.0, "window/L_r/1": 2.0}], ids=["none", "by name"])
def test_a_checkpoint_that_holds_no_window_of_means_or_one_of_before_is_read(tmp_path, monkeypatch, window):
    model = builders.build("lpga")
    with monkeypatch.context() as patch:
        held = {name: keras.Variable(value) for name, value in window.items()}
        patch.setattr(type(model), "window", lambda self: held)
        Checkpoints(tmp_path, model).save()
    assert Checkpoints(tmp_path, model).restore() == 0
    assert Checkpoints(tmp_path, model).latest_step() == 0


def test_a_checkpoint_of_other_networks_is_refused(tmp_path):
    model = builders.build("lpga")
    Checkpoints(tmp_path, model).save()
    other = builders.build("lpga", batch_norm="shared")
    with pytest.raises(InputError, match="of this configuration"):
        Checkpoints(tmp_path, other).restore()


def test_a_damaged_checkpoint_is_refused(tmp_path):
    model = builders.build("lpga")
    path = Checkpoints(tmp_path, model).save()
    with open(f"{path}.data-00000-of-00001", "r+b") as file:
        file.truncate(100)
    with pytest.raises(InputError, match="a whole checkpoint"):
        Checkpoints(tmp_path, model).restore()


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    model = builders.build("lpga")
    model.trainable_variables[0].assign(tf.fill(model.trainable_variables[0].shape, float("inf")))
    with pytest.raises(NonFiniteError, match="no checkpoint was written"):
        Checkpoints(tmp_path, model).save()
    assert not list(tmp_path.iterdir())
