"""The tools that count a train step and take it to other machines."""

import json
import pathlib

import numpy as np
import pytest
import tensorflow as tf

TOOLS = pathlib.Path(__file__).parents[1] / "tools"


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch):
    monkeypatch.syspath_prepend(str(TOOLS))  # tools import each other as scripts do


def test_a_convolution_costs_the_same_forward_and_on_both_ways_back():
    import step_costs

    @tf.function(autograph=False)
    def step(x):
        with tf.GradientTape() as tape:
            tape.watch([x, kernel])
            y = tf.nn.conv2d(x, kernel, 2, "SAME")
            z = tf.matmul(tf.reshape(y, [2, -1]), weights)
        return tape.gradient(z, [x, kernel])

    kernel, weights = tf.ones([5, 5, 3, 4]), tf.ones([64, 7])
    products, work, kernels = step_costs.of_step(step, tf.ones([2, 8, 8, 3]))
    convolution = 2 * (2 * 4 * 4 * 4) * (5 * 5 * 3)
    product = 2 * 2 * 64 * 7
    assert work == 3 * convolution + 2 * product  # the way back to weights is not asked for
    assert products == 5
    assert products <= kernels < 20


def test_the_order_of_a_program_is_a_permutation_an_epoch_from_any_step_on():
    from run_xla_program import order

    shape = {"batch_size": 4, "count": 10, "seed": 3}
    whole = order(20, **shape)
    assert (whole.shape, whole.dtype) == ((20, 4), np.int32)
    for epoch in whole.reshape(8, 10):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(10))
    for start in (1, 2, 3, 7):
        np.testing.assert_array_equal(order(5, start=start, **shape), whole[start : start + 5])
    assert (order(20, **shape | {"seed": 4}) != whole).any()


@pytest.mark.slow
def test_what_a_program_trained_becomes_a_run(tmp_path, monkeypatch):
    import run_xla_program
    import xla_program
    from absl import flags

    from pga_tf.runs import build
    from tests.training import helpers

    config = helpers.config(tmp_path / "run", method="vae", network="mlp", steps=40, jit=True)
    values = flags.FlagValues()
    flags.DEFINE_integer("block", 2, "", flag_values=values)
    flags.DEFINE_boolean("tf32", True, "", flag_values=values)
    values.mark_as_parsed()
    monkeypatch.setattr(xla_program, "FLAGS", values)
    folder, trained = tmp_path / "program", tmp_path / "trained"
    xla_program.write(build.build(config), folder)
    manifest, stored = json.loads((folder / "manifest.json").read_text()), np.load(folder / "start.npz")
    held = [run_xla_program.value(entry, stored) for entry in manifest["parameters"]]
    for i in manifest["kept"]:  # as if trained
        held[i] = np.asarray(4 if held[i].ndim == 0 and held[i].dtype == np.int64 else held[i] + 1, held[i].dtype)
    trained.mkdir()
    (trained / "weights.0.bin").write_bytes(b"".join(held[i].tobytes() for i in manifest["kept"]))
    (trained / "done.json").write_text(json.dumps({"steps": 4, "seconds": 1.0, "device": "none"}))
    (trained / "log.jsonl").write_text('{"step": 4, "loss": 1.0}\n')
    experiment = build.build(config)
    xla_program.read(experiment, folder, trained)
    by_path = {v.path: np.asarray(v) for v in experiment.model.variables}
    for i in manifest["kept"]:
        np.testing.assert_array_equal(by_path[manifest["parameters"][i]["name"].partition("/")[2]], held[i])
    assert helpers.step_of(helpers.state(tmp_path / "run")) == 4
