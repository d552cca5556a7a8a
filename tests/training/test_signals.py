"""Whatever ends a process politely ends it with status 130, a line and a checkpoint, and nothing of the run is lost.

Table: signals x moment x command. Here commands run within this process; real processes are at the end.
"""

import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from PIL import Image

import pga_tf
from pga_tf.core import averages, signals
from pga_tf.core.checks import InputError
from pga_tf.runs import build, checkpoints, scoring
from pga_tf.runs import drawing as drawing_lib
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import callbacks, fitting, loop, plan
from tests import commands
from tests.training import helpers

ROOT = pathlib.Path(__file__).parents[2]
TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
BURSTS = {
    "term": [TERM],
    "int": [INT],
    "hup": [HUP],
    "term term": [TERM, TERM],
    "int term": [INT, TERM],
    "term int": [TERM, INT],
    "five": [TERM] * 5,
}
RUN = {
    "method": "vae", "dataset": "digits", "network": "mlp", "latent_dim": 2, "batch_size": 8, "steps": 6,
    "optimizer": "adam", "log_every": 3, "image_every": 2, "checkpoint_every": 4, "evaluate_every": 2,
    "evaluate_samples": 300, "keep_best": "frechet", "stop_after": 9, "ema": 0.9, "batch_norm": "per_source",
}  # fmt: skip
FIT = {
    "prior": "second_vae", "second_width": 8, "second_depth": 1, "prior_steps": 6, "prior_batch_size": 8,
    "prior_log_every": 4, "prior_evaluate_every": 2, "prior_checkpoint_every": 3,
}  # fmt: skip
BEFORE = [  # of the first step: nothing is there yet, and the command begins anew
    (loop.data, "load", 1),
    (build, "build_model", 1),
    (plan, "trial", 1),
]
WITHIN = [  # what is called at the moment, and at which call; that of step 5 has nothing due
    (callbacks.StopOnNonFinite, "on_train_batch_end", 1),
    (callbacks.StopOnNonFinite, "on_train_batch_end", 5),
    (callbacks.StopOnNonFinite, "on_train_batch_end", 6),
    (scoring, "as_scored", 1),  # two to an evaluation
    (scoring, "as_scored", 4),
    (scoring, "as_scored", 6),
    (drawing_lib, "picture", 1),
    (drawing_lib, "picture_of_bands", 2),
    (averages.Averages, "measured", 2),
    (checkpoints.Checkpoints, "save", 2),
]


def at(patch, holder, name, call, burst):
    """Has the signals of `burst` sent as the function `name` of `holder` is called for the `call`-th time."""
    original, calls = getattr(holder, name), itertools.count(1)

    def sending(*args, **kwargs):
        if next(calls) == call:
            for number in burst:
                signal.raise_signal(number)
        return original(*args, **kwargs)

    patch.setattr(holder, name, sending)


@pytest.fixture(autouse=True, scope="module")
def _no_trial():
    """No steps are taken beforehand to measure them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "trial", lambda experiment: (0.0, 0))
        yield


def run(name, workdir, **values):
    """Exit status of a command in this process, as its guard has it."""
    with signals.raising():
        try:
            return commands.call(name, *(f"--{key}={value}" for key, value in values.items()), f"--workdir={workdir}")
        except signals.Stopped:
            return signals.STATUS


def everything(workdir):
    """All that a run leaves, as values that are equal for equal runs; speeds are left out."""
    directory = RunDirectory(workdir)
    return {
        "metrics": [line | {"images_per_second": 0} for line in directory.read_metrics()],
        "scores": directory.read_scores(),
        "best": directory.read_best(),
        "pictures": {path.name: path.read_bytes() for path in directory.samples.glob("*.png")},
        "owed": directory.owed.exists(),
        "state": {name: value.tobytes() for name, value in helpers.state(directory.path).items()},
    }


def assert_equal(a, b):
    for name, value in a.items():
        assert value == b[name], name


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run that nothing broke."""
    path = tmp_path_factory.mktemp("whole")
    assert run("train", path, **RUN) == 0
    found = everything(path)
    assert [line["step"] for line in found["scores"]] == [2, 4, 6]
    assert [line["step"] for line in found["metrics"]] == [3, 6]
    assert len(found["pictures"]) == 3
    return path, found


def stop(workdir, moment, burst, capsys, command="train", **values):
    """Runs the command, sends the signals at the moment, and returns the step that it says it stopped after."""
    with pytest.MonkeyPatch.context() as patch:
        at(patch, *moment, burst)
        assert run(command, workdir, **values) == 130
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    name = signal.Signals(burst[0]).name
    found = re.findall(rf"stopped by {name} after step (\d+); the same command goes on", said.out)
    assert len(found) == 1, said.out
    return int(found[0])


def test_training_that_is_stopped_again_and_again_comes_to_the_same_end(whole, tmp_path, capsys, monkeypatch):
    """In an evaluation and in what is owed of it, in a picture, and in norm statistics of the last step."""
    drawn, as_scored = [], scoring.as_scored
    monkeypatch.setattr(scoring, "as_scored", lambda *args: drawn.append(1) or as_scored(*args))
    stops = [
        ((scoring, "as_scored", 1), [TERM] * 5, 2),
        ((scoring, "as_scored", 2), [INT, TERM], 2),
        ((drawing_lib, "picture", 1), [HUP], 4),
        ((averages.Averages, "measured", 2), [TERM, INT], 6),
    ]
    for k, (moment, burst, step) in enumerate(stops):
        assert stop(tmp_path, moment, burst, capsys, **RUN) == step
        assert (tmp_path / "checkpoints" / f"step-{step}.index").exists()
        if k == 0:
            assert len(drawn) == 1  # of two: no more is waited for
            assert json.loads(RunDirectory(tmp_path).owed.read_text()) == {"step": 2, "work": ["evaluation"]}
    assert json.loads(RunDirectory(tmp_path).owed.read_text()) == {"step": 6, "work": ["pictures", "evaluation"]}
    assert run("train", tmp_path, **RUN) == 0
    assert_equal(everything(tmp_path), whole[1])


@pytest.mark.slow
@pytest.mark.parametrize("burst", BURSTS.values(), ids=BURSTS)
@pytest.mark.parametrize("moment", WITHIN, ids=lambda moment: f"{moment[1]}-{moment[2]}")
def test_training_stopped_at_any_moment_comes_to_the_same_end(whole, moment, burst, tmp_path, capsys):
    step = stop(tmp_path, moment, burst, capsys, **RUN)
    assert (tmp_path / "checkpoints" / f"step-{step}.index").exists()
    assert run("train", tmp_path, **RUN) == 0
    assert_equal(everything(tmp_path), whole[1])


def test_only_a_later_ctrl_c_interrupts_at_once(monkeypatch):
    with signals.noted() as notice:
        for number in (TERM, INT, TERM, HUP):  # within moments
            signal.raise_signal(number)
        monkeypatch.setattr(signals, "PATIENCE", 0.0)
        signal.raise_signal(TERM)
        with pytest.raises(KeyboardInterrupt) as raised:
            signal.raise_signal(INT)
    assert notice.received == "SIGTERM"
    assert raised.type is KeyboardInterrupt  # work does not take it for a wish to be put off


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"step": 2}', '{"step": 2, "work": 3}'])
def test_a_damaged_note_of_what_is_owed_is_refused(tmp_path, damage):
    directory = RunDirectory(tmp_path)
    directory.note_owed(2, "evaluation")
    assert directory.read_owed(2) == ["evaluation"]
    assert directory.read_owed(4) == []
    directory.owed.write_text(damage)
    with pytest.raises(InputError, match=r"owed.json: expected (what a signal has put off|JSON).*Remedy: delete it"):
        directory.read_owed(2)


@pytest.mark.parametrize("moment", BEFORE, ids=lambda moment: moment[1])
def test_before_the_first_step_nothing_is_left(moment, tmp_path, monkeypatch):
    at(monkeypatch, *moment, [TERM])
    assert run("train", tmp_path / "run", **RUN) == 130
    assert not list((tmp_path / "run").glob("checkpoints/*"))


def fitted_of(workdir):
    """What fitting leaves, as `everything`."""
    directory = RunDirectory(RunDirectory(workdir).prior(FIT["prior"]))
    with np.load(directory.path / "prior.npz") as stored:
        arrays = {name: stored[name].tobytes() for name in stored}
    lines = [line | {"images_per_second": 0} for line in directory.read_metrics()]
    return {"arrays": arrays, "metrics": lines, "scores": directory.read_scores(), "owed": directory.owed.exists()}


@pytest.fixture(scope="module")
def fitted_whole(whole, tmp_path_factory):
    path = shutil.copytree(whole[0], tmp_path_factory.mktemp("fitted") / "run")
    assert run("fit_prior", path, **FIT) == 0
    return fitted_of(path)


FITTING = [(callbacks.StopOnNonFinite, "on_train_batch_end", 3), (fitting, "mmd", 1), (fitting, "mmd", 3)]


@pytest.mark.parametrize(
    ("moment", "burst", "step"),
    [
        pytest.param(FITTING[0], [TERM], 3, marks=pytest.mark.slow),
        pytest.param(FITTING[1], [HUP], 2, marks=pytest.mark.slow),
        (FITTING[2], [TERM, TERM], 6),
    ],
)
def test_fitting_a_prior_comes_to_the_same_end(whole, fitted_whole, moment, burst, step, tmp_path, capsys):
    path = shutil.copytree(whole[0], tmp_path / "run")
    assert stop(path, moment, burst, capsys, command="fit_prior", **FIT) == step
    assert run("fit_prior", path, **FIT) == 0
    assert_equal(fitted_of(path), fitted_whole)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Photographs that Pillow decodes, for long enough to be at it when a process ends."""
    folder, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (500, 500, 3), np.uint8)).save(folder / f"{i}.tif", compression="tiff_lzw")
    return folder


def folder_run(photos, workdir, **values):
    """The command line of a run on photographs."""
    settings = {
        "method": "ae", "dataset": f"folder:{photos}", "image_size": 16, "network": "mlp", "latent_dim": 2,
        "batch_size": 8, "steps": 100_000, "checkpoint_every": 2, "log_every": 2, "workdir": workdir,
    }  # fmt: skip
    return [sys.executable, "-m", "pga_tf.train", *(f"--{key}={value}" for key, value in (settings | values).items())]


def ended(command, trigger, burst, pause=0.02, limit=10):
    """(exit status, what it printed) of a process that gets the signals of `burst` once `trigger` gives true."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            deadline = time.monotonic() + 120
            while not trigger():
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            for number in burst:
                process.send_signal(number)
                time.sleep(pause)
            return process.wait(limit), process.stdout.read()
        finally:
            process.kill()


def has_checkpoint(workdir):
    return lambda: any(workdir.glob("checkpoints/step-*.index"))


FEW = [("int", 1)]
MANY = [(burst, repeat) for burst in BURSTS for repeat in range(3)]


@pytest.mark.parametrize(
    ("burst", "repeat"), [*FEW, *(pytest.param(*case, marks=pytest.mark.slow) for case in MANY if case not in FEW)]
)
def test_a_run_on_photographs_ends_within_seconds(photos, burst, repeat, tmp_path):
    workdir = tmp_path / "run"
    status, said = ended(folder_run(photos, workdir), has_checkpoint(workdir), BURSTS[burst])
    assert status == 130, said
    assert "Traceback" not in said
    step = int(said.partition(f"stopped by {signal.Signals(BURSTS[burst][0]).name} after step ")[2].partition(";")[0])
    assert (workdir / "checkpoints" / f"step-{step}.index").exists()


@pytest.mark.slow
def test_a_stop_with_nobody_to_read_what_it_prints_has_its_checkpoint_too(photos, tmp_path):
    """As Ctrl-C does to `train | tee log`, and a terminal that is closed."""
    with subprocess.Popen(
        folder_run(photos, tmp_path / "run"), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        while not has_checkpoint(tmp_path / "run")():
            time.sleep(0.02)
        process.stdout.close()
        process.send_signal(INT)
        assert process.wait(10) == 130
    newest = RunDirectory(tmp_path / "run").read_metrics()[-1]["step"]
    steps = [int(path.stem.removeprefix("step-")) for path in (tmp_path / "run" / "checkpoints").glob("step-*.index")]
    assert max(steps) >= newest


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "expected", "text"),
    [
        ({"optimizer": "sgd", "learning_rate": 1e30}, 2, "Training stopped: "),
        ({"steps": 5}, 0, "trained 5 steps"),
    ],
)
def test_a_run_on_photographs_that_ends_by_itself_ends_within_seconds(photos, values, expected, text, tmp_path):
    done = subprocess.run(
        folder_run(photos, tmp_path, **values), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == expected
    assert text in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


LIBRARY = """
import sys, keras, pga_tf

class Fails(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 3:
            raise ZeroDivisionError("of a user")

pga_tf.train(callbacks=[Fails()], method="ae", dataset=sys.argv[1], image_size=16, network="mlp", latent_dim=2,
             batch_size=8, steps=100_000, workdir=sys.argv[2])
"""


@pytest.mark.slow
def test_a_script_whose_callback_fails_ends_with_its_error(photos, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY, f"folder:{photos}", str(tmp_path / "run")],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("ZeroDivisionError: of a user")


def test_in_another_thread_it_trains_without_signals(tmp_path):
    trained_runs = []
    small = {"method": "ae", "dataset": "fake:8x8x1", "network": "mlp", "latent_dim": 2, "steps": 2, "batch_size": 8}
    before = [signal.getsignal(number) for number in signals.POLITE]
    work = lambda: trained_runs.append(pga_tf.train(**small, workdir=tmp_path / "run", out=str))
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert trained_runs[0].step == 2
    assert [signal.getsignal(number) for number in signals.POLITE] == before


IMPORTED = """import os, signal, sys

class InTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name == "tensorflow.python":
            os.kill(os.getpid(), getattr(signal, os.environ["SENT"]))

sys.meta_path.insert(0, InTensorFlow())
"""


@pytest.mark.parametrize("sent", ["SIGTERM", pytest.param("SIGINT", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "command",
    [
        "pga_tf.train",
        "pga_tf.cli train",
        "pga_tf.fit_prior --prior=mixture",
        *(f"pga_tf.{name}" for name in ("evaluate", "sample", "export --name=m")),
        "pga_tf.serve --model_base=saved_models",
        "pipelines.run --pipeline_root=.",
    ],
)
def test_while_tensorflow_is_imported_a_line_is_all(command, sent, tmp_path):
    """Each command with what it needs to come so far."""
    (tmp_path / "sitecustomize.py").write_text(IMPORTED)
    arguments = command.split()
    if arguments[0] not in ("pga_tf.serve", "pipelines.run"):
        RunDirectory(tmp_path).write_config(helpers.config(tmp_path, dataset="digits"), (8, 8, 1))
        arguments.append(f"--workdir={tmp_path}")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "SENT": sent}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == f"stopped by {sent} before anything was begun\n"
