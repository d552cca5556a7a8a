"""Samples near no held-out image at two scores in a row are said to have collapsed, over a resumption too."""

import contextlib
import types

import pytest
import tensorflow as tf

from pga_tf.runs.directory import RunDirectory
from pga_tf.training import callbacks


@pytest.mark.parametrize(
    ("recalls", "said"),
    [
        ([0.0, 0.0], [2]),
        ([0.0, 0.0, 0.0], [2, 3]),
        ([0.0], []),
        ([0.0, 0.01, 0.0], []),
        ([0.5, 0.0, 0.0], [3]),
        ([None, 0.0], []),  # a score that has no recall says nothing
    ],
)
@pytest.mark.parametrize("resumed", [False, True])
def test_two_recalls_of_0_in_a_row_are_said_to_be_a_collapse(recalls, said, resumed, tmp_path):
    directory, lines = RunDirectory(tmp_path), []
    averaging = types.SimpleNamespace(applied=lambda step: contextlib.nullcontext())
    with contextlib.closing(tf.summary.create_file_writer(str(tmp_path / "logs"))) as writer:
        for step, recall in enumerate(recalls, start=1):
            values = {"frechet": 1.0} if recall is None else {"frechet": 1.0, "recall": recall}
            made = callbacks.Evaluate(
                types.SimpleNamespace(step=step), RunDirectory(tmp_path) if resumed else directory, writer, 1,
                drawing=None, score=lambda drawing, values=values: values, protocol="p", averaging=averaging,
                by="frechet", say=lines.append,
            )  # fmt: skip
            made.work()
    told = [line for line in lines if line.startswith("collapsed")]
    assert [line.split("at step ")[1].split(" ")[0] for line in told] == [str(step) for step in said]
    assert all("Remedy" in line and "\n" not in line for line in told)


def test_scores_of_another_protocol_are_not_in_a_row(tmp_path):
    directory = RunDirectory(tmp_path)
    directory.append_scores({"step": 1, "protocol": "other", "frechet": 1.0, "recall": 0.0})
    made = callbacks.Evaluate(
        types.SimpleNamespace(step=2), directory, None, 1, drawing=None, score=None, protocol="p", averaging=None,
        by="frechet",
    )  # fmt: skip
    assert made._covered()
