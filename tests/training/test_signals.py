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
from pga_tf.runs import build, checkpoints, scoring, trained
from pga_tf.runs import config as config_lib
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
    "method": "vae", "dataset": "digits", "network": "conv_8", "filters": 2, "latent_dim": 2, "batch_size": 8, "steps": 6,
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
    found = {
        "metrics": [line | {"images_per_second": 0} for line in directory.read_metrics()],
        "scores": directory.read_scores(),
        "best": directory.read_best(),
        "pictures": {path.name: path.read_bytes() for path in directory.samples.glob("*.png")},
        "owed": directory.owed.exists(),
        "state": {name: value.tobytes() for name, value in helpers.state(directory.path).items()},
    }
    return found


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


def stop(workdir, moment, burst, capsys, name="train", **values):
    """Runs the command, sends the signals at the moment, and returns the step that it says it stopped after."""
    with pytest.MonkeyPatch.context() as patch:
        at(patch, *moment, burst)
        assert run(name, workdir, **values) == 130
    said = capsys.readouterr()
    assert "Traceback" not in said.err
    found = re.findall(rf"stopped by {signal.Signals(burst[0]).name} after step (\d+); the same command goes on", said.out)
    assert len(found) == 1, said.out
    return int(found[0])


def test_training_that_is_stopped_again_and_again_comes_to_the_same_end(whole, tmp_path, capsys, monkeypatch):
    """In a step, an evaluation and what is owed of it, a picture, norm statistics, and the evaluation of the last step."""
    drawn, as_scored = [], scoring.as_scored
    monkeypatch.setattr(scoring, "as_scored", lambda *args: drawn.append(1) or as_scored(*args))
    stops = [
        ((callbacks.StopOnNonFinite, "on_train_batch_end", 1), [TERM, TERM], 1),
        ((scoring, "as_scored", 1), [TERM] * 5, 2),
        ((scoring, "as_scored", 2), [INT, TERM], 2),
        ((drawing_lib, "picture", 1), [HUP], 4),
        ((averages.Averages, "measured", 2), [TERM, INT], 6),
    ]
    for k, (moment, burst, step) in enumerate(stops):
        assert stop(tmp_path, moment, burst, capsys, **RUN) == step
        assert (tmp_path / "checkpoints" / f"step-{step}.index").exists()
        if k == 1:
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
    assert stop(path, moment, burst, capsys, name="fit_prior", **FIT) == step
    assert run("fit_prior", path, **FIT) == 0
    assert_equal(fitted_of(path), fitted_whole)
