"""One picture of several runs: a row for each, with what it reconstructs, interpolates and samples."""

import numpy as np
import pytest
from PIL import Image

from pga_tf import data
from pga_tf.core import grids, ranges
from pga_tf.core.checks import InputError
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from tests import commands
from tests.training import helpers

TRAINED = {"first": "vae", "decoder": "toy_moments"}
REFUSED = {  # before their weights are looked for
    "larger": ("vae", "fake:9x9x3", (9, 9, 3)),
    "points": ("vae", "toy2d:moons", (1, 1, 2)),
    "no_prior": ("ae", "digits", (8, 8, 1)),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    for name, method in TRAINED.items():
        assert loop.train(helpers.config(root / name, method=method, dataset="digits", network="mlp", steps=1), out=str)
    for name, (method, dataset, shape) in REFUSED.items():
        directory = RunDirectory(root / name)
        directory.create()
        directory.write_config(helpers.config(root / name, method=method, dataset=dataset, network="mlp"), shape)
    return root


def found(panel, part):
    """(top, left) of a picture within another; it is there once."""
    height, width = part.shape[:2]
    first, places = part[0].tobytes(), []
    for y, row in enumerate(panel[: len(panel) - height + 1]):
        x = row.tobytes().find(first) // 3
        if x >= 0 and np.array_equal(panel[y : y + height, x : x + width], part):
            places.append((y, x))
    assert len(places) == 1
    return places[0]


def test_a_panel_shows_what_each_run_draws(runs, tmp_path, capsys):
    out = tmp_path / "panel.png"
    commands.call("sample", "--panel", f"{runs}/first", f"{runs}/decoder", f"--out={out}", "--seed=3")
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    panel = np.asarray(Image.open(out))
    places = {}
    for name in ("first", "decoder"):
        draw, _ = trained.load(config_lib.of_run(runs / name))
        samples = grids.tile_rows(draw.samples(32, seed=3), ("",), 8)
        places[name] = found(panel, samples.repeat(3, axis=2))
        if name == "first":
            held = data.load(data.DataOptions(dataset="digits")).examples("test", 16)
            pairs = grids.tile_rows(draw.reconstructions(held, ranges.UINT8), ("", ""), 8)
            paths = grids.tile_rows(draw.interpolations(held[:8], ranges.UINT8, 8), ("",), 8)
            lefts = [found(panel, cell.repeat(3, axis=2)) for cell in (pairs, paths, samples)]
    assert len({top for top, _ in lefts}) == 1  # one row
    assert lefts[0][1] < lefts[1][1] < lefts[2][1] == places["decoder"][1]
    top, height = places["decoder"][0], len(samples)
    assert top > places["first"][0] + height
    empty = panel[top : top + height, : lefts[2][1]]  # but for words, grey
    assert np.median(empty) == grids.GREY
    assert (empty == 255).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--panel: expected one or more runs, received none"),
        (["first", "larger"], r"--panel .*larger: expected a run on images of 8 x 8 x 1.*received 9 x 9 x 3"),
        (["points"], "--panel .*points: expected a run on images, received points"),
        (["first", "points"], "--panel .*points: expected a run on images of 8 x 8 x 1.*received points"),
        (["first", "no_prior"], "expected a prior, for --method=ae has none of its own"),
        (["first", "nothing"], "nothing"),
        (["first", "--workdir=x"], "--panel: expected runs after it, received --workdir too"),
        (["first", "--out=x.jpg"], r"--out: expected a file name that ends in \.png"),
        (["first", "--out=missing/x.png"], "--out: expected a file in a folder that exists"),
    ],
)
def test_what_makes_no_panel_is_refused_before_anything_is_written(runs, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    named = [word if word.startswith("--") else f"{runs}/{word}" for word in arguments]
    with pytest.raises(InputError, match=message) as error:
        commands.call("sample", "--panel", *named)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


def test_runs_without_panel_are_refused():
    with pytest.raises(InputError, match=r"Command line: expected flags only, received runs/x.*add --panel"):
        commands.call("sample", "runs/x")
