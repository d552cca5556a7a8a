"""The images of a run: known again where they have moved, and not taken for others in silence."""

import json
import os

import numpy as np
import pytest
from PIL import Image

import pga_tf
from pga_tf.core.checks import InputError
from pga_tf.runs import config as config_lib
from pga_tf.runs import run_data
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from tests import commands
from tests.training import helpers


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")
    return folder


def config(photos, steps=2, **values):
    return helpers.config(
        photos.parent / "run", method="vae", network="mlp", dataset=f"folder:{photos}", steps=steps, **values
    )


def changes(photos):
    return RunDirectory(photos.parent / "run").read_changes()


def test_a_run_goes_on_with_its_images_where_they_lie_now(photos):
    loop.train(config(photos), out=str)
    moved = photos.rename(photos.with_name("moved"))
    with pytest.raises(InputError, match=r"expected the images of the run .*, which lay in .*photos, received nothing"):
        loop.train(config(photos, steps=4), out=str)
    assert loop.train(config(moved, steps=4), out=str)
    recorded = config_lib.of_run(photos.parent / "run").data.dataset
    assert recorded == f"folder:{moved}"
    assert changes(photos) == []


def test_a_relative_path_is_found_from_another_folder(photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    loop.train(helpers.config("run", method="vae", network="mlp", dataset="folder:photos", steps=2), out=str)
    (photos.parent / "elsewhere").mkdir()
    monkeypatch.chdir(photos.parent / "elsewhere")
    source, changed = run_data.load(config_lib.of_run(photos.parent / "run"))
    assert (sum(source.counts.values()), changed, source.name) == (20, None, "folder:photos")


def test_changed_images_are_named_and_taken_only_where_that_is_allowed(photos):
    loop.train(config(photos), out=str)
    (photos / "3.png").unlink()
    before = helpers.state(photos.parent / "run")
    with pytest.raises(InputError, match=r"trained on, 20 images \(digest \w+\), received 19 images .*--allow_changed"):
        loop.train(config(photos, steps=4), out=str)
    helpers.assert_same_state(before, helpers.state(photos.parent / "run"))
    lines = []
    assert loop.train(config(photos, steps=4, allow_changed_data=True), out=lines.append)
    (change,) = changes(photos)
    assert (change["step"], change["what"]) == (2, "data")
    assert (change["was"][:9], change["is"][:9]) == ("20 images", "19 images")
    assert any("warning: not the images that the run was trained on before: 19 images" in line for line in lines)
    assert any(line.startswith("data: 19 images") and "from step 2 on; it was 20 images" in line for line in lines)
    assert loop.train(config(photos, steps=6), out=str)  # these are its images from now on
    assert "allow_changed_data" not in (photos.parent / "run" / "config.flags").read_text()


def test_as_many_images_of_which_one_is_another_are_noticed(photos):
    loop.train(config(photos), out=str)
    Image.new("L", (8, 8)).save(photos / "3.png")
    with pytest.raises(InputError, match=r"20 images .*, received 20 images"):
        loop.train(config(photos, steps=4), out=str)


@pytest.mark.parametrize(
    "command", ["sample", *(pytest.param(name, marks=pytest.mark.slow) for name in ("evaluate", "fit_prior"))]
)
def test_commands_take_images_where_they_lie_now_and_others_only_where_that_is_allowed(photos, command, capsys):
    loop.train(config(photos, steps=2), out=str)
    moved = photos.rename(photos.with_name("moved"))
    asked = {
        "evaluate": ["--features=none", "--num_samples=10", "--seeds=1"],
        "sample": ["--reconstruct", "--grid=2x2"],
        "fit_prior": ["--prior=mixture", "--components=2"],
    }[command]
    asked.append(f"--workdir={photos.parent}/run")
    with pytest.raises(InputError, match=r"which lay in .*photos, received nothing there.*add --dataset=folder:PATH"):
        commands.call(command, *asked)
    commands.call(command, *asked, f"--dataset=folder:{moved}")
    assert "not the images" not in "".join(capsys.readouterr())
    (moved / "3.png").unlink()
    with pytest.raises(InputError, match="go on with these by --allow_changed_data"):
        commands.call(command, *asked, f"--dataset=folder:{moved}")
    commands.call(command, *asked, f"--dataset=folder:{moved}", "--allow_changed_data")
    assert "not the images that the run was trained on before: 19 images" in "".join(capsys.readouterr())


def test_a_loaded_run_takes_its_images_where_they_lie_now(photos):
    loop.train(config(photos), out=str)
    moved = photos.rename(photos.with_name("moved"))
    run = pga_tf.load(photos.parent / "run", dataset=f"folder:{moved}")
    assert run.evaluate(features="none", num_samples=10, seeds=1).to_dict()["run"]["dataset"] == f"folder:{moved}"


def test_a_run_of_before_its_images_were_recorded_takes_them_as_they_are(photos):
    loop.train(config(photos), out=str)
    RunDirectory(photos.parent / "run").data.unlink()
    (photos / "3.png").unlink()
    assert loop.train(config(photos, steps=4), out=str)
    assert json.loads(RunDirectory(photos.parent / "run").data.read_text())["count"] == 19


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"count": "many"}', "\x00"])
def test_a_damaged_record_is_one_sentence(photos, text):
    loop.train(config(photos), out=str)
    RunDirectory(photos.parent / "run").data.write_text(text)
    with pytest.raises(InputError, match=r"data.json: expected .*Remedy: move that file away"):
        loop.train(config(photos, steps=4), out=str)


def test_bytes_that_are_no_text_in_names_and_paths(photos):
    strange = photos.rename(os.fsdecode(os.fsencode(photos.parent) + b"/ph\xff[1]*\n~"))
    (strange / "3.png").rename(os.fsdecode(os.fsencode(strange) + b"/\xfe\n.png"))
    (strange / "4.png").write_text("no image")
    lines = []
    named = helpers.config(
        strange.parent / "run", method="vae", network="mlp", dataset=f"folder:{strange}", image_size=8, steps=2
    )
    assert loop.train(named, out=lines.append)
    assert loop.train(helpers.config(named.run.workdir, method="vae", network="mlp",
                                     dataset=f"folder:{strange}", image_size=8, steps=4), out=lines.append)  # fmt: skip
    commands.call("evaluate", f"--workdir={named.run.workdir}", "--features=none", "--num_samples=10", "--seeds=1")
    folder = RunDirectory(named.run.workdir).evaluation
    assert json.loads((folder / "evaluation.json").read_text())["run"]["dataset"] == f"folder:{strange}"
