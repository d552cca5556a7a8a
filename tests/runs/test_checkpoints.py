"""Checkpoints under damage: the newest that can be read is restored whole, and said; nothing is lost or overwritten."""

import os
import re
import shutil

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core.checks import InputError
from pga_tf.runs.checkpoints import Checkpoints
from tests.methods import builders

STEPS = (1, 2, 3)


@pytest.fixture(scope="module")
def model():
    return builders.build("vae")


@pytest.fixture(scope="module")
def kept(model, tmp_path_factory):
    """Three checkpoints: (their folder, the state at each step)."""
    folder, states = tmp_path_factory.mktemp("kept"), {}
    checkpoints = Checkpoints(folder, model, keep=3)
    for step in STEPS:
        set_state(model, step)
        checkpoints.save()
        states[step] = state(model)
    return folder, states


@pytest.fixture
def folder(kept, tmp_path):
    return shutil.copytree(kept[0], tmp_path / "checkpoints")


def set_state(model, step):
    """Other numbers in every variable, and the clock at `step`."""
    for i, variable in enumerate(model.state_between_steps().values()):
        variable.assign(tf.fill(variable.shape, tf.cast(10 * step + i, variable.dtype)))
    model.step.assign(step)


def state(model):
    return {name: np.array(variable) for name, variable in model.state_between_steps().items()}


def assert_state(model, expected):
    found = state(model)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def flip(at):
    def damage(path):
        content = bytearray(path.read_bytes())
        content[int(at * len(content))] ^= 0x10
        path.write_bytes(content)

    return damage


def _folder(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "short by one": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "empty": lambda path: path.write_bytes(b""),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "garbage": lambda path: path.write_bytes(np.random.default_rng(0).bytes(path.stat().st_size)),
    "missing": lambda path: path.unlink(),
    "a folder": _folder,
    "one bit": flip(0.3),
    "another bit": flip(0.9),
}
PARTS = ("step-3.index", "step-3.data-00000-of-00001")


def test_the_newest_is_restored(model, kept, folder):
    said = []
    set_state(model, 7)
    assert Checkpoints(folder, model, keep=3, say=said.append).resume() == 3
    assert_state(model, kept[1][3])
    assert said == []


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("part", PARTS)
def test_a_damaged_newest_falls_back_to_the_one_before_whole(model, kept, folder, part, damage):
    """In whole or not at all: what is restored equals the older checkpoint bit for bit, in every variable."""
    DAMAGES[damage](folder / part)
    for way in ("restore", "resume"):  # of who reads alone, and of who trains on
        said = []
        set_state(model, 7)
        before = sorted(os.listdir(folder))
        checkpoints = Checkpoints(folder, model, keep=3, say=said.append)
        assert getattr(checkpoints, way)() == 2
        assert_state(model, kept[1][2])
        assert len(said) == 1
        assert said[0].startswith(f"warning: {folder}/step-3 cannot be read (")
        assert said[0].endswith("; step 2 is restored in its place")
        if way == "restore":
            assert sorted(os.listdir(folder)) == before
    left = [name for name in os.listdir(folder) if "step-3" in name]
    assert left == [name for name in left if name.startswith("damaged-")]  # out of the way, and there
    assert len(left) == (1 if damage == "missing" else 2)
    assert checkpoints.latest_step() == 2
    set_state(model, 3)
    checkpoints.save()
    assert Checkpoints(folder, model, say=said.append).resume() == 3
    assert len(said) == 1


def test_two_damaged_ones_are_both_named(model, kept, folder):
    DAMAGES["cut"](folder / PARTS[1])
    DAMAGES["missing"](folder / "step-2.index")
    said = []
    assert Checkpoints(folder, model, say=said.append).restore() == 1
    assert_state(model, kept[1][1])
    assert [line.partition(" cannot")[0] for line in said] == [f"warning: {folder}/step-{step}" for step in (3, 2)]


def test_where_none_can_be_read_nothing_is_touched_and_the_remedy_works(model, folder):
    for step in STEPS:
        DAMAGES["garbage"](folder / f"step-{step}.index")
    files = {name: (folder / name).read_bytes() for name in os.listdir(folder)}
    set_state(model, 7)
    before = state(model)
    for way in ("restore", "resume"):
        with pytest.raises(InputError, match=r"a whole checkpoint.*step-3.*step-1 cannot.*move that folder away"):
            getattr(Checkpoints(folder, model), way)()
        assert {name: (folder / name).read_bytes() for name in os.listdir(folder)} == files
        assert_state(model, before)
    folder.rename(folder.with_name("away"))
    assert Checkpoints(folder, model).resume() == 0


INDEX = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "cut": lambda path: path.write_text('model_checkpoint_path: "ste'),
    "garbage": lambda path: path.write_bytes(b"\xff\x00\x12"),
    "of an older one": lambda path: path.write_text('model_checkpoint_path: "step-1"\n'),
    "of one that is gone": lambda path: path.write_text('model_checkpoint_path: "step-9"\n'),
}


@pytest.mark.parametrize("damage", INDEX)
def test_a_lost_index_is_found_again_from_the_files(model, kept, folder, damage):
    INDEX[damage](folder / "checkpoint")
    files, said = {name: (folder / name).read_bytes() for name in os.listdir(folder) if "step" in name}, []
    assert Checkpoints(folder, model, say=said.append).resume() == 3
    assert_state(model, kept[1][3])
    assert len(said) == 1
    assert f"{folder}/checkpoint" in said[0]
    assert "training goes on from step-3" in said[0]
    assert {name: (folder / name).read_bytes() for name in os.listdir(folder) if "step" in name} == files
    assert tf.train.latest_checkpoint(str(folder)) == str(folder / "step-3")  # TensorFlow's own tools find it too


def test_files_that_an_index_names_and_that_are_gone_are_no_fresh_start(model, folder):
    for name in os.listdir(folder):
        if name.startswith("step-"):
            (folder / name).unlink()
    with pytest.raises(InputError, match=r"expected the files of step-3, which .*checkpoint names, received none"):
        Checkpoints(folder, model).resume()


@pytest.mark.parametrize(
    "name",
    [
        "a[b]c",
        "[0-9]",
        "star*",
        "what?",
        "with spaces",
        "two\nlines",
        "ünïcode",
        os.fsdecode(b"\xe9"),
        "{a,b}",
        "back\\s",
    ],
)
def test_any_path_takes_checkpoints(model, tmp_path, name):
    """Saved, restored, older ones deleted, as under a plain path: TensorFlow takes some for patterns."""
    folder = tmp_path / name / "checkpoints"
    checkpoints = Checkpoints(folder, model, keep=2)
    states = {}
    for step in STEPS:
        set_state(model, step)
        checkpoints.save()
        states[step] = state(model)
    assert checkpoints.steps() == [2, 3]
    assert sorted(os.listdir(folder)) == [
        "checkpoint",
        *(f"step-{s}.{p}" for s in (2, 3) for p in ("data-00000-of-00001", "index")),
    ]
    set_state(model, 7)
    assert Checkpoints(folder, model).resume() == 3
    assert_state(model, states[3])
    assert checkpoints.latest() == str(folder / "step-3")


def test_a_checkpoint_of_other_networks_is_told_from_damage(model, folder):
    """It is refused with what differs, although an older one could be read, and nothing is moved."""
    set_state(colour := builders.build("vae", shape=(8, 8, 3)), 4)
    Checkpoints(folder, colour, keep=9).save()
    names = sorted(os.listdir(folder))
    for way in ("restore", "resume"):
        with pytest.raises(InputError, match=r"step-4: expected the networks .* of this configuration") as error:
            getattr(Checkpoints(folder, model), way)()
        assert re.search(r"encoder/\S+ is float32 \[(\d), \1, 3, \d\], not float32 \[\1, \1, 1, \d\]", str(error.value))
        assert sorted(os.listdir(folder)) == names
    with pytest.raises(InputError, match=r"others: no model/\d+/encoder/\S+, .* and \d+ more\. Remedy: choose another"):
        Checkpoints(folder, builders.build("vae", shape=(8, 8, 3), batch_norm="shared")).restore()


def test_a_checkpoint_under_the_name_of_another_step_is_none(model, kept, folder):
    for name in PARTS:
        shutil.copy(folder / name, folder / name.replace("3", "8", 1))
    said = []
    assert Checkpoints(folder, model, say=said.append).restore() == 3
    assert said == [f"warning: {folder}/step-8 cannot be read (it holds step 3); step 3 is restored in its place"]


def test_a_save_that_was_killed_is_swept_and_others_files_are_not(model, folder):
    for name in (".step-4.abc_1", "step-4_temp"):
        (folder / name).mkdir()
        (folder / name / "part-00000-of-00001").write_text("")
    (folder / "step-notes").mkdir()
    (folder / ".git").mkdir()
    names = set(os.listdir(folder))
    Checkpoints(folder, model).restore()
    assert set(os.listdir(folder)) == names  # it may be another process's
    Checkpoints(folder, model).resume()
    assert names - set(os.listdir(folder)) == {".step-4.abc_1", "step-4_temp"}


def test_the_one_just_written_stays_though_another_has_a_higher_step(model, tmp_path):
    """As where a best checkpoint by another score comes earlier than the one of before."""
    best = Checkpoints(tmp_path, model)
    for step in (5, 3):
        set_state(model, step)
        best.write()
    assert best.steps() == [3, 5]
    best.rotate()
    assert best.steps() == [3]


@pytest.mark.parametrize("keep", [1, 2, 5, 9])
def test_as_many_are_kept_as_asked_for(model, folder, keep):
    set_state(model, 4)
    Checkpoints(folder, model, keep=keep).save()
    assert Checkpoints(folder, model).steps() == [1, 2, 3, 4][-keep:]
