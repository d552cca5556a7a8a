"""What a run writes while it trains: metrics.jsonl, TensorBoard, sample grids and the progress line."""

import io
import json
import types

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from pga_tf.core import progress
from pga_tf.methods import LPGA
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import callbacks, loop
from tests.training import helpers

NAMES = {*LPGA.LOSSES, "loss", "gradient_norm/encoder", "gradient_norm/decoder", "learning_rate"}


def _train(path, **values):
    loop.train(helpers.config(path, steps=8, network="mlp", warmup_steps=3, **values), out=str)
    directory = RunDirectory(path)
    return directory, [json.loads(line) for line in directory.metrics.read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run's directory and the lines of its metrics.jsonl."""
    return _train(tmp_path_factory.mktemp("run"), log_every=2, image_every=4)


@pytest.fixture(scope="module")
def events(run):
    return EventAccumulator(str(run[0].logs), size_guidance={"tensors": 0}).Reload()


def _plugin(events, tag):
    return events.SummaryMetadata(tag).plugin_data.plugin_name


def test_every_line_of_metrics_has_every_quantity(run):
    _, lines = run
    assert [line["step"] for line in lines] == [2, 4, 6, 8]
    for line in lines:
        assert line.keys() >= NAMES
        assert all(np.isfinite(line[name]) for name in NAMES)
        assert line["learning_rate"] == pytest.approx(0.05)


def test_a_line_holds_the_means_over_its_window(run, tmp_path):
    _, lines = run
    _, single = _train(tmp_path, log_every=1)
    for i, line in enumerate(lines):
        for name in NAMES:
            expected = (single[2 * i][name] + single[2 * i + 1][name]) / 2
            assert line[name] == pytest.approx(expected, rel=1e-3, abs=1e-6), name
    assert single[0]["L_r"] != single[1]["L_r"]


def test_tensorboard_has_the_scalars_of_metrics(run, events):
    _, lines = run
    for name in NAMES:
        tag = name if "/" in name else f"train/{name}"
        assert _plugin(events, tag) == "scalars"
        written = {e.step: float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors(tag)}
        assert written == pytest.approx({line["step"]: line[name] for line in lines}, rel=1e-6), tag


def test_tensorboard_has_the_pictures_and_the_methods_own_quantities(events):
    for tag in ("samples", "reconstructions", "interpolations"):
        assert _plugin(events, tag) == "images"
        assert [event.step for event in events.Tensors(tag)] == [4, 8]
        width, height, png = tf.make_ndarray(events.Tensors(tag)[-1].tensor_proto)
        assert tf.io.decode_png(png).shape[:2] == (int(height), int(width))
    for name in ("mmd_codes", "mmd_mapped"):
        assert _plugin(events, f"diagnostics/{name}") == "scalars"
    for name in ("log_det_bound", "log_det_exact"):
        assert _plugin(events, f"diagnostics/{name}") == "histograms"
        assert _plugin(events, f"diagnostics/{name}_mean") == "scalars"
        assert [event.step for event in events.Tensors(f"diagnostics/{name}_mean")] == [4, 8]


def test_tensorboard_has_the_options_as_hyperparameters(events):
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    values = HParamsPluginData.FromString(content).session_start_info.hparams
    assert values["method"].string_value == "lpga"
    assert values["latent_dim"].number_value == 3
    assert values["learning_rate"].number_value == 0.05
    assert values["weight_lr_n"].number_value == 0.06
    assert "workdir" not in values


def test_a_dry_run_needs_no_folder_of_its_own(run):
    said = []
    loop.train(helpers.config(run[0].path, network="mlp", latent_dim=2, dry_run=True), out=said.append)
    assert said[-1] == "dry run: nothing was trained or written"


def test_sample_grids_open_and_change_with_training(run):
    paths = sorted(run[0].samples.glob("step_*.png"))
    assert [path.name for path in paths] == ["step_0000004.png", "step_0000008.png"]
    first, last = (np.asarray(Image.open(path)) for path in paths)
    assert first.shape == last.shape == (10 * 42 - 2, 10 * 42 - 2)  # 8x8 images enlarged to 40, with gaps of 2
    assert np.any(first != last)


def test_what_is_shown_has_the_losses_the_speed_and_the_time_left(monkeypatch):
    now = types.SimpleNamespace(seconds=100.0)
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: now.seconds))
    stream = io.StringIO()
    clock = callbacks.Clock(4, 70, images_of_a_step=8)  # goes on after step 4
    shown = callbacks.Shown(clock, LPGA.LOSSES, progress.Progress("step", 70, done=4, of_each=8, stream=stream))
    for batch in range(6):
        now.seconds = 100.0 + 2.0 * batch
        logs = {name: 10.0 * batch + i for i, name in enumerate(LPGA.LOSSES)}
        for callback in (clock, shown):
            callback.on_train_batch_end(batch, logs)
    first, second = stream.getvalue().splitlines()  # 10 seconds apart
    assert first.startswith("step 5/70, measuring speed, L_r 0 ")
    # five steps of 8 images in 10 seconds, 60 steps to go
    assert second.startswith("step 10/70, 4 images/s, 2 min left, L_r 50 ")
    for i, name in enumerate(LPGA.LOSSES):
        assert f" {name} {50 + i}" in second
