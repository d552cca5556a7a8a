"""A run's own files under damage, by real commands: each file x damage x command.

What a command needs and cannot read is refused in one line that names the file and a remedy; what it can do without is
told of in a line, and gone on without. Nothing ends in a traceback, and nothing is believed that cannot be.
"""

import fcntl
import itertools
import json
import os
import re
import shutil
import sys
import types

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.evaluation import statistics
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import callbacks
from tests import commands
from tests.training import helpers

STEPS = 4
PRIOR = ["--prior=latent_map", "--prior_steps=4", "--prior_checkpoint_every=2", "--prior_evaluate_every=2"]
PRIOR += ["--map_width=8"]


def training(workdir):
    config = helpers.config(
        workdir, method="vae", network="mlp", steps=STEPS, checkpoint_every=2, dataset="digits", evaluate_every=2,
        evaluate_samples=10, evaluate_features="pixels", keep_best="frechet",
    )  # fmt: skip
    return [*helpers.flags(config), *PRIOR]


def scored(workdir):
    cache = f"--cache_dir={workdir}/cache"
    return [f"--workdir={workdir}", "--num_samples=50", "--seeds=1", "--features=pixels", cache]


def drawn(workdir, *arguments):
    return commands.call("sample", f"--workdir={workdir}", "--grid=2x2", *arguments)


COMMANDS = {
    "train": lambda run: commands.call("train", *training(run)),
    "sample": drawn,
    "sample normal": lambda run: drawn(run, "--prior=normal"),
    "sample best": lambda run: drawn(run, "--prior=normal", "--checkpoint=best"),
    "evaluate": lambda run: commands.call("evaluate", *scored(run)),
    "compare": lambda run: commands.call("evaluate", "--compare", str(run), str(run), f"--workdir={run}/compared"),
    "fit_prior": lambda run: commands.call("fit_prior", f"--workdir={run}", *PRIOR),
    "export": lambda run: commands.call("export", f"--workdir={run}", "--name=m", f"--export_base={run}/models"),
}


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """A run with everything that a run can have, made once for all processes of a session."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    path, made = shared / "whole" / "run", shared / "whole.made"
    with open(shared / "whole.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            assert commands.call("train", *training(path)) == 0
            assert commands.call("evaluate", *scored(path)) == 0
            made.touch()
    return path


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def outcome(command, run, capsys):
    """("refused", the message), or ("done", the lines of warnings and notes of the run's files)."""
    capsys.readouterr()
    try:
        assert COMMANDS[command](run) == 0
    except InputError as error:
        return "refused", str(error)
    said = capsys.readouterr()
    lines = (said.out + said.err).splitlines()
    return "done", "\n".join(line for line in lines if line.startswith(("warning:", "note: ")) and str(run) in line)


def _folder(path):
    path.unlink()
    path.mkdir()


BYTES = {
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size * 3 // 5]),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 2),
    "no UTF-8": lambda path: path.write_bytes(b"\xff\xe9" + path.read_bytes()),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a list": lambda path: path.write_text("[1, 2]\n"),
    "null": lambda path: path.write_text("null\n"),
    "no key": lambda path: path.write_text("{}\n"),
    "too deep": lambda path: path.write_text("[" * 100_000),
    "a folder": _folder,
}
MISSING = {"missing": lambda path: path.unlink()}
LAST = f"checkpoints/step-{STEPS}."
OF_PRIOR = "priors/latent_map/"

# What a command does with a file that cannot be read: "refused", "told", or "done" for one that it has no need of.
READERS = {
    "config.flags": dict.fromkeys(("train", "sample", "evaluate", "fit_prior", "export"), "refused"),
    "image_shape.json": {"train": "told"} | dict.fromkeys(("sample", "evaluate", "fit_prior", "export"), "refused"),
    "prior.flags": {"train": "told"} | dict.fromkeys(("sample", "evaluate", "fit_prior", "export"), "refused"),
    "checkpoints/best/best.json": {"train": "told", "sample best": "done"},
    "checkpoints/best/step-4.index": {"sample best": "refused", "sample": "done"},
    "checkpoints/checkpoint": {"sample": "done"},
    "checkpoints/step-4.index": {"sample normal": "told"},
    "checkpoints/step-4.data-00000-of-00001": {"sample normal": "told"},
    "metrics.jsonl": {"train": "told", "evaluate": "told"},
    "scores.jsonl": {"train": "told", "evaluate": "told"},
    "scores_card.json": {"train": "done", "evaluate": "done"},
    "evaluation/evaluation.json": {"compare": "refused", "export": "told", "evaluate": "done"},
    "evaluation/samples.png": {"compare": "told"},
    "priors/latent_map/config.flags": dict.fromkeys(("train", "sample", "evaluate", "fit_prior", "export"), "refused"),
    "priors/latent_map/prior.npz": dict.fromkeys(("sample", "evaluate", "export"), "refused") | {"fit_prior": "done"},
    "priors/latent_map/best.npz": {"fit_prior": "told", "sample": "done"},
    "priors/latent_map/facts.json": {"fit_prior": "done", "sample": "done"},
    "priors/latent_map/checkpoints/step-4.index": {"fit_prior": "told"},
}
AT_ONCE = ("config.flags", "image_shape.json", "prior.flags", "evaluation/evaluation.json")  # refused before any work
BRIEF = {  # others take a command's whole time
    ("image_shape.json", "cut", "train"), ("metrics.jsonl", "cut", "train"),
    ("checkpoints/best/best.json", "no key", "train"), ("prior.flags", "cut", "evaluate"),
    ("evaluation/samples.png", "cut", "compare"), ("priors/latent_map/best.npz", "garbage", "fit_prior"),
    ("priors/latent_map/config.flags", "cut", "sample"), ("priors/latent_map/prior.npz", "cut", "sample"),
    ("checkpoints/step-4.index", "cut", "sample normal"), ("checkpoints/best/step-4.index", "empty", "sample best"),
}  # fmt: skip


def _cases():
    for file, of_it in READERS.items():
        for command, damage in itertools.product(of_it, BYTES):
            at_once = (
                file in AT_ONCE
                and of_it[command] == "refused"
                and command in ("train", "sample", "evaluate", "compare")
            )
            marks = [] if at_once or (file, damage, command) in BRIEF else [pytest.mark.slow]
            yield pytest.param(file, damage, command, of_it[command], marks=marks, id=f"{file}-{damage}-{command}")


@pytest.mark.parametrize(("file", "damage", "command", "expected"), _cases())
def test_a_damaged_file_is_refused_or_told_of(file, damage, command, expected, run, capsys):
    before = (run / file).read_bytes()
    BYTES[damage](run / file)
    found, said = outcome(command, run, capsys)
    if damage == "a folder" and found == "refused":
        expected = "refused"  # nothing heals a folder where a file belongs
    elif damage == "empty" and file.endswith(".jsonl"):
        expected = "done"  # of no lines none is damaged
    assert found == ("refused" if expected == "refused" else "done"), said
    if expected != "done":
        named = file.removesuffix(".index").partition(".data-")[0]
        assert f"{run}/{named}" in said or (found == "refused" and f"{run}/{os.path.dirname(file)}" in said), said
    if expected == "refused":
        assert re.search(r": expected .*, received .*Remedy: .*\.$", said, re.DOTALL)
        assert "\n" not in said
        if damage != "a folder":  # what is there is left as it is
            damaged = (run / file).read_bytes()
            (run / file).write_bytes(before)
            BYTES[damage](run / file)
            assert (run / file).read_bytes() == damaged


REFUSED_WHERE_MISSING = {
    "config.flags": ("sample", "evaluate", "fit_prior", "export"),
    "image_shape.json": ("sample", "evaluate", "fit_prior", "export"),
    "priors/latent_map/config.flags": ("sample", "fit_prior"),
    "priors/latent_map/prior.npz": ("sample", "export"),
    "evaluation/evaluation.json": ("compare",),
}


@pytest.mark.parametrize("file", REFUSED_WHERE_MISSING)
def test_a_missing_file_is_refused_where_it_is_needed(file, run, capsys):
    (run / file).unlink()
    for command in REFUSED_WHERE_MISSING[file]:
        found, said = outcome(command, run, capsys)
        assert (found, "Remedy: " in said, str(run) in said) == ("refused", True, True), (command, said)


@pytest.mark.parametrize("file", ["config.flags", "image_shape.json"])
def test_training_writes_what_is_missing_anew_and_says_so(file, whole, run, capsys):
    before = (run / file).read_text()
    (run / file).unlink()
    assert "warning: " in outcome("train", run, capsys)[1]
    assert (run / file).read_text() == before.replace(str(whole), str(run))


def edited(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


FLAGS = {
    "a word for a number": (
        "--latent_dim=3",
        "--latent_dim=abc",
        r"--latent_dim: expected a whole number, received 'abc'",
    ),
    "nothing for a number": ("--latent_dim=3", "--latent_dim=", r"--latent_dim: expected a whole number, received ''"),
    "a fraction for a count": ("--latent_dim=3", "--latent_dim=3.5", r"--latent_dim: expected a whole number"),
    "out of range": ("--latent_dim=3", "--latent_dim=0", r"--latent_dim: expected a value >= 1 and .*, received 0"),
    "no switch": ("--jit=false", "--jit=maybe", r"--jit: expected true or false, received 'maybe'"),
    "no finite number": ("--ema=0.0", "--ema=nan", r"--ema: expected a finite number"),
    "an unknown method": ("--method=vae", "--method=vea", r"did you mean 'vae'"),
    "an unknown network": ("--network=mlp", "--network=mlq", r"did you mean 'mlp'"),
    "an option of a newer version": (
        "--jit=",
        "--sparsity=3\n--jit=",
        r"--sparsity: expected an option of this version",
    ),
    "a flag twice": ("--jit=", "--latent_dim=4\n--jit=", r"line \d+: expected --latent_dim once"),
    "a line that is none": ("--jit=", "jit=", r"line \d+: expected --name=value, received 'jit=false'"),
    "cut between lines": ("\n# end\n", "\n", r"expected # end in its last line, received a file that was cut"),
    "no method": ("--method=vae\n", "", r"it has no --method"),
}


@pytest.mark.parametrize("edit", FLAGS)
def test_flags_that_cannot_be_are_refused(edit, run, capsys):
    *change, message = FLAGS[edit]
    edited(run / "config.flags", *change)
    for command in ("train", "sample", "export"):
        found, said = outcome(command, run, capsys)
        assert found == "refused"
        assert re.search(rf"{run}/config\.flags.*{message}", said), said
        assert "Remedy: " in said


def test_a_run_of_before_an_option_was_there_has_its_default(run, capsys):
    edited(run / "config.flags", "--beta_2=0.0\n", "")
    assert outcome("sample", run, capsys) == ("done", "")


SHAPES = [
    "[8, 8]",
    "[8, 8, 1, 1]",
    '["8", 8, 1]',
    "[0, 8, 1]",
    "[-8, 8, 1]",
    "[8.0, 8, 1]",
    "[true, 8, 1]",
    "8",
    "null",
]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_that_cannot_be_is_refused(shape, run, capsys):
    edited(run / "image_shape.json", "[8, 8, 1]", shape)
    found, said = outcome("sample", run, capsys)
    assert found == "refused"
    assert f"{run}/image_shape.json: expected" in said


def test_a_shape_that_is_not_the_runs_is_refused(run, capsys):
    edited(run / "image_shape.json", "[8, 8, 1]", "[8, 8, 3]")
    assert "step-4: expected the networks and optimisers of this configuration" in outcome("sample", run, capsys)[1]
    found, said = outcome("train", run, capsys)
    assert found == "refused"
    assert f"{run}/image_shape.json: expected [8, 8, 1], the shape of images of digits, received [8, 8, 3]" in said


OF_PRIOR = {
    "an unknown prior": ("prior.flags", "--prior=latent_map", "--prior=latent_mop", r"did you mean 'latent_map'"),
    "no prior": ("prior.flags", "--prior=latent_map", "--prior=", r"expected --prior=NAME, received none"),
    "no seed": ("priors/latent_map/config.flags", "--seed=0", "--seed=x", r"--seed: expected a whole number"),
    "no width": ("priors/latent_map/config.flags", "--map_width=8", "--map_width=0", r"--map_width: expected a value"),
    "no weights": ("priors/latent_map/config.flags", "--autoencoder=", "# autoencoder=", r"it has no --autoencoder"),
    "other weights": ("priors/latent_map/config.flags", "--autoencoder=", "--autoencoder=0", r"one fitted to others"),
}  # fmt: skip


@pytest.mark.parametrize("edit", OF_PRIOR)
def test_a_prior_that_cannot_be_is_refused(edit, run, capsys):
    file, *change, message = OF_PRIOR[edit]
    edited(run / file, *change)
    found, said = outcome("sample", run, capsys)
    assert found == "refused"
    assert re.search(message, said), said
    assert "Remedy: " in said


def _arrays(change):
    def damage(path):
        with np.load(path) as stored:
            arrays = dict(stored)
        change(arrays)
        np.savez(path, **arrays)

    return damage


ARRAYS = {
    "one is missing": (lambda arrays: arrays.pop(min(arrays)), r"is not a file in the archive"),
    "one is NaN": (lambda a: a.update({min(a): a[min(a)] * np.nan}), r"values that are no finite numbers"),
    "one has another shape": (lambda a: a.update({min(a): a[min(a)][:1, ..., None]}), r"of shape \[.*\], not \["),
    "one is text": (lambda a: a.update({min(a): a[min(a)].astype(str)}), r"values that are no finite numbers"),
}


@pytest.mark.parametrize("change", ARRAYS)
def test_arrays_of_a_prior_that_cannot_be_are_refused(change, run, capsys):
    damage, message = ARRAYS[change]
    _arrays(damage)(run / "priors" / "latent_map" / "prior.npz")
    found, said = outcome("sample", run, capsys)
    assert found == "refused"
    assert re.search(
        rf"{run}/priors/latent_map/prior\.npz: .*{message}.*Remedy: move .* away and fit it anew: ", said
    ), said


LINES = {
    "cut": '{"step": 2, "L_r": 0.',
    "no step": '{"L_r": 0.5}',
    "a text for a step": '{"step": "2"}',
    "a step below 0": '{"step": -1}',
    "a text for a number": '{"step": 2, "L_r": "low"}',
    "null for a number": '{"step": 2, "L_r": null}',
    "a list": "[2]",
    "bytes": "\udcff",
}


@pytest.mark.parametrize("file", ["metrics.jsonl", "scores.jsonl"])
def test_damaged_lines_are_counted_and_left_out(file, run):
    path, said = run / file, []
    directory = RunDirectory(run, say=said.append)
    read = lambda: {"metrics.jsonl": directory.read_metrics, "scores.jsonl": directory.read_scores}[file]()
    lines = read()
    assert len(lines) == 2
    with open(path, "a", encoding="utf-8", errors="surrogateescape") as content:
        content.write("\n".join(LINES.values()) + "\n\n")
    assert read() == read() == lines
    assert said == [f"warning: {len(LINES)} of {len(LINES) + 2} lines of {path} are damaged and left out"]
    directory.drop_metrics_after(2)
    assert read() == lines[:1]
    assert len(path.read_text().splitlines()) == 1
    path.write_text(path.read_text() + json.dumps(lines[1]) + "\n" + json.dumps(lines[0] | {"again": 1}) + "\n")
    assert read() == [lines[0] | {"again": 1}, lines[1]]
    assert said[1:] == [f"warning: 1 of 3 lines of {path} tell of a step again, and the last ones count"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"value": float("nan")}, "has a value of nan"), ({"value": "low"}, "no best score"),
        ({"step": "4"}, "no best score"), ({"step": 9}, "tells of step-9, which is not there"),
        ({"protocol": None}, "no best score"), ({}, ""),
    ],
)  # fmt: skip
def test_what_is_known_of_the_best_is_believed_where_it_can_be(change, told, run):
    said = []
    directory = RunDirectory(run, say=said.append)
    held = directory.read_best()
    directory.write_best(held | change)
    assert directory.read_best() == (None if told else held)
    assert len(said) == bool(told)
    assert told in "".join(said)


def test_a_damaged_newest_checkpoint_costs_its_steps_and_nothing_else(whole, run, capsys):
    """The run goes on from the one before to the very same weights, scores and best checkpoint."""
    (run / "checkpoints" / "step-4.index").write_bytes(b"")
    shutil.rmtree(run / "priors")
    found, said = outcome("train", run, capsys)
    assert (found, "step 2 is restored in its place" in said) == ("done", True)
    helpers.assert_same_state(helpers.state(run), helpers.state(whole))
    for read in (RunDirectory.read_scores, RunDirectory.read_best):
        assert read(RunDirectory(run)) == read(RunDirectory(whole))
    assert [line["step"] for line in helpers.logged(run)] == [2, 4]
    left = [path.name for path in (run / "checkpoints").iterdir() if path.name.startswith("damaged-")]
    assert sorted(left) == ["damaged-step-4.data-00000-of-00001", "damaged-step-4.index"]


def test_a_lost_best_json_is_read_from_the_scores(run, capsys):
    """Else the next score, however bad, would take the best checkpoint's place."""
    directory = RunDirectory(run)
    held = directory.read_best()
    (run / "checkpoints" / "best" / "best.json").unlink()
    clock = types.SimpleNamespace(step=4)
    best = types.SimpleNamespace(latest_step=lambda: held["step"], latest=lambda: "step")
    made = callbacks.Evaluate(
        clock, directory, None, 2, drawing=None, score=None, protocol=held["protocol"], averaging=None, best=best,
        by=held["score"], say=print,
    )  # fmt: skip
    assert made.lowest == held["value"]
    assert "is read from scores.jsonl" in capsys.readouterr().out


def test_what_a_kill_left_behind_is_cleared_by_the_next_start(run, capsys):
    left = [".config.flags.0a1b2c3d", ".metrics.jsonl.abc_defg", "samples/.step_0000004.png.12345678",
            "checkpoints/best/.best.json.0a1b2c3d", "priors/latent_map/.prior.npz.0a1b2c3d"]  # fmt: skip
    others = [".gitignore", ".notes.abcdefgh", "samples/.mine.12345678"]
    for name in (*left, *others):
        (run / name).write_text("")
    for folder in ("checkpoints/.step-4.x1", "checkpoints/step-4_temp", "checkpoints/best/.step-4.x1"):
        (run / folder).mkdir()
        left.append(folder)
    assert outcome("train", run, capsys) == ("done", "")
    assert [name for name in left if (run / name).exists()] == ["checkpoints/best/.step-4.x1"]
    assert all((run / name).exists() for name in others)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a[b]*? c", "two\nlines", os.fsdecode(b"byte\xe9"), "'quoted' \"twice\"", "ünï"])
def test_a_run_may_lie_under_any_path(name, tmp_path, capsys):
    path = tmp_path / name / "run"
    sys.stdout.reconfigure(errors="backslashreplace")  # as a command does
    for command in ("train", "train", "sample", "sample best", "evaluate", "fit_prior", "compare"):
        assert outcome(command, path, capsys) == ("done", ""), command
    assert sorted(os.listdir(tmp_path)) == [name]


CACHED = {
    "cut": BYTES["cut"], "garbage": BYTES["garbage"], "a folder": _folder,
    "features of NaN": _arrays(lambda a: a.update(features=a["features"] * np.nan)),
    "features of other images": _arrays(lambda a: a.update(features=a["features"][:, 1:])),
    "too few": _arrays(lambda a: a.update(count=np.array(1))),
    "no mean": _arrays(lambda a: a.pop("mean")),
}  # fmt: skip


@pytest.mark.parametrize("damage", CACHED)
def test_damaged_statistics_of_real_images_are_built_anew(damage, tmp_path):
    said, key = [], {"of": "something"}
    cache = statistics.Cache(tmp_path, warn=said.append)
    images = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 1)).astype(np.uint8)
    build = lambda: statistics.collect([images], lambda batch: batch.reshape(len(batch), -1).astype(np.float32))
    built = cache.get(key, build)
    (file,) = tmp_path.iterdir()
    CACHED[damage](file)
    again = cache.get(key, build)
    np.testing.assert_array_equal(again.features, built.features)
    np.testing.assert_array_equal(again.moments.scatter, built.moments.scatter)
    assert f"warning: {file} cannot be used" in said[0]
    np.testing.assert_array_equal(cache.get(key, None if damage != "a folder" else build).features, built.features)
