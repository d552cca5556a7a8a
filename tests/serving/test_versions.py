"""Versions that appear whole and labelled, whatever kills their export, and who takes up what a kill left."""

import os
import pathlib
import signal
import time

import pytest

from pga_tf.core import files
from pga_tf.core.checks import InputError
from pga_tf.serving import versions
from pga_tf.serving.local import policy
from pga_tf.serving.versions import Versions
from tests import commands, forks


def publish(base, name="m", version=0, label="", text="weights"):
    with Versions(base, name).publishing(version, label) as (number, folder):
        (folder / "saved_model.pb").touch()
        (folder / "variables").mkdir()
        (folder / "variables" / "data").write_text(text)
    return number


def labels(base, name="m"):
    return versions.labels(versions.read_config(base), name)


def killed(action, owner, name, *, after, at=1):
    """Does `action` in a process that dies at call number `at` of a function of ours, before or after it."""

    def child():
        whole, calls = getattr(owner, name), []

        def function(*args, **kwargs):
            calls.append(args)
            if len(calls) == at and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            made = whole(*args, **kwargs)
            if len(calls) == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        setattr(owner, name, function)
        action()

    assert forks.exit_code(child) == -signal.SIGKILL


# (owner and name of the function, whether the kill comes after it, its call; whether the version is there afterwards)
KILLS = {
    "before anything is written": (Versions, "require_free", True, 1, False),
    "half written": (pathlib.Path, "write_text", True, 1, False),
    "whole, without its label": (files, "sync_below", False, 1, False),
    "whole": (files, "sync_below", True, 1, False),
    "moved": (pathlib.Path, "rename", True, 1, True),
    "before it is entered": (files, "write_text", False, 1, True),
    "entered": (files, "write_text", True, 1, True),
    "done": (pathlib.Path, "unlink", True, 1, True),
}
# Who comes next: what it does to the base, and what it makes of the labels of a model of version 1 and a killed 2.
NEXT = {
    "export": (lambda base: publish(base), {True: {"stable": 1, "canary": 3}, False: {"stable": 1, "canary": 2}}),
    "promote": (
        lambda base: commands.call("export", f"--export_base={base}", "--name=m", "--promote=1"),
        {True: {"stable": 1, "canary": 2}, False: {"stable": 1}},
    ),
    "serve": (lambda base: versions.finish_all(base), {True: {"stable": 1, "canary": 2}, False: {"stable": 1}}),
}


@pytest.mark.parametrize("then", NEXT.values(), ids=NEXT)
@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
def test_a_kill_leaves_nothing_or_a_whole_version_with_its_label(tmp_path, kill, then):
    publish(tmp_path)
    *where, there = kill
    killed(lambda: publish(tmp_path), *where[:2], after=where[2], at=where[3])
    assert Versions(tmp_path, "m").existing() == [1, 2][: 1 + there]
    assert sorted(policy.on_disk(tmp_path / "m")) == [1, 2][: 1 + there]  # what a server sees
    act, expected = then
    act(tmp_path)
    assert labels(tmp_path) == expected[there]
    for version in Versions(tmp_path, "m").existing():
        folder = tmp_path / "m" / str(version)
        held = {str(path.relative_to(folder)) for path in folder.rglob("*")}
        assert held == {"saved_model.pb", "variables", "variables/data"}
    if act is not NEXT["serve"][0] or there:
        publish(tmp_path)
        assert not list((tmp_path / "m").glob(".*"))


def test_what_is_published_is_on_the_disk_itself(tmp_path, monkeypatch):
    synced, sync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.add(os.fstat(handle).st_ino), sync(handle)))
    publish(tmp_path)
    assert {path.stat().st_ino for path in [tmp_path / "m", *(tmp_path / "m").rglob("*")]} <= synced


@pytest.mark.parametrize("label", ["", "canary", "stable"])
def test_the_first_version_that_was_killed_gets_the_label_that_it_was_to_have(tmp_path, label):
    killed(lambda: publish(tmp_path, label=label), pathlib.Path, "rename", after=True)
    assert not (tmp_path / "models.config").exists()
    (told,) = versions.finish_all(tmp_path)
    assert labels(tmp_path) == {label or "stable": 1}
    assert told == f"version 1 of m, whose export was killed, is {label or 'stable'} now"
    assert versions.finish_all(tmp_path) == []


def test_what_a_living_process_writes_is_left_alone(tmp_path):
    publish(tmp_path)
    with Versions(tmp_path, "m").publishing(0) as (_, folder):
        (folder / "half").touch()
        assert Versions(tmp_path, "m").finish() == []
        versions.set_label(Versions(tmp_path, "m"), "canary", 1)  # a promotion need not wait for an export
        with pytest.raises(
            InputError, match=rf"no other process exports, received one in use by process {os.getpid()} "
        ):
            publish(tmp_path)
        assert (folder / "half").exists()
    assert labels(tmp_path) == {"stable": 1, "canary": 2}


def test_a_version_that_cannot_be_entered_is_not_published(tmp_path, monkeypatch):
    publish(tmp_path)
    before = (tmp_path / "models.config").read_text()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_text", full)
    with pytest.raises(InputError, match=r"No space left on device.*nothing was published"):
        publish(tmp_path)
    with pytest.raises(InputError, match=r"models\.config: .*No space left on device.*nothing was changed"):
        versions.set_label(Versions(tmp_path, "m"), "canary", 1)
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["1"]
    assert (tmp_path / "models.config").read_text() == before


def test_models_that_are_published_at_once_lose_no_entry(tmp_path):
    """Each reads models.config and writes it anew."""

    def child(name):
        read = versions.read_config
        versions.read_config = lambda base: (read(base), time.sleep(0.05))[0]
        publish(tmp_path, name)

    processes = [forks.start(child, f"m{i}") for i in range(8)]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 8
    assert all(labels(tmp_path, f"m{i}") == {"stable": 1} for i in range(8))


def test_a_base_that_cannot_be_written_is_told_by_the_server(tmp_path):
    killed(lambda: publish(tmp_path), pathlib.Path, "rename", after=True)
    (tmp_path / "models.config").mkdir()
    (told,) = versions.finish_all(tmp_path)
    assert told.startswith("version 1 of m is not served, for its export was killed: ")


@pytest.mark.parametrize(
    ("name", "version", "message"),
    [
        ("models.config", 0, "--name: expected letters"),
        ("m", 2**63, "--version: expected at most 9223372036854775807"),
    ],
)
def test_names_and_numbers_that_models_config_cannot_hold_are_refused(tmp_path, name, version, message):
    with pytest.raises(InputError, match=message):
        publish(tmp_path, name, version)
    assert not (tmp_path / name).exists()
