"""The means of what steps report: one vector on the device, which the host reads only where it has use for it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core.means import Means, Reading
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from tests import strategies
from tests.training import helpers

NAMES = ("L_r", "L_lr_N", "loss")


def _take_in(means, steps):
    for values in steps:
        means.update_state({name: tf.constant(value) for name, value in values.items()})


def test_means_are_those_of_numpy_over_steps_of_a_window():
    rng = np.random.default_rng(0)
    steps = [{"L_r": np.float32(rng.normal(size=5)), "L_lr_N": np.float32(rng.normal())} for _ in range(7)]
    means = Means(NAMES)
    _take_in(means, steps)
    wanted = [np.mean([np.mean(values[name]) for values in steps]) for name in NAMES[:2]] + [0.0]
    np.testing.assert_allclose([float(v) for v in means.result().values()], wanted, rtol=1e-6)
    np.testing.assert_allclose(list(Reading(means, 7).values()), wanted, rtol=1e-6)
    assert list(means.result()) == list(Reading(means, 7)) == list(NAMES)
    means.reset_state()
    _take_in(means, steps[:1])
    np.testing.assert_allclose(float(means.result()["L_r"]), np.mean(steps[0]["L_r"]), rtol=1e-6)


def test_a_name_that_nobody_knows_is_refused():
    with pytest.raises(KeyError, match="L_none"):
        Means(NAMES).record({"L_r": 1.0, "L_none": 1.0})


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_the_first_quantity_that_is_not_finite_is_told_with_its_step(bad):
    means = Means(NAMES)
    for step in range(1, 9):  # of a window that began after step 20
        values = dict.fromkeys(NAMES, np.float32(1.0))
        if step >= 6:
            values["L_r"] = np.float32(bad)
        if step >= 4:
            values["loss"] = np.float32(bad if step == 4 else 2.0)  # one step was enough
        _take_in(means, [values])
        found = Reading(means, 20 + step).first_not_finite()
        assert found == (("loss", 24) if step >= 4 else None)


def test_replicas_hold_the_mean_over_all_of_them():
    strategy, each = strategies.two_replicas(), tf.constant([[1.0, 3.0], [10.0, 20.0]])
    with strategy.scope():
        means = Means(NAMES)

    def step():
        index = tf.distribute.get_replica_context().replica_id_in_sync_group
        means.update_state({"L_r": each[index], "loss": tf.cast(index, tf.float32) * np.nan})

    tf.function(lambda: strategy.run(step))()
    reading = Reading(means, 1)
    assert reading["L_r"] == pytest.approx(8.5)  # of 2 and 15
    assert reading.first_not_finite() == ("loss", 1)


@pytest.mark.parametrize("steps_per_execution", [1, 2])
def test_the_host_reads_values_at_log_points_alone(tmp_path, monkeypatch, steps_per_execution):
    read = []
    original = Reading._read

    def noting(self):
        if not self.was_read:
            read.append(self._step)
        original(self)

    monkeypatch.setattr(Reading, "_read", noting)
    config = helpers.config(
        tmp_path / "run", method="vae", steps=12, log_every=4, checkpoint_every=100,
        steps_per_execution=steps_per_execution,
    )  # fmt: skip
    loop.train(config, out=lambda text: None)
    shown = steps_per_execution  # the progress of the first execution
    assert sorted({*read} - {shown}) == [4, 8, 12]
    assert [line["step"] for line in RunDirectory(tmp_path / "run").read_metrics()] == [4, 8, 12]


def test_a_users_callback_finds_values_as_keras_gives_them(tmp_path):
    found = []

    class Own(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            found.append((batch, dict(logs), logs.get("none"), type(logs["loss"])))

    config = helpers.config(tmp_path / "run", method="vae", steps=3, log_every=2)
    loop.train(config, callbacks=[Own()], out=lambda text: None)
    assert [batch for batch, *_ in found] == [0, 1, 2]
    assert all(none is None and kind is float for *_, none, kind in found)
    lines = RunDirectory(tmp_path / "run").read_metrics()
    assert found[1][1].items() <= lines[0].items()  # the window's means, which were logged after step 2
    assert found[2][1].items() <= lines[1].items()
