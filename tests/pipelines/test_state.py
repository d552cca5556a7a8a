"""What a pipeline's root may have come to between two runs: a damaged database, damaged artifacts, an older layout."""

import contextlib
import dataclasses
import os
import pathlib
import re
import resource
import shutil
import signal
import sqlite3
import sys
import threading
import time

import pytest
import tensorflow as tf

from pga_tf.core import signals
from pga_tf.core.checks import InputError
from pipelines import database, graph, lineage, page, run, runner
from pipelines.runner import Step
from pipelines.store import COLUMNS, DATABASE, TABLES, Store
from tests import forks
from tests.pipelines import helpers
from tests.pipelines.test_runner import all_in, fake, go


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("state") / "root"
    assert go(root) == all_in("run")
    return root


@pytest.fixture
def root(made, tmp_path):
    """A root in which all steps ran; times of files are kept, as a backup keeps them."""
    return pathlib.Path(shutil.copytree(made, tmp_path / "root"))


def altered(*statements):
    def damage(path):
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.executescript(";".join(statements))

    return damage


def in_its_place(make):
    def damage(path):
        path.unlink()
        make(path)

    return damage


def cut(path):
    os.truncate(path, path.stat().st_size - 6000)


def spoiled(path):
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * 4096 + content[8192:])


# What became of the database: (damage, what the sentence says). Every one keeps the path in it, and a remedy.
DAMAGES = {
    "cut short": (cut, "an SQLite database that is whole"),
    "garbage": (in_its_place(lambda path: path.write_bytes(b"garbage" * 999)), "received file is not a database"),
    "a page is spoiled": (spoiled, "an SQLite database that is whole"),
    "a folder": (in_its_place(pathlib.Path.mkdir), "received a folder"),
    "a pipe": (in_its_place(os.mkfifo), "received something else"),
    "a newer layout": (altered("pragma user_version=99"), "received tables of layout 99, of a newer program"),
    "an older layout": (
        altered("alter table executions drop column figures", "pragma user_version=0"), "received other tables",
    ),
    "a layout that lacks a table": (altered("drop table files"), "received other tables"),
    "another program's": (
        in_its_place(lambda path: altered("create table history (url text)")(path)), "received other tables",
    ),
    "parts of an entry gone": (altered("delete from artifacts where execution=1"), "an execution 2 of which parts"),
    "an entry damaged": (altered("update executions set figures='{'"), "of which parts are missing or damaged"),
}  # fmt: skip


@pytest.mark.parametrize(("damage", "says"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_database_is_told_in_a_sentence_before_any_work(root, damage, says):
    damage(root / DATABASE)
    before = sorted(root.rglob("*"))
    with pytest.raises(InputError) as refused:
        go(root, lambda name: pytest.fail("a step began"))
    assert says in str(refused.value)
    assert f"{root / DATABASE}: expected " in str(refused.value)
    assert "\n" not in str(refused.value)
    assert sorted(root.rglob("*")) == before
    with pytest.raises(InputError, match=re.escape(says)):
        list(lineage.opened(root).executions("b"))


@pytest.mark.parametrize("damage", ["cut short", "garbage", "a folder", "a newer layout"])
def test_the_remedy_works_as_it_is_printed(root, damage):
    DAMAGES[damage][0](root / DATABASE)
    before = root / f"{DATABASE}.damaged"
    before.write_text("of another time")
    with pytest.raises(InputError) as refused:
        go(root)
    command = str(refused.value).partition("with: ")[2].removesuffix(".")
    assert os.system(command) == 0
    assert before.read_text() == "of another time"
    assert go(root) == all_in("run")
    assert go(root) == all_in("cached")


@pytest.mark.parametrize("lost", ["gone", "empty"])
def test_folders_of_a_lost_database_stay_and_new_ones_are_numbered_above_them(root, lost):
    (root / DATABASE).unlink()
    if lost == "empty":
        (root / DATABASE).touch()
    (root / "a" / "out" / "17").mkdir()
    (root / "models" / "name" / "1700000000").mkdir(parents=True)  # no folder of a step
    told = []
    with runner.locked(root):
        results = runner.run(fake(), root, say=str, tell=told.append)
    assert {path.name for path in (root / "a" / "out").iterdir()} == {"1", "17", "18"}
    assert [result.execution.id for result in results.values()] == [18, 19, 20, 21]
    assert "numbered from 18" in told[0]
    assert "a/out/17" in told[0]
    told.clear()
    with runner.locked(root):
        runner.run(fake(), root, say=str, tell=told.append)
    assert told == []


def test_a_copy_of_the_database_from_before_does_not_number_anew_what_is_there(root):
    copy = (root / DATABASE).read_bytes()
    go(root, values={"a": "x"})
    (root / DATABASE).write_bytes(copy)
    assert go(root, values={"a": "y"}) == all_in("run")
    assert {path.name for path in (root / "a" / "out").iterdir()} == {"1", "5", "9"}


def test_a_root_of_before_there_were_layouts_goes_on(root):
    with contextlib.closing(sqlite3.connect(root / DATABASE)) as db:
        rows = {table: db.execute(f"select * from {table}").fetchall() for table in COLUMNS}
    (root / DATABASE).unlink()
    with contextlib.closing(sqlite3.connect(root / DATABASE)) as db:
        db.executescript(TABLES)
        for table, found in rows.items():
            db.executemany(f"insert into {table} values ({','.join('?' * len(COLUMNS[table]))})", found)
        db.commit()
    assert [execution.id for execution in Store(root).executions("d")] == [4]  # as the lineage reads it
    assert go(root) == all_in("cached")
    assert go(root, values={"d": "x"}) == all_in("cached") | {"d": "run"}
    with contextlib.closing(sqlite3.connect(root / DATABASE)) as db:
        assert db.execute("pragma user_version").fetchone() == (1,)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.2)


@pytest.mark.parametrize("lock", ["exclusive", "immediate"])
def test_a_database_that_another_holds_is_waited_for_and_told_with_its_holder(root, impatient, lock):
    with contextlib.closing(sqlite3.connect(root / DATABASE)) as other:
        other.execute(f"begin {lock}")
        with pytest.raises(
            InputError, match=rf"no other process holds for more than 0\.2 s.* by process {os.getpid()} "
        ):
            go(root, lambda name: pytest.fail("a step began"))
        if lock == "immediate":  # whoever reads is in nobody's way
            assert list(Store(root).executions("a"))
    assert go(root) == all_in("cached")


def test_what_ends_while_the_database_is_held_is_entered_by_the_next_run(root, impatient):
    with contextlib.closing(sqlite3.connect(root / DATABASE, check_same_thread=False)) as other:
        hold = lambda name: name == "a" and other.execute("begin exclusive")
        steps = [Step("a", hold_and_write, outputs=("out",), others={"hold": hold})]
        with runner.locked(root), pytest.raises(InputError, match="database is locked"):
            runner.run(steps, root, say=str)
    with runner.locked(root):
        result = runner.run(steps, root, say=str)["a"]
    assert (result.state, [path.name for path in result.execution.outputs["out"].path.iterdir()]) == (
        "cached",
        ["file"],
    )


def test_what_works_beside_a_step_that_cannot_be_entered_ends_and_is_entered_later(tmp_path, impatient):
    ended = []

    def wait(name):
        if name == "c":
            refusing.wait(20)
            time.sleep(0.3)
            ended.append(name)

    refusing = threading.Event()
    go(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        complete = Store.complete

        def refused(self, staging):
            if staging.parts[-3] == "b":
                refusing.set()
                raise InputError("the database is held")
            return complete(self, staging)

        patch.setattr(Store, "complete", refused)
        with pytest.raises(InputError, match="is held"):
            go(tmp_path, wait, values={"b": "x", "c": "x"})
        assert ended == ["c"]
        assert not any(thread.name.startswith(runner.THREAD) for thread in threading.enumerate())
    assert go(tmp_path, values={"b": "x", "c": "x"}) == all_in("cached") | {"d": "run"}


def hold_and_write(hold, out):
    (pathlib.Path(out) / "file").touch()
    hold("a")


def test_what_is_entered_is_on_the_disk_itself(tmp_path, monkeypatch):
    synced, sync = set(), os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.add(os.fstat(handle).st_ino), sync(handle)))
    assert go(tmp_path) == all_in("run")
    written = [*tmp_path.glob("*/out/**/*"), *tmp_path.glob("*/out")]
    assert len(written) == 4 * 4
    assert {path.stat().st_ino for path in written} <= synced


def test_a_disk_without_room_is_told_before_any_work(root):
    def child():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        with pytest.raises(InputError, match=r"expected a disk .*Remedy: free some space"):
            go(root, lambda name: pytest.fail("a step began"))

    assert forks.exit_code(child) == 0


NOBODY = 65534


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user who may not write")
@pytest.mark.parametrize(
    ("locked", "says"),
    [
        ("file", "metadata.sqlite: expected a file that can be written"),
        ("folder", "--pipeline_root=.*: expected a folder that can be written"),
    ],
)
def test_a_root_that_cannot_be_written_is_told_before_any_work_and_can_be_read(root, locked, says):  # fmt: skip
    for path in [root, *root.rglob("*")]:
        os.chown(path, NOBODY, NOBODY)
        path.chmod(0o755 if path.is_dir() else 0o644)
    (root if locked == "folder" else root / DATABASE).chmod(0o555)
    if locked == "folder":
        (root / ".lock").unlink()
    for path in root.parents[:-1]:  # pytest keeps its folders to itself
        path.chmod(path.stat().st_mode | 0o055)

    def child():
        os.setuid(NOBODY)
        with pytest.raises(InputError, match=says):
            go(root, lambda name: pytest.fail("a step began"))
        assert [execution.id for execution in lineage.opened(root).executions("d")] == [4]

    assert forks.exit_code(child) == 0


@pytest.mark.parametrize("place", ["a file", "below a file"])
def test_a_root_that_is_no_folder_is_refused(tmp_path, place):
    (tmp_path / "file").touch()
    root = tmp_path / "file" / ("root" if place == "below a file" else "")
    with pytest.raises(InputError, match=r"--pipeline_root=.*a folder that can be written, received .*file"):
        go(root)


def same_size(path):
    path.write_text("x" * path.stat().st_size)
    os.utime(path, ns=(1, 1))


ARTIFACT_DAMAGES = {
    "file gone": lambda folder: (folder / "second").unlink(),
    "file cut": lambda folder: (folder / "second").write_text(""),
    "file changed": lambda folder: same_size(folder / "second"),
    "a folder for a file": lambda folder: ((folder / "first").unlink(), (folder / "first").mkdir()),
    "folder gone": shutil.rmtree,
    "a file for the folder": lambda folder: (shutil.rmtree(folder), folder.touch()),
}


@pytest.mark.parametrize("step", ["b", "d"])
@pytest.mark.parametrize("damage", ARTIFACT_DAMAGES.values(), ids=ARTIFACT_DAMAGES)
def test_a_damaged_artifact_is_made_again_and_said(root, damage, step):
    (folder,) = (root / step / "out").iterdir()
    damage(folder)
    told = []
    with runner.locked(root):
        results = runner.run(fake(), root, say=str, tell=told.append)
    assert helpers.states(results) == all_in("cached") | {step: "run"}  # what it makes is what it was
    # What is no folder any more was deleted by someone who meant it.
    assert [str(folder) in text and "damaged" in text for text in told] == [True] * folder.is_dir()
    assert go(root) == all_in("cached")


def test_what_others_put_beside_the_files_of_an_artifact_damages_nothing(root):
    (folder,) = (root / "a" / "out").iterdir()
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "report.html").touch()
    for name in ("first", "second"):
        os.utime(folder / name)  # a copy without its times
    assert go(root) == all_in("cached")
    reads = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.store.digest_of", lambda *args: reads.append(args))
        assert go(root) == all_in("cached")
    assert reads == []  # what was read once need not be read again


@pytest.mark.parametrize("resolve", [graph.previous_statistics, graph.last_blessed])
def test_a_damaged_artifact_of_an_earlier_run_is_no_standard(tmp_path, resolve):
    """By the names of the real steps, with what they look at of each other."""
    chosen = helpers.tiny(tmp_path)
    store = Store(tmp_path)
    store.clean(graph.steps(chosen))
    judge, argument, outputs = {
        graph.previous_statistics: ("ExampleValidator", "statistics", ("anomalies",)),
        graph.last_blessed: ("Evaluator", "run_with_priors", ("evaluation", "blessing")),
    }[resolve]

    def ran(name, outputs, inputs):
        id = store.begin(name, "key", {}, "code", inputs)
        staging = tmp_path / name / ".staging" / str(id)
        for output in outputs:
            (staging / output).mkdir(parents=True)
            (staging / output / "file").write_text(f"{name} {id}")
            (staging / output / "BLESSED").touch()
        digests = {output: runner.finished.digest_of(staging / output) for output in outputs}
        runner.finished.write(staging, runner.Finished(id, digests, {}, 1.0))
        return store.complete(staging)

    before, now = (ran("x", (argument,), {}).outputs[argument] for _ in range(2))
    judged = ran(judge, outputs, {argument: before})
    found = resolve(store, {argument: now})
    assert found.path == (before if argument == "statistics" else judged.outputs["evaluation"]).path
    (found.path / "file").write_text("")
    assert resolve(store, {argument: now}) is None


@pytest.mark.parametrize("main_thread", [False, True])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_given_twice_ends_a_run_politely_and_the_next_goes_on(tmp_path, number, main_thread):
    root = tmp_path / "root"

    def wait(name):
        if name == "c":
            (tmp_path / "waits").touch()
            time.sleep(60)

    def child():
        steps = [dataclasses.replace(step, main_thread=main_thread) for step in fake(wait)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(run.settings, "from_flags", lambda: helpers.tiny(root))
            patch.setattr(graph, "steps", lambda chosen: steps)
            patch.setattr(graph, "require", lambda chosen: None)
            with signals.raising():
                sys.exit(run.main())

    process = forks.start(child, told=tmp_path)
    for _ in range(3000):
        if (tmp_path / "waits").exists() or not process.is_alive():
            break
        time.sleep(0.01)
    for _ in range(2):
        os.kill(process.pid, number)
        time.sleep(0.02)
    process.join(20)
    alive = process.is_alive()
    process.kill()
    assert not alive
    assert process.exitcode == 130
    out, err = ((tmp_path / name).read_text() for name in ("out", "err"))
    lines = [line.split() for line in out.splitlines()]
    assert ["c", "interrupted"] in [line[:2] for line in lines]
    assert ["d", "not", "run"] in lines
    assert out.splitlines()[-1] == "interrupted; the same command goes on"
    assert "Traceback" not in err
    assert 'state failed">interrupted' in (root / page.NAME).read_text()
    with contextlib.closing(sqlite3.connect(root / DATABASE)) as db:
        states = dict(db.execute("select component, state from executions"))
    assert (states["a"], states["c"]) == ("complete", "interrupted")
    again = go(root)
    assert (again["a"], again["c"], again["d"]) == ("cached", "run", "run")


def test_a_step_that_a_signal_stopped_starts_no_other(tmp_path):
    def stop(name):
        if name == "b":
            raise signals.Stopped("a signal; the same command goes on")

    steps = [dataclasses.replace(step, main_thread=True) for step in fake(stop)]
    with runner.locked(tmp_path):
        results = runner.run(steps, tmp_path, say=str)
    assert helpers.states(results) == {"a": "run", "b": "interrupted", "c": "not run", "d": "not run"}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(28, "No space left on device", "/there/file"), "/there/file: No space left on device. Remedy: free"),
        (MemoryError(), "Out of memory. Remedy: lower"),
        (SystemExit(2), "Traceback"),  # of a parser of arguments, say; none is waited for for ever
        (
            tf.errors.ResourceExhaustedError(None, None, "/there; No space left on device\nmore"),
            "/there: No space left on device. Remedy: free",
        ),
    ],
)
def test_what_a_machine_lacks_is_told_in_a_line(tmp_path, error, says):
    def fail(name):
        raise error

    with runner.locked(tmp_path):
        told = runner.run(fake(fail), tmp_path, say=str)["a"].error
    assert told.startswith(says)
    assert "\n" not in told or says == "Traceback"
    assert not list(tmp_path.glob("a/.staging/*"))  # room for the next try
