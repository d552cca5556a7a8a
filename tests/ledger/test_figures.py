"""Figures of many runs show what the lines of results say."""

import numpy as np
import pytest
from PIL import Image

from pga_tf.ledger import figures
from tests.ledger.lines import line, scores

TWO = {"normal": scores(9.0), "mixture": scores(4.0)}


def test_curves_are_against_steps_and_against_seconds():
    figure = figures.curves([line(), line(row="vpga_mnist", training=1)])
    of_steps, of_seconds, of_score, _ = figure.axes
    assert [drawn.get_xydata().tolist() for drawn in of_steps.lines] == [[[50, 2], [100, 1]]] * 2
    assert of_seconds.lines[0].get_xdata().tolist() == [30.0, 60.0]  # 100 steps took 60 s
    assert of_score.lines[1].get_ydata().tolist() == [20.0, 9.0]
    assert [text.get_text() for text in figure.legends[0].texts] == ["lpga_mnist", "vpga_mnist, training 1"]


def test_without_scores_in_training_losses_stand_alone():
    assert len(figures.curves([line(curves={"losses": {"loss": [[1], [1.0]]}, "scores": {}})]).axes) == 2


def test_a_heat_map_has_the_mean_of_each_row_under_each_prior():
    lines = [line(scores=TWO), line(row="vpga_mnist", value=6.0), line(row="vpga_mnist", value=7.0, training=1)]
    axis = figures.priors(lines).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["mixture", "normal"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["lpga_mnist", "vpga_mnist"]
    np.testing.assert_allclose(np.exp(axis.images[0].get_array().filled(0)), [[4, 9], [1, 6.5]])
    assert sorted(text.get_text() for text in axis.texts) == ["4", "6.5", "9"]


def test_bars_say_where_the_gap_comes_from():
    lines = [
        line(value=8.0),
        line(value=10.0, training=1),
        line(row="ns_gan_mnist", gap={"training_images": 0.1, "samples": 5.0}),
    ]
    axis = figures.gaps(lines).axes[0]
    of = {part: [bar.get_width() for bar in bars] for part, bars in zip(figures.GAP, axis.containers, strict=True)}
    assert (of["samples"], of["training_images"]) == ([9.0, 5.0], [0.1, 0.1])
    assert of["reconstructions"][0] == 2.0
    assert np.isnan(of["reconstructions"][1])  # a GAN has none


@pytest.mark.parametrize(
    ("values", "scale"), [(("8", "16"), "log"), (("0.0", "1"), "linear"), (("l1", "l2"), "linear")]
)
def test_a_sweep_has_a_point_for_each_training(values, scale):
    lines = [line(value=v, settings={"a": d}) for v, d in zip((1.0, 2.0), values, strict=True)]
    axis = figures.sweep(lines).axes[0]
    assert axis.get_xscale() == scale
    assert axis.lines[0].get_ydata().tolist() == [1.0, 2.0]


def test_all_are_written_for_each_budget_and_data_set(tmp_path):
    folder = tmp_path / "runs/paper/lpga_mnist/0/evaluation"
    folder.mkdir(parents=True)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "samples.png")
    said = []
    lines = [line(), line(budget="laptop"), line(row="swept", settings={"a": "1"}), {**line(), "failure": "no"}]
    del lines[-1]["scores"]
    figures.write(lines, tmp_path / "runs", tmp_path / "out", said.append)
    names = [f"ledger_{b}_mnist_{kind}.png" for b in ("paper", "laptop") for kind in ("curves", "priors", "gaps")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*names, "ledger_paper_samples.png"])
    assert len(said) == 7
