"""Files appear whole or not at all, with the permissions that a user gave; what a kill left behind is swept."""

import errno
import os
import pathlib
import re
import signal
import stat
import subprocess
import sys

import pytest

from pga_tf.core import files
from pga_tf.core.checks import InputError


def names(folder):
    return sorted(os.listdir(folder))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_permissions_that_the_umask_leaves(tmp_path, umask):
    before = os.umask(umask)
    try:
        files.write_text(tmp_path / "x", "new")
    finally:
        os.umask(before)
    assert mode(tmp_path / "x") == 0o666 & ~umask


@pytest.mark.parametrize("permissions", [0o600, 0o640, 0o664, 0o444])
def test_a_file_keeps_its_permissions(tmp_path, permissions):
    (tmp_path / "x").write_text("old")
    (tmp_path / "x").chmod(permissions)
    files.write_text(tmp_path / "x", "new")
    assert (mode(tmp_path / "x"), (tmp_path / "x").read_text()) == (permissions, "new")


def test_what_a_link_points_to_is_replaced(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "target").write_text("old")
    (tmp_path / "link").symlink_to("there/target")
    files.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "target").read_text() == "new"
    (tmp_path / "to_nothing").symlink_to("there/made")
    files.write_text(tmp_path / "to_nothing", "made")
    assert (tmp_path / "there" / "made").read_text() == "made"
    assert names(tmp_path / "there") == ["made", "target"]


@pytest.mark.parametrize("name", ["x" * 255, "ü" * 127, "a", "[x]*?", "two\nlines", os.fsdecode(b"\xe9")])
def test_names_may_be_as_a_disk_allows(tmp_path, name):
    files.write_text(tmp_path / name, "text")
    assert names(tmp_path) == [name]


def test_text_is_utf_8_and_a_page_spells_out_bytes_of_file_names(tmp_path):
    files.write_page(tmp_path / "x", "ü" + os.fsdecode(b"\xe9"))
    assert (tmp_path / "x").read_text("utf-8") == "ü\\udce9"


def test_a_failure_leaves_what_was_there(tmp_path):
    (tmp_path / "x").write_text("old")

    def interrupted():
        with files.replacing(tmp_path / "x", "w") as file:
            file.write("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == ["x"]
    assert (tmp_path / "x").read_text() == "old"


def test_an_error_names_the_file_and_not_the_temporary_one(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as error:
        files.write_text(tmp_path / "folder", "")
    assert error.value.filename == str(tmp_path / "folder")
    with pytest.raises(FileNotFoundError) as error:
        files.write_text(tmp_path / "none" / "x", "")
    assert error.value.filename == str(tmp_path / "none" / "x")


def test_the_file_is_synced_before_it_is_moved_and_its_folder_after(tmp_path, monkeypatch):
    done, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda handle: done.append(os.path.basename(os.readlink(f"/proc/self/fd/{handle}"))) or fsync(handle),
    )
    monkeypatch.setattr(os, "replace", lambda a, b: done.append("moved") or replace(a, b))
    files.write_text(tmp_path / "x", "text")
    assert re.fullmatch(r"\.x\.[0-9a-f]{8}", done[0])
    assert done[1:] == ["moved", tmp_path.name]


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    code = f"""import sys, time
from pga_tf.core import files
with files.replacing({str(tmp_path / "metrics.jsonl")!r}, "w") as file:
    print("ready", flush=True)
    time.sleep(60)
"""
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    writer.stdout.readline()
    (left,) = names(tmp_path)
    own = re.compile(r"metrics\.jsonl")
    files.sweep(tmp_path, own)
    assert names(tmp_path) == [left]
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    others = [".gitignore", ".vimrc.settings", ".metrics.jsonl.backup12.x", "metrics.jsonl.abcd1234", ".other.abcd1234"]
    for name in others:
        (tmp_path / name).write_text("")
    (tmp_path / ".metrics.jsonl.aaaaaaaa").mkdir()
    files.sweep(tmp_path, own)
    assert names(tmp_path) == sorted([*others, ".metrics.jsonl.aaaaaaaa"])
    files.sweep(tmp_path / "missing", own)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected JSON, received an empty file"), (b"{", "expected JSON"), (b"\xff", "in UTF-8"),
        (b"[" * 100_000, "expected JSON"), (b"1" * 5000, "expected JSON"), (b"\0", "zero bytes"),
    ],
)  # fmt: skip
def test_what_is_no_json_is_refused_with_the_remedy(tmp_path, content, message):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match=rf"x: .*{message}.*Remedy: write it anew\.$"):
        files.read_json(tmp_path / "x", "write it anew")


def test_a_file_without_permission_is_refused(tmp_path, monkeypatch):
    def refuse(self):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)  # root may read anything
    with pytest.raises(InputError, match=r"x: expected a text file in UTF-8, received Permission denied"):
        files.read_json(tmp_path / "x", "chmod")


def test_what_no_file_can_replace_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to("file")
    files.require_places([tmp_path / "file", tmp_path / "link", tmp_path / "none"])
    (tmp_path / "astray").symlink_to("nowhere/x")
    for path, received in ((tmp_path, "a folder"), (tmp_path / "astray", "a link to a folder that is not there")):
        with pytest.raises(InputError, match=f"{path}: expected a file, received {received}. Remedy: move it away"):
            files.require_places([path])


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    files.require_folder(tmp_path / "a" / "b")
    assert names(tmp_path / "a" / "b") == []
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=rf"expected a folder that can be written, received a file at {tmp_path}"):
            files.require_folder(path)
