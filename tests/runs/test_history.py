"""How a run came to be, as the report shows it."""

import json
import shlex

from pga_tf.runs import assessment, history
from pga_tf.runs.directory import RunDirectory
from tests import commands
from tests.training import helpers


def written(path, *, metrics=(), scores=(), torn=""):
    for name, lines in (("metrics", metrics), ("scores", scores)):
        (path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + torn)
    return RunDirectory(path)


def test_long_curves_are_means_over_equal_stretches(tmp_path):
    lines = [{"step": 10 * i, "L_r": float(i), "learning_rate": 0.5} for i in range(1, 1001)]
    found = history.of_run(written(tmp_path, metrics=lines))
    steps, values = found["losses"]["L_r"]
    assert steps == list(range(50, 10001, 50))
    assert values == [5.0 * i + 3.0 for i in range(200)]  # the mean of 5 i + 1 to 5 i + 5
    assert found["rates"].keys() == {"learning_rate"}


def test_short_curves_stay_and_what_is_no_number_or_cut_short_is_left_out(tmp_path):
    lines = [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": float("nan")},
        {"step": 3, "loss": 1.5, "gradient_norm/f": 1},
    ]
    score = lambda step, protocol, value: {"step": step, "protocol": protocol, "frechet": value}
    scores = [score(1, "old", 9.0), score(2, "new", 5.0), score(3, "new", 4.0)]
    found = history.of_run(written(tmp_path, metrics=lines, scores=scores, torn='{"step": 4, "lo'))
    assert found["losses"] == {"loss": ([1, 3], [2.0, 1.5])}
    assert found["rates"] == {"gradient_norm/f": ([3], [1.0])}
    assert found["scores"] == {"frechet": ([2, 3], [5.0, 4.0])}
    assert found["protocol"] == "new"


def test_a_run_without_logs_has_no_history(tmp_path):
    nothing = {"losses": {}, "rates": {}, "scores": {}, "protocol": None}
    assert history.of_run(RunDirectory(tmp_path)) == nothing


def test_the_commands_are_those_that_make_it_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PGA_TF_STARTED_AS", "python -m")
    config = helpers.config(tmp_path / "a run")
    RunDirectory(config.run.workdir).create()
    RunDirectory(config.run.workdir).write_config(config, (8, 8, 1))
    request = assessment.Request(cache_dir="mine", seeds=2, features="pixels")
    train, evaluate = (shlex.split(line) for line in history.commands_of_run(config, request, "mixture"))
    assert evaluate[:3] == ["python", "-m", "pga_tf.evaluate"]
    workdir = f"--workdir={tmp_path / 'a run'}"
    assert sorted(evaluate[3:]) == sorted([workdir, "--prior=mixture", "--seeds=2", "--features=pixels"])
    assert train[:3] == ["python", "-m", "pga_tf.train"]
    assert commands.call("train", *train[3:], "--dry_run") == 0
    assert "dry run: nothing was trained" in capsys.readouterr().out
