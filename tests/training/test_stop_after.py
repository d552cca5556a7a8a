"""--stop_after: training ends where scores no longer fall, at the same step whether or not it was interrupted."""

import json
import signal

import keras
import pytest

import pga_tf
from pga_tf.core.checks import InputError
from pga_tf.runs.directory import RunDirectory

SMALL = {
    "method": "vae", "dataset": "digits", "network": "conv_8", "filters": 2, "latent_dim": 2, "batch_size": 8,
    "optimizer": "adam", "image_every": 1000, "evaluate_every": 2, "evaluate_samples": 40, "checkpoint_every": 3,
}  # fmt: skip


@pytest.fixture
def scores(monkeypatch):
    """Makes in-training scores those of the list that it gives, one for each evaluation of the run so far."""
    found = [9.0, 7.0, float("nan"), 8.0, 7.5, 6.0, 6.5, 6.0, 7.0, 5.0]

    def in_training(config, source):
        del source

        def score(drawing):
            return {"frechet": found[int(drawing.model.step) // config.run.evaluate_every - 1], "kernel": 1.0}

        return score, {"protocol": "of a test"}

    monkeypatch.setattr("pga_tf.runs.scoring.in_training", in_training)
    return found


def lines(workdir):
    return [json.loads(line)["step"] for line in (workdir / "scores.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("stop_after", "ends"), [(3, 10), (4, 20), (1, 6), (0, 20)])
def test_it_ends_after_so_many_scores_without_a_lower_one(scores, stop_after, ends, tmp_path, capsys):
    run = pga_tf.train(**SMALL, steps=20, stop_after=stop_after, workdir=tmp_path / "run")
    assert run.step == ends
    said = capsys.readouterr().out
    if ends < 20:
        assert f"stopped early after step {ends} of 20: {stop_after} score" in said
        assert "did not lower the frechet distance, the lowest was 7 at step 4; a higher --stop_after goes on" in said
    else:
        assert "trained 20 steps" in said
    assert lines(run.workdir)[-1] == ends


def test_interrupted_it_ends_at_the_same_step_and_goes_no_further(scores, tmp_path):
    workdir, steps = tmp_path / "run", []
    for batch in (
        1,
        2,
    ):  # the step after it is the last: 3, then 7, within the patience, with scores behind and before them
        stop = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda k, logs, batch=batch: k == batch and signal.raise_signal(signal.SIGTERM)
        )
        with pytest.raises(KeyboardInterrupt):
            pga_tf.train(**SMALL, steps=20, workdir=workdir, stop_after=3, out=str, callbacks=[stop])
    with open(workdir / "scores.jsonl", "a") as file:  # a kill after a score and before its checkpoint
        file.write(json.dumps({"step": 8, "protocol": "another", "frechet": 0.0}) + "\n")
    said = []
    for _ in range(2):
        steps.append(pga_tf.train(**SMALL, steps=20, stop_after=3, workdir=workdir, out=said.append).step)
    assert steps == [10, 10]
    assert "is trained already" in said[-2]  # before what can be done with it
    assert lines(workdir) == [2, 4, 6, 8, 10]
    assert pga_tf.train(**SMALL, steps=20, stop_after=4, workdir=workdir, out=str).step == 20


def test_the_score_of_keep_best_decides(scores, tmp_path):
    run = pga_tf.train(**SMALL, steps=20, stop_after=2, keep_best="kernel", workdir=tmp_path / "run", out=str)
    assert run.step == 6  # the kernel distance stays at what it was first
    assert RunDirectory(run.workdir).read_best()["step"] == 2


def test_without_scores_it_is_refused(tmp_path):
    with pytest.raises(InputError, match="--stop_after: expected --evaluate_every above 0"):
        pga_tf.train(**SMALL | {"evaluate_every": 0}, steps=4, stop_after=1, workdir=tmp_path / "run")
