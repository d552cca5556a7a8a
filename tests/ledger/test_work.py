"""Trainings as processes: their times, ends and failures, and the lines that come of them."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from pga_tf.core.checks import InputError
from pga_tf.ledger import budgets, entries, work
from pga_tf.runs.directory import RunDirectory
from tests import commands
from tests.ledger.lines import scores
from tests.ledger.test_tables import BY_NAME

RESULT = {
    "run": {"step": 2000}, "card": {"generated": {"prior": "normal"}, "protocol": "ours"}, "names": {"frechet": "D"},
    "scores": scores(9.0), "gap": {"samples": 9.0}, "reconstruction": {"mse": 0.1},
    "history": {"losses": {"loss": [list(range(1, 101)), list(range(1, 101))]}, "scores": {}},
}  # fmt: skip


@pytest.fixture
def training(tmp_path):
    return work.Training(BY_NAME["lpga_mnist"], budgets.LAPTOP, 1, runs=tmp_path)


def leave(training, priors=()):
    """What the commands of a training leave in its run directory."""
    (training.workdir / "evaluation").mkdir(parents=True)
    (training.workdir / "config.flags").write_text("--method=lpga\n--dataset=tfds:mnist\n")
    (training.workdir / "evaluation" / "evaluation.json").write_text(json.dumps(RESULT))
    (training.workdir / "evaluation" / "priors.json").write_text(json.dumps(list(priors)))


def test_commands_of_a_training_are_those_that_a_reader_would_type(training):
    found = training.commands()
    assert list(found) == ["train", "fit_prior", "evaluate", "priors"]
    assert found["train"][:2] == ["pga_tf.train", "--flagfile=flagfiles/lpga_mnist.flags"]
    assert {"--steps=2000", "--filters=16", "--seed=1", f"--workdir={training.workdir}"} <= set(found["train"])
    assert {"--prior=mixture", "--components=10"} <= set(found["fit_prior"])
    assert {"--num_samples=5000", "--seeds=2", "--protocol=ours"} <= set(found["evaluate"])
    of_paper = work.Training(BY_NAME["lpga_mnist"], budgets.PAPER, 0, inception_path="weights").commands()
    assert of_paper["train"][2:-1] == ["--seed=0"]
    assert of_paper["evaluate"][2:] == ["--protocol=pga", "--features=inception", "--inception_path=weights"]
    assert "fit_prior" not in work.Training(BY_NAME["ns_gan_mnist"], budgets.LAPTOP, 0).commands()  # no codes
    assert "fit_prior" not in work.Training(BY_NAME["ae_mnist"], budgets.LAPTOP, 0).commands()  # has its own


def test_a_sweep_goes_beyond_the_budget_and_has_a_folder_of_its_own(tmp_path):
    swept = work.Training(BY_NAME["lpga_mnist"], budgets.LAPTOP, 0, {"filters": "32"}, runs=tmp_path)
    assert swept.flags["filters"] == "32"
    assert swept.workdir == tmp_path / "laptop" / "lpga_mnist,filters=32" / "0"


def test_a_line_has_scores_of_every_prior_card_flags_and_times(training, monkeypatch):
    leave(training, [{"title": "mixture", "scores": scores(4.0)}, {"title": "normal", "scores": scores(5.0)}])
    called = []
    monkeypatch.setattr(
        work, "call", lambda given, **asked: called.append((given[0], asked)) or {"wall": 2.0, "cpu": 1.0}
    )
    entry = work.run(training, str)
    assert [name for name, _ in called] == ["pga_tf.train", "pga_tf.fit_prior", "pga_tf.evaluate", "pga_tf.evaluate"]
    assert [asked["silent"] for _, asked in called] == [False, False, True, True]
    assert all(asked["cpu_only"] for _, asked in called)
    assert {prior: found["frechet"]["value"] for prior, found in entry["scores"].items()} == {
        "normal": 9.0,
        "mixture": 4.0,
    }
    assert (entry["step"], entry["training"], entry["budget"], entry["resumed"]) == (2000, 1, "laptop", True)
    assert entry["flags"] == {"method": "lpga", "dataset": "tfds:mnist"}
    assert entry["times"]["train"] == {"wall": 2.0, "cpu": 1.0}
    assert entry["curves"]["losses"]["loss"][0][-1] == 99  # every third of a hundred
    assert entry["processor"]["cores"] >= 1
    assert len(entry["code"]["commit"]) == 40
    assert entries._whole(json.loads(json.dumps(entry)))


@pytest.mark.parametrize(
    ("status", "told", "counts"),
    [
        (2, "Training stopped: loss is nan at step 3. Remedy: lower --learning_rate", True),
        (2, "Samples: ... Remedy: look at one of them; no score is defined for a constant set.", True),
        (2, "--workdir: expected a run directory that no other process trains in", False),
        (1, "Training stopped: loss is nan at step 3.", False),
        (-9, "status -9", False),
    ],
)
def test_only_a_run_that_cannot_be_scored_is_a_result(training, monkeypatch, status, told, counts):
    leave(training)

    def fail(*_, **__):
        raise work.Refused(status, told)

    monkeypatch.setattr(work, "call", fail)
    monkeypatch.setattr(work, "PATIENCE", 0.0)
    if counts:
        entry = work.run(training, str)
        assert (entry["failure"], "scores" in entry) == (told, False)
        assert entries._whole(entry)
        return
    with pytest.raises(work.Refused, match=told[:10]):
        work.run(training, str)


def test_a_run_directory_that_is_still_held_is_waited_for(training, monkeypatch):
    leave(training)
    tries = []

    def held_twice(*_, **__):
        tries.append(1)
        if len(tries) < 3:
            raise work.Refused(2, f"--workdir: expected a run directory that {work.IN_USE}")
        return {"wall": 1.0, "cpu": 1.0}

    monkeypatch.setattr(work, "call", held_twice)
    monkeypatch.setattr(work, "WAIT", 0.001)
    assert work.run(training, str)["scores"]
    assert len(tries) == 2 + 4


def test_the_words_that_are_waited_for_are_the_run_directorys(tmp_path):
    directory = RunDirectory(tmp_path)
    with directory.locked(), pytest.raises(InputError, match=work.IN_USE), RunDirectory(tmp_path).locked():
        pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")
def test_a_process_ends_with_its_parent(tmp_path):
    script = tmp_path / "waits.py"
    noting = f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))"
    script.write_text(f"import os, pathlib, time\n{noting}\ntime.sleep(60)\n")
    code = f"from pga_tf.ledger import work; work.call(['cProfile', {str(script)!r}])"
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        time.sleep(0.05)
    parent.kill()
    parent.wait()
    child = int((tmp_path / "pid").read_text())
    for _ in range(200):
        if not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE:
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    pytest.fail("it goes on by itself")


def test_times_of_a_process_are_its_own():
    took = work.call(["timeit", "-n1", "-r1", "sum(range(20_000_000))"])
    assert 0.05 < took["cpu"] < 60
    assert took["wall"] > 0.05


def test_a_process_that_fails_says_its_last_line():
    with pytest.raises(work.Refused, match=r"unrecognized arguments") as refused:
        work.call(["json.tool", "--no-such-flag"])
    assert refused.value.status == 2


def test_a_signal_is_passed_on_and_ends_the_training(tmp_path):
    script = tmp_path / "waits.py"
    script.write_text(
        "import pathlib, signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({str(tmp_path / 'told')!r}).touch(), sys.exit(130)))\n"
        f"pathlib.Path({str(tmp_path / 'ready')!r}).touch()\n"
        "time.sleep(60)\n"
    )

    def stop():
        while not (tmp_path / "ready").exists():
            threading.Event().wait(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(work.Stopped, match="SIGTERM"):
        work.call(["cProfile", str(script)])
    assert (tmp_path / "told").exists()


@pytest.mark.slow
def test_the_time_of_a_step_is_noted_once(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(pathlib.Path(__file__).parents[2])
    for _ in range(2):
        assert commands.call("reproduce", "--time_steps", "--only=lpga_digits", f"--results={tmp_path}") == 0
    seconds, cores = entries.speeds(tmp_path, pytest.fail)["lpga_digits"]
    assert 0 < seconds < 10
    assert cores == len(os.sched_getaffinity(0))
    assert capsys.readouterr().out.count("ms of CPU a step") == 1


@pytest.mark.slow
def test_a_row_is_trained_scored_written_and_not_done_again(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(pathlib.Path(__file__).parents[2])
    monkeypatch.setattr(budgets.Budget, "flags", lambda *_: {"steps": "30", "image_every": "1000"})
    given = ["--only=lpga_digits", "--trainings=1", f"--results={tmp_path}/results", f"--runs={tmp_path}/runs"]
    assert commands.call("reproduce", *given) == 0
    lines = entries.read(tmp_path / "results", pytest.fail)
    assert [(entry["row"], entry["step"], entry["resumed"]) for entry in lines] == [("lpga_digits", 30, False)]
    assert lines[0]["scores"]["normal"]["frechet"]["value"] > 0
    capfd.readouterr()
    assert commands.call("reproduce", *given) == 0
    assert "1 trainings done" in capfd.readouterr().out
