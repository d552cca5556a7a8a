"""Which files of a folder are its pictures, and that everything else a person would take for one is counted."""

import collections
import os
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from pga_tf.core import pictures

PICTURE = Image.fromarray(np.zeros((4, 4, 3), np.uint8))


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        PICTURE.save(root / name, "JPEG")


def passed_over(root, **kwargs):
    return pictures.listing(str(root), **kwargs).passed_over


def test_pictures_are_found_by_any_usual_ending_and_whatever_their_names(tmp_path):
    names = [
        "a.jpg",
        "b.JPEG",
        "c.jfif",
        "d.avif",
        "e.jp2",
        "f.ppm",
        "g.tif",
        "sub/deeper/h.png",
        "o n\ne*[1].jpg",
        "ü.jpg",
    ]
    write(tmp_path, *names)
    found = pictures.listing(str(tmp_path))
    assert found.names == sorted(names)
    assert found.sizes["a.jpg"] == (tmp_path / "a.jpg").stat().st_size
    assert found.lines() == []


@pytest.mark.parametrize("folder", [".thumbnails", ".ipynb_checkpoints", "@eaDir", "__MACOSX", "a/.hidden/b"])
def test_pictures_in_hidden_folders_are_counted_and_not_used(tmp_path, folder):
    write(tmp_path, "1.jpg", f"{folder}/2.jpg", f"{folder}/3.jpg")
    (tmp_path / folder / "settings.ini").write_text("")
    found = pictures.listing(str(tmp_path))
    assert found.names == ["1.jpg"]
    assert found.passed_over == {pictures.HIDDEN_FOLDER: [f"{folder}/2.jpg", f"{folder}/3.jpg"]}
    assert found.lines() == [f"warning: 2 passed over, {pictures.HIDDEN_FOLDER}: {folder}/2.jpg, {folder}/3.jpg"]


def test_what_is_passed_over_is_counted_with_its_reason(tmp_path):
    write(tmp_path, "1.jpg", ".2.jpg", "3", "4.jpg.bak", "5.heic")
    (tmp_path / "notes.txt").write_text("text")
    (tmp_path / "labels.json").write_text("{}")
    (tmp_path / "empty").write_text("")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "lost.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert passed_over(tmp_path) == {
        pictures.HIDDEN: [".2.jpg"],
        pictures.NO_NAME: ["3", "4.jpg.bak"],
        pictures.OTHER_FORMAT: ["5.heic"],
        pictures.NO_FILE: ["lost.jpg", "pipe.jpg"],
        pictures.NO_PICTURE: ["empty", "labels.json", "notes.txt"],
    }
    lines = pictures.listing(str(tmp_path)).lines()
    assert sum(line.startswith("warning: ") for line in lines) == 4
    assert "3 passed over, no pictures: no ending 1, .json 1, .txt 1" in lines


def test_links_are_followed_once(tmp_path):
    write(tmp_path / "elsewhere", "1.jpg")
    write(tmp_path / "root", "2.jpg")
    (tmp_path / "root" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "up").symlink_to(tmp_path / "root")
    (tmp_path / "root" / "itself").symlink_to(tmp_path / "root" / "itself")
    (tmp_path / "root" / "one.jpg").symlink_to(tmp_path / "elsewhere" / "1.jpg")
    found = pictures.listing(str(tmp_path / "root"))
    assert found.names == ["2.jpg", "linked/1.jpg", "one.jpg"]
    assert found.passed_over == {pictures.SEEN: ["up"], pictures.NO_PICTURE: ["itself"]}


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    write(tmp_path, "1.jpg", "closed/2.jpg")
    scan = os.scandir

    def closed(path):  # root may open anything
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert passed_over(tmp_path) == {pictures.CLOSED: ["closed"]}


@pytest.mark.parametrize("top", ["", "photos/", "a/b/"])
@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "VAL"), ("train", "valid")])
def test_folders_named_train_and_test_are_the_splits(tmp_path, top, train, test):
    write(tmp_path, f"{top}{train}/cat/1.jpg", f"{top}{train}/2.jpg", f"{top}{test}/cat/1.jpg")
    found = pictures.listing(str(tmp_path))
    assert found.splits == {
        "train": sorted([f"{top}{train}/cat/1.jpg", f"{top}{train}/2.jpg"]),
        "test": [f"{top}{test}/cat/1.jpg"],
    }
    assert "2 to train, 1 to test" in found.lines()[0]


def test_test_goes_before_val_and_the_rest_is_in_neither(tmp_path):
    write(tmp_path, "train/1.jpg", "val/2.jpg", "test/3.jpg", "4.jpg", "training_notes/5.jpg")
    found = pictures.listing(str(tmp_path))
    assert found.splits == {"train": ["train/1.jpg"], "test": ["test/3.jpg"]}
    assert found.names == ["test/3.jpg", "train/1.jpg"]
    assert found.passed_over == {pictures.NEITHER: ["4.jpg", "training_notes/5.jpg", "val/2.jpg"]}


def test_a_class_named_train_alone_is_no_split(tmp_path):
    write(tmp_path, "train/1.jpg", "bus/2.jpg")
    assert pictures.listing(str(tmp_path)).splits == {}


def test_a_folder_s_own_files_alone(tmp_path):
    write(tmp_path, "1.jpg", "below/2.jpg")
    assert passed_over(tmp_path, below=False) == {pictures.BELOW: ["below"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain.jpg", "plain.jpg"),
        ("a\nb\x1b[2J", "a\\nb\\x1b[2J"),
        ("ü日", "ü日"),
        (os.fsdecode(b"\xff.jpg"), "\\xff.jpg"),
    ],
)
def test_names_are_shown_in_one_line_that_any_stream_takes(name, text):
    assert pictures.shown(name) == text
    text.encode("utf-8")


def test_a_large_folder_is_listed_entry_by_entry(tmp_path):
    count = 2000
    for number in range(count):
        (tmp_path / f"{number}.jpg").touch()
    tracemalloc.start()
    try:
        collections.deque(pictures._walk(str(tmp_path), True), maxlen=0)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 100 * count  # bytes; entries with what is known of their files are more than 700 each
