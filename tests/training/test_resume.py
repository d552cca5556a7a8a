"""A run that is killed goes on at the step after its last checkpoint, bit for bit, in a real process."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.runs import build, devices, trained
from pga_tf.runs import config as config_lib
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from pga_tf.training import steps as steps_lib
from tests.methods import builders
from tests.training import helpers

ROOT = pathlib.Path(__file__).parents[2]


def start(config):
    """The command in a process of its own."""
    command = [sys.executable, "-m", "pga_tf.train", *helpers.flags(config)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_step(process, workdir, step, limit=120):
    """Waits until the run has a checkpoint at `step` or later."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        steps = [int(path.name[len("step-") : -len(".index")]) for path in workdir.glob("checkpoints/step-*.index")]
        if max(steps, default=0) >= step:
            return
        assert process.poll() is None, process.stdout.read()
        time.sleep(0.02)
    raise AssertionError(f"no checkpoint at step {step} within {limit} s")


def steps_of(workdir):
    return [line["step"] for line in helpers.logged(workdir)]


HARDEST = {"optimizer": "adam", "learning_rate": 1e-3, "schedule": "cosine", "ema": 0.9}
LPGA = HARDEST | {"method": "lpga", "batch_norm": "per_source"}
WGAN_GP = HARDEST | {
    "method": "gan",
    "network": "mlp",
    "critic_updates": 5,
    **builders.WGAN_GP,
}  # five updates of a critic in a step, each on images of its own


def test_sigkill_then_the_same_command_gives_the_weights_of_an_unbroken_run(tmp_path):
    settings = WGAN_GP | {"batch_norm": "per_source", "steps": 240, "checkpoint_every": 20, "log_every": 20}
    broken = helpers.config(tmp_path / "broken", **settings)
    process = start(broken)
    wait_for_step(process, tmp_path / "broken", 40)
    process.send_signal(signal.SIGKILL)
    process.wait()
    stopped_at = RunDirectory(tmp_path / "broken")
    assert 40 <= max(steps_of(tmp_path / "broken")) < 240
    assert stopped_at.config.exists()

    process = start(broken)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    assert "starting after step 0" not in output
    loop.train(helpers.config(tmp_path / "whole", **settings), out=str)
    helpers.assert_same_state(helpers.state(tmp_path / "broken"), helpers.state(tmp_path / "whole"))
    assert steps_of(tmp_path / "broken") == list(range(20, 241, 20))  # none twice, none missing


@pytest.fixture(scope="module", params=[LPGA, WGAN_GP], ids=["lpga", "wgan_gp"])
def whole(request, tmp_path_factory):
    """A run of 8 steps with all its checkpoints: its settings and directory."""
    settings = request.param | {"network": "mlp", "checkpoint_every": 2, "keep_checkpoints": 9, "log_every": 1}
    path = tmp_path_factory.mktemp("whole")
    loop.train(helpers.config(path, **settings), out=str)
    return settings, path


def test_a_run_goes_on_from_any_checkpoint_bit_for_bit(whole, tmp_path):
    settings, path = whole
    parts, lines = shutil.copytree(path, tmp_path / "parts"), []
    helpers.cut(parts, 4)
    assert helpers.step_of(helpers.state(parts)) == 4
    # "trained already" goes by the model's steps: of WGAN-GP's optimisers one is at 20, more than there are steps
    assert loop.train(helpers.config(parts, **settings), out=lines.append)
    assert any("starting after step 4" in line for line in lines)
    state = helpers.state(parts)
    helpers.assert_same_state(state, helpers.state(path))
    assert helpers.step_of(state) == 8
    counts = {int(value) for name, value in state.items() if "iteration" in name}
    assert counts == ({8, 40} if settings["method"] == "gan" else {8})
    a, b = ([line | {"images_per_second": 0} for line in helpers.logged(run)] for run in (path, parts))
    assert a == b


def test_the_rate_that_is_logged_is_that_of_the_step_just_taken(whole):
    settings, path = whole
    peaks = {"": 1e-3}
    if settings["method"] == "gan":
        peaks = {"/critic": 1e-3, "/generator": 1e-3}
    for line in helpers.logged(path):
        share = 0.5 * (1.0 + np.cos(np.pi * (line["step"] - 1) / 8))
        found = {name: value for name, value in line.items() if name.startswith("learning_rate")}
        expected = {f"learning_rate{player}": peak * share for player, peak in peaks.items()}
        assert found == pytest.approx(expected, rel=1e-5)


PLAIN = {"steps": 8, "checkpoint_every": 4, "network": "mlp", "keep_checkpoints": 9}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain")
    loop.train(helpers.config(path, **PLAIN), out=str)
    return path


def test_same_flags_and_seed_give_the_same_weights_and_another_seed_others(plain, tmp_path):
    for name, seed in (("same", 0), ("other", 1)):
        loop.train(helpers.config(tmp_path / name, seed=seed, **PLAIN), out=str)
    first, other = helpers.state(plain), helpers.state(tmp_path / "other")
    helpers.assert_same_state(first, helpers.state(tmp_path / "same"))
    assert any(np.any(value != other[name]) for name, value in first.items() if "kernel" in name)


def test_several_steps_to_an_execution_change_nothing(plain, tmp_path):
    loop.train(helpers.config(tmp_path, steps_per_execution=3, **PLAIN), out=str)
    saved = sorted(path.stem for path in (tmp_path / "checkpoints").glob("*.index"))
    assert saved == ["step-6", "step-8"]  # the first execution past step 4, and the last one, cut short
    helpers.assert_same_state(helpers.state(plain), helpers.state(tmp_path))


def test_xla_trains_to_the_end(plain, tmp_path, monkeypatch):
    compiled, build_model = [], build.build_model
    monkeypatch.setattr(build, "build_model", lambda *a, **k: compiled.append(build_model(*a, **k)) or compiled[-1])
    monkeypatch.setattr(devices, "has_gpu", lambda: True)  # without one, --jit is left aside
    loop.train(helpers.config(tmp_path, jit=True, **PLAIN), out=str)
    assert compiled[0].jit_compile  # Keras takes it back where operations are to be deterministic
    state = helpers.state(tmp_path)
    for name, value in helpers.state(plain).items():
        np.testing.assert_allclose(state[name], value, rtol=1e-3, atol=1e-3, err_msg=name)


def test_a_finished_run_is_left_alone(plain):
    before, lines = helpers.state(plain), []
    assert loop.train(helpers.config(plain, **PLAIN), out=lines.append)
    assert "trained already" in lines[-1]
    helpers.assert_same_state(before, helpers.state(plain))


@pytest.mark.slow
def test_two_replicas_train_resume_and_sample_in_a_real_process(tmp_path):
    settings = {"method": "vae", "network": "mlp", "batch_norm": "per_source", "checkpoint_every": 2, "ema": 0.9}
    settings |= {"replicas": 2}
    for steps in (2, 4):
        process = start(helpers.config(tmp_path / "two", steps=steps, **settings))
        output, _ = process.communicate(timeout=200)
        assert process.returncode == 0, output
    assert "starting after step 2" in output
    loop.train(helpers.config(tmp_path / "one", steps=4, **{**settings, "replicas": 1}), out=str)
    one, two = helpers.state(tmp_path / "one"), helpers.state(tmp_path / "two")
    assert one.keys() == two.keys()
    for name in (n for n in one if n.startswith(("model", "average"))):
        np.testing.assert_allclose(one[name], two[name], rtol=1e-3, atol=1e-3, err_msg=name)
    assert trained.load(config_lib.of_run(tmp_path / "two"))[0].samples(2).shape == (2, 8, 8, 1)  # on one device


@pytest.mark.slow  # alone: collectives of several strategies in one process were seen to mix up their keys
def test_a_run_goes_on_under_other_replicas_where_that_is_allowed_and_says_so(tmp_path):
    """From one to two and back: the weights of an unbroken run up to rounding, and a record of both changes."""
    settings = {"method": "vae", "network": "mlp"}
    settings |= {"optimizer": "adam", "learning_rate": 1e-3}
    loop.train(helpers.config(tmp_path / "broken", steps=2, **settings), out=str)
    with pytest.raises(InputError, match=r"--replicas=2 \(the run there: 1\).*or add --allow_other_replicas to go on"):
        loop.train(helpers.config(tmp_path / "broken", steps=4, replicas=2, **settings), out=str)
    for steps, replicas in ((4, 2), (6, 1)):
        there = helpers.config(
            tmp_path / "broken", steps=steps, replicas=replicas, allow_other_replicas=True, **settings
        )
        lines = []
        assert loop.train(there, out=lines.append)
        assert any(f"--replicas={replicas} from step {steps - 2} on" in line for line in lines)
        assert config_lib.of_run(tmp_path / "broken").run.replicas == replicas
        assert "allow_other_replicas" not in RunDirectory(tmp_path / "broken").read_flags()
    changes = [json.loads(line) for line in RunDirectory(tmp_path / "broken").changes.read_text().splitlines()]
    assert changes == [
        {"step": 2, "what": "replicas", "was": "1", "is": "2"},
        {"step": 4, "what": "replicas", "was": "2", "is": "1"},
    ]
    with pytest.raises(InputError, match=r"differs in --batch_size=16 \(the run there: 8\)"):  # it allows that alone
        loop.train(
            helpers.config(tmp_path / "broken", replicas=2, allow_other_replicas=True, batch_size=16, **settings)
        )
    loop.train(helpers.config(tmp_path / "whole", steps=6, **settings), out=str)
    broken, whole = helpers.state(tmp_path / "broken"), helpers.state(tmp_path / "whole")
    assert broken.keys() == whole.keys()
    for name, value in whole.items():
        np.testing.assert_allclose(broken[name], value, rtol=1e-3, atol=1e-3, err_msg=name)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_interpolations_of_any_number_of_images(count):
    model = builders.build("lpga")
    draw = builders.drawing(model)
    images = builders.images(model, count=count).numpy()
    rows = draw.interpolations(images, model.image_range, 5).reshape(-1, 5, 8, 8, 1)
    assert len(rows) == (count + 1) // 2
    ends = draw.reconstructions(images, model.image_range)[1::2]
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(row[0], ends[2 * i])
        np.testing.assert_array_equal(row[-1], ends[(2 * i + 1) % count])


def test_going_on_by_other_kernels_is_told_and_noted(tmp_path, monkeypatch):
    loop.train(helpers.config(tmp_path, method="vae", steps=2, schedule="constant"), out=str)
    lines, here = [], devices.onednn()
    monkeypatch.setattr(devices, "onednn", lambda: not here)
    names = {True: "oneDNN", False: "TensorFlow's own"}
    for steps in (4, 6):  # the second goes on by the same
        loop.train(helpers.config(tmp_path, method="vae", steps=steps, schedule="constant"), out=lines.append)
    told = f"kernels: {names[not here]} from step 2 on; it was {names[here]} before"
    assert [line for line in lines if line.startswith("kernels")] == [told]
    (noted,) = RunDirectory(tmp_path).read_changes()
    assert noted["step"] == 2
    assert (noted["was"], noted["is"]) == (names[here], names[not here])


@pytest.mark.parametrize(
    ("values", "start", "users", "together"),
    [
        ({}, 0, [], 10),
        ({"steps_per_execution": 7}, 0, [], 7),
        ({}, 0, ["a callback"], 1),
        ({"log_every": 15}, 0, [], 5),  # which divides 15, 100 and 500
        ({}, 34, [], 2),  # so that step 100 ends a call
        ({"network": "conv_mnist", "dataset": "fake:28x28x1", "filters": 64, "batch_size": 64}, 0, [], 1),
    ],
)
def test_as_many_steps_go_to_a_call_as_pay_and_leave_nothing_late(tmp_path, values, start, users, together):
    defaults = {"log_every": 100, "image_every": 100, "checkpoint_every": 500, "steps": 1000}
    config = helpers.config(tmp_path, method="ae", **(defaults | values))
    assert steps_lib.of_a_call(build.build(config), start, users) == together
