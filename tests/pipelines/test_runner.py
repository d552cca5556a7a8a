"""The runner on a graph of instant steps: cache, failure, SIGKILL anywhere, one run per root, steps side by side."""

import dataclasses
import importlib.util
import itertools
import os
import pathlib
import shutil
import signal
import sys
import threading

import pytest

from pga_tf.core import signals
from pga_tf.core.checks import InputError
from pipelines import code_hash, finished, run, runner
from pipelines.runner import Step
from pipelines.store import TFX_DATABASE, Store
from tests import forks

ORDER = ("a", "b", "c", "d")  # d needs b and c, both need a
NEEDS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}


def write(trouble=None, name="", value="", **folders):
    """A step that writes two files to `out`, what it was given among them, and gets into trouble between them."""
    out = pathlib.Path(folders.pop("out"))
    (out / "first").write_text(name)
    if trouble:
        trouble(name)
    read = [(pathlib.Path(folder) / "second").read_text() for _, folder in sorted(folders.items())]
    (out / "second").write_text(name + value + "".join(read))
    return {"wrote": name}


def fake(trouble=None, values=(), fingerprint=None):
    values = dict(values)
    return [
        Step(
            name,
            write,
            inputs={f"from_{need}": (need, "out") for need in NEEDS[name]},
            outputs=("out",),
            parameters={"name": name, "value": values.get(name, "")},
            others={"trouble": trouble},
            fingerprint=fingerprint if name == "a" else None,
        )
        for name in ORDER
    ]


def go(root, *args, **kwargs):
    with runner.locked(root):
        results = runner.run(fake(*args, **kwargs), root, say=lambda result: None)
    return {name: result.state for name, result in results.items()}


def all_in(state):
    return dict.fromkeys(ORDER, state)


def visible(root):
    """Output folders that anyone can see, and what is in each."""
    return {path: {file.name for file in path.iterdir()} for path in root.glob("*/[!.]*/*") if path.is_dir()}


def test_the_second_run_is_cached_and_writes_nothing(tmp_path):
    assert go(tmp_path) == all_in("run")
    before = visible(tmp_path)
    assert go(tmp_path) == all_in("cached")
    assert visible(tmp_path) == before
    assert {str(path.relative_to(tmp_path)) for path in before} == {"a/out/1", "b/out/2", "c/out/3", "d/out/4"}


def test_a_parameter_runs_its_step_and_those_after_it(tmp_path):
    go(tmp_path)
    assert go(tmp_path, values={"b": "x"}) == {"a": "cached", "b": "run", "c": "cached", "d": "run"}
    assert go(tmp_path) == all_in("cached")  # what was made before is found again


def test_an_equal_result_runs_nothing_after_it(tmp_path):
    go(tmp_path, fingerprint=lambda: "one")
    assert go(tmp_path, fingerprint=lambda: "two") == all_in("cached") | {"a": "run"}


def test_other_data_run_everything(tmp_path):
    go(tmp_path, values={"a": "one"}, fingerprint=lambda: "one")
    assert go(tmp_path, values={"a": "two"}, fingerprint=lambda: "two") == all_in("run")


def test_a_folder_that_is_gone_is_made_again(tmp_path):
    go(tmp_path)
    (tmp_path / "c/out/3").rename(tmp_path / "elsewhere")
    assert go(tmp_path) == all_in("cached") | {"c": "run"}


def test_what_no_longer_holds_outside_is_done_again(tmp_path):
    holds = []
    steps = [Step("a", write, outputs=("out",), parameters={"name": "a"}, still_holds=lambda paths: bool(holds))]
    ends = [runner.run(steps, tmp_path, say=lambda result: None)["a"].state for holds[:] in ([], [], [1])]
    assert ends == ["run", "run", "cached"]


@pytest.fixture
def module(tmp_path):
    """A function that puts a text into a file of its own and loads it as a module."""
    clock = itertools.count(1000, 10)

    def load(text):
        path = tmp_path / "step_of_a_user.py"
        path.write_text(text)
        os.utime(path, times=(now := next(clock), now))  # Python's own cache of bytecode goes by seconds
        spec = importlib.util.spec_from_file_location("step_of_a_user", path)
        made = sys.modules["step_of_a_user"] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
        return made

    yield load
    sys.modules.pop("step_of_a_user", None)


def test_a_change_of_code_runs_the_step_and_one_of_words_does_not(tmp_path, module):
    body = "def step(out):\n    '''{}'''\n    open(out + '/file', 'w').write({!r})  # {}\n"
    ends = []
    for text in (body.format("one", "x", "one"), body.format("two", "x", "two"), body.format("one", "y", "one")):
        steps = [Step("a", module(text).step, outputs=("out",))]
        ends.append(runner.run(steps, root_made(tmp_path / "root"), say=lambda result: None)["a"].state)
    assert ends == ["run", "cached", "run"]


def test_a_step_depends_on_what_it_imports_at_any_remove():
    from pipelines.components import example_gen, trainer

    def imported(module):
        return {str(path.relative_to(code_hash.ROOT)) for path in code_hash.files(pathlib.Path(module.__file__))}

    assert {"pga_tf/training/loop.py", "pga_tf/methods/lpga.py", "pga_tf/data/order.py"} <= imported(trainer)
    assert {"pipelines/sources.py", "pga_tf/data/folder.py"} <= imported(example_gen)
    assert not any("training" in name or "methods" in name for name in imported(example_gen))
    assert "pipelines/image_statistics.py" not in imported(trainer)


def test_a_step_depends_on_the_templates_of_the_pages_that_it_writes(monkeypatch):
    from pipelines.components.evaluator import evaluator
    from pipelines.components.trainer import trainer

    before, read = [code_hash.digest(step) for step in (evaluator, trainer)], pathlib.Path.read_bytes
    for changed in ("report.html", "style.css"):
        other = lambda path, changed=changed: read(path) + (b" " if path.name == changed else b"")
        monkeypatch.setattr(pathlib.Path, "read_bytes", other)
        after = [code_hash.digest(step) for step in (evaluator, trainer)]
        assert [a == b for a, b in zip(before, after, strict=True)] == [False, True], changed


@pytest.mark.parametrize("failing", ORDER)
def test_a_failure_stops_what_needs_it_and_is_taken_up_again(tmp_path, failing):
    def fail(name):
        if name == failing:
            raise InputError("the disk is made of cheese")

    ended = go(tmp_path, fail)
    needing = {"a": {"b", "c", "d"}, "b": {"d"}, "c": {"d"}, "d": set()}[failing]
    assert ended == all_in("run") | {failing: "failed"} | dict.fromkeys(needing, "not run")
    assert all(files == {"first", "second"} for files in visible(tmp_path).values())
    again = go(tmp_path)
    assert again == all_in("cached") | {failing: "run"} | dict.fromkeys(needing, "run")


def test_a_failure_is_told_with_its_message(tmp_path):
    def fail(name):
        raise InputError("the disk is made of cheese")

    def crash(name):
        raise KeyError("lost")

    assert runner.run(fake(fail), tmp_path, say=print)["a"].error == "the disk is made of cheese"
    assert "Traceback" in runner.run(fake(crash), tmp_path, say=print)["a"].error


def test_what_failed_is_told_on_stderr(tmp_path, capsys):
    def fail(name):
        if name == "b":
            raise InputError("the disk is made of cheese")

    runner.run(fake(fail), tmp_path, say=lambda result: run.say(result, print))
    told = capsys.readouterr()
    assert sorted(line.split()[:2] for line in told.out.splitlines()) == [["a", "run"], ["c", "run"], ["d", "not"]]
    first, message = told.err.splitlines()
    assert (first.split()[:2], message.strip()) == (["b", "failed"], "the disk is made of cheese")


@pytest.mark.parametrize("killed", ORDER)
def test_a_kill_within_a_step_leaves_nothing_half_written(tmp_path, killed):
    def kill(name):
        if name == killed:
            os.kill(os.getpid(), signal.SIGKILL)

    assert forks.exit_code(lambda: go(tmp_path, kill)) == -signal.SIGKILL
    seen = visible(tmp_path)
    assert all(files == {"first", "second"} for files in seen.values())
    assert not any(path.parts[-3] == killed for path in seen)
    done = {name for name in ORDER if list(Store(tmp_path).executions(name))}
    done |= {component for component, _, _ in finished.notes(tmp_path)}  # beside the one that was killed
    again = go(tmp_path)
    assert again == {name: "cached" if name in done else "run" for name in ORDER}
    assert again[killed] == "run"
    if killed != "a":
        assert again["a"] == "cached"
    assert go(tmp_path) == all_in("cached")


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def dying(owner, name, of, *, after, at=1):
    """Makes a function of ours kill the process at its call number `at` about the step `of`, before or after it."""
    whole, calls = getattr(owner, name), itertools.count(1)

    def function(*args, **kwargs):
        about = any(of in pathlib.Path(str(arg)).parts for arg in args)
        last = about and next(calls) == at
        if last and not after:
            die()
        made = whole(*args, **kwargs)
        if last:
            die()
        return made

    setattr(owner, name, function)


# Where a process is killed: (owner and name of the function, whether after it, at which of its calls).
BEFORE_THE_NOTE = (finished, "write", False, 1)
KILLS = {
    "before the folders move": (finished, "write", True, 1),
    "between two folders": (pathlib.Path, "rename", True, 1),
    "before the entry": (pathlib.Path, "rename", True, 2),
    "within the entry": (finished, "listing", True, 1),
    "after the entry": (Store, "complete", True, 1),
}


def note(log, name, out, more, **folders):
    """A step of two outputs that also notes, outside of the pipeline, that it was called."""
    with open(log, "a") as file:
        file.write(name)
    (pathlib.Path(out) / "below").mkdir()
    (pathlib.Path(out) / "below" / "file").write_text(name)
    (pathlib.Path(more) / "file").write_text(name + "".join(sorted(folders)))
    return {"wrote": name, "not a number": float("nan")}


def run_noted(root, log, tell=print, **changes):
    inputs = {"a": {}, "b": {"before": ("a", "more")}}
    steps = [
        Step(name, note, inputs=inputs[name], outputs=("out", "more"), parameters={"name": name}, others={"log": log})
        for name in "ab"
    ]
    with runner.locked(root):
        return runner.run([dataclasses.replace(step, **changes) for step in steps], root, say=str, tell=tell)


def whole(root):
    """Digests of a finished `run_noted` by step and output, once it is clear that nothing else lies in its root."""
    store, found = Store(root), {}
    for name in "ab":
        (execution,) = store.executions(name)
        assert execution.figures["wrote"] == name
        assert execution.seconds > 0
        assert all(store.intact(artifact) for artifact in execution.outputs.values())
        assert {path.parent.name for path in (root / name).glob("*/*")} == {"out", "more"}
        found |= {(name, output): artifact.digest for output, artifact in execution.outputs.items()}
        assert {str(path) for path in (root / name).glob("*/*")} == {str(a.path) for a in execution.outputs.values()}
        assert not (root / name / ".staging").exists()
    assert len(found) == 4
    return found


@pytest.mark.parametrize("goes_on", [False, True])
@pytest.mark.parametrize("killed", "ab")
@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS)
def test_what_was_finished_before_a_kill_is_entered_and_not_made_again(tmp_path, kill, killed, goes_on):
    run_noted(tmp_path / "unharmed", tmp_path / "other log", goes_on=goes_on)
    root, log, (owner, name, after, at) = tmp_path / "root", tmp_path / "log", kill

    def child():
        dying(owner, name, killed, after=after, at=at)
        run_noted(root, log, goes_on=goes_on)

    assert forks.exit_code(child) == -signal.SIGKILL
    told = []
    results = run_noted(root, log, told.append, goes_on=goes_on)
    assert log.read_text() == "ab"
    assert results[killed].state == "cached"
    assert len(told) == (0 if kill is KILLS["after the entry"] else 1)
    assert whole(root) == whole(tmp_path / "unharmed")


@pytest.mark.parametrize("kill", ["between two folders", "before the entry", "within the entry"])
def test_a_kill_while_a_finished_step_is_entered_loses_nothing_either(tmp_path, kill):
    root, log = tmp_path / "root", tmp_path / "log"

    def child(where):
        owner, name, after, at = where
        dying(owner, name, "a", after=after, at=at)
        run_noted(root, log)

    for where in (KILLS["before the folders move"], KILLS[kill]):
        assert forks.exit_code(lambda where=where: child(where)) == -signal.SIGKILL
    run_noted(root, log)
    assert log.read_text() == "ab"
    whole(root)


@pytest.mark.parametrize("damage", ["cut", "gone", "note"])
def test_what_was_damaged_after_a_kill_is_made_again(tmp_path, damage):
    root, log = tmp_path / "root", tmp_path / "log"

    def child():
        dying(*KILLS["between two folders"][:2], "a", after=True)
        run_noted(root, log)

    assert forks.exit_code(child) == -signal.SIGKILL
    (staging,) = root.glob("a/.staging/*")
    (place,) = root.glob("a/out/*")
    if damage == "cut":
        (place / "below" / "file").write_text("")
    elif damage == "gone":
        (staging / "more" / "file").unlink()
    else:
        (staging / finished.NOTE).write_text("{")
    results = run_noted(root, log)
    assert (results["a"].state, log.read_text()) == ("run", "aab")
    whole(root)


def test_a_kill_before_the_note_makes_the_step_again(tmp_path):
    root, log = tmp_path / "root", tmp_path / "log"

    def child():
        dying(*BEFORE_THE_NOTE[:2], "a", after=False)
        run_noted(root, log)

    assert forks.exit_code(child) == -signal.SIGKILL
    run_noted(root, log)
    assert log.read_text() == "aab"
    whole(root)


@pytest.mark.parametrize("moved", ["neither", "one", "both", "copied halfway"])
@pytest.mark.parametrize("state", ["running", "complete"])
def test_a_runner_that_cannot_enter_a_result_gets_it_back_where_it_was_worked_on(tmp_path, moved, state):
    """As under TFX, whose own database has the entries."""
    staging = tmp_path / "Trainer" / ".staging" / "key"
    places = {output: tmp_path / "Trainer" / output / "7" for output in ("run", "more")}
    for output, place in places.items():
        (staging / output).mkdir(parents=True)
        (staging / output / "file").write_text(output)
        place.parent.mkdir(parents=True)
    digests = {output: finished.digest_of(staging / output) for output in places}
    finished.write(staging, finished.Finished("7", digests, {}, 0.0))
    for output in {"neither": (), "one": ("run",), "both": ("run", "more"), "copied halfway": ()}[moved]:
        (staging / output).rename(places[output])
    if moved == "copied halfway":  # to another disk, and half of it removed here
        shutil.copytree(staging / "run", places["run"])
        (staging / "run" / "file").unlink()
    before = {path: path.read_text() for path in tmp_path.rglob("file")}
    finished.take_back(tmp_path, {"7"} if state == "complete" else {"3"})
    if state == "complete":
        assert not staging.exists()
        assert all(path.exists() for path in before if staging not in path.parents)
    else:
        assert {output: finished.digest_of(staging / output) for output in places} == digests
        assert not (staging / finished.NOTE).exists()
        assert not any(place.exists() for place in places.values())


def test_a_step_that_goes_on_finds_what_it_left(tmp_path):
    def count(out):
        path = pathlib.Path(out) / "attempts"
        path.write_text((path.read_text() if path.exists() else "") + "x")
        if len(path.read_text()) < 3:
            raise signals.Stopped("not yet")

    for goes_on, left in ((True, "xxx"), (False, "x")):
        root = tmp_path / str(goes_on)
        steps = [Step("a", count, outputs=("out",), goes_on=goes_on)]
        results = [runner.run(steps, root_made(root), say=lambda result: None)["a"] for _ in range(3)]
        if goes_on:
            assert [result.state for result in results] == ["interrupted", "interrupted", "run"]
            assert (results[-1].execution.outputs["out"].path / "attempts").read_text() == left
        else:
            assert [result.state for result in results] == ["interrupted"] * 3


def root_made(root):
    root.mkdir(exist_ok=True)
    return root


def test_a_second_run_on_a_root_is_refused(tmp_path):
    with runner.locked(tmp_path), pytest.raises(InputError, match="no other pipeline runs, received one in use"):
        go(tmp_path)
    assert go(tmp_path) == all_in("run")


def test_a_root_of_the_other_runner_is_refused(tmp_path):
    (tmp_path / TFX_DATABASE).touch()
    with pytest.raises(InputError, match=r"received one of pipelines\.tfx_pipeline, with mlmd"):
        go(tmp_path)


def test_steps_that_do_not_need_each_other_run_at_the_same_time(tmp_path):
    meeting = threading.Barrier(2, timeout=20)

    def meet(name):
        if name in "bc":
            meeting.wait()  # one after the other, neither would ever get past it
            assert threading.current_thread().daemon  # or a process that was told to end would wait for it

    assert go(tmp_path, meet) == all_in("run")


def test_a_step_that_handles_signals_is_in_the_main_thread(tmp_path):
    threads = []
    steps = [
        Step(name, lambda out: threads.append(threading.current_thread()), outputs=("out",), main_thread=main)
        for name, main in (("main", True), ("other", False))
    ]
    runner.run(steps, tmp_path, say=lambda result: None)
    assert [thread is threading.main_thread() for thread in threads].count(True) == 1
