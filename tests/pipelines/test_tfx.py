"""The pipeline as a TFX graph: the same steps and the same scores as the local runner's, and a graph for Kubeflow."""

import json
import pathlib
import re
import signal
import subprocess

import numpy as np
import pytest

pytest.importorskip("tfx", reason="needs TFX, in an environment of requirements-tfx.txt")

from PIL import Image

from pga_tf.core.checks import InputError
from pga_tf.runs import trained
from pga_tf.serving import versions
from pipelines import code_hash, graph, lineage, page, tfx_components, tfx_graph, tfx_runner
from pipelines.components import artifacts
from pipelines.tfx_store import Store
from tests.pipelines import helpers

pytestmark = pytest.mark.tfx
STEPS = list(tfx_components.COMPONENTS)


def run(chosen):
    """Runs the pipeline of `Settings`: (exit status, the lines that it printed)."""
    lines = []
    return tfx_runner.run(chosen, out=lambda text, file=None: lines.append(text)), lines


def states(lines):
    """dict of a step's name to how it ended."""
    return {line.split()[0]: line[17:24].strip() for line in lines if line.partition(" ")[0] in STEPS}


def evaluated(root):
    """The figures of the newest Evaluator that ran."""
    return next(iter(Store(root).executions("Evaluator"))).figures


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A tiny pipeline that ran under LocalDagRunner: (its settings, exit status, lines that it printed)."""
    root = tmp_path_factory.mktemp("tfx")
    given = {"push_base": str(root / "models"), "name": "tiny_model"}
    chosen = helpers.tiny(root / "root", prior="mixture", options=given)
    return chosen, *run(chosen)


def test_scores_are_those_of_the_local_runner(ran, tmp_path):
    chosen, _, _ = ran
    there = next(iter(Store(chosen.options.pipeline_root).executions("Evaluator")))
    here = helpers.run_first(helpers.tiny(tmp_path / "root", prior="mixture"), "Evaluator")["Evaluator"].execution
    assert there.figures == here.figures
    assert there.figures["frechet"] > 0
    both = [json.loads((e.outputs["evaluation"].path / artifacts.EVALUATION).read_text()) for e in (there, here)]
    assert all(both[0][key] == both[1][key] for key in ("scores", "card"))


def test_every_step_is_a_component_and_the_model_is_pushed(ran):
    chosen, status, lines = ran
    assert (status, [step.name for step in graph.steps(chosen)]) == (0, STEPS)
    root = pathlib.Path(chosen.options.pipeline_root)
    for line in lines[: len(STEPS)]:
        name, state, seconds, unit, place = line.split()[:5]
        assert (state, unit, float(seconds) >= 0) == ("run", "s", True)
        assert pathlib.Path(place).relative_to(root).parts[0] == name
        assert any(pathlib.Path(place).iterdir())
    assert versions.labels(versions.read_config(chosen.options.push_base), "tiny_model") == {"stable": 1}


def test_records_are_those_of_the_local_runner(ran, tmp_path):
    """So that the page and the lineage know no difference."""
    chosen, _, lines = ran
    root = chosen.options.pipeline_root
    made = (pathlib.Path(root) / page.NAME).read_text()
    assert all(f'<h2 id="title-{name}">{name} <span class="state run">ran, ' in made for name in STEPS)
    store = lineage.opened(root)
    pushed = lineage.find(store, pathlib.Path(chosen.options.push_base, "tiny_model", "1"))
    assert lineage.text(store, pushed) == lines[-1].strip()
    here = helpers.run_first(helpers.tiny(tmp_path / "root", prior="mixture"), "PriorFitter")
    for name, result in here.items():
        there, own = next(iter(store.executions(name))), result.execution
        assert (there.component, there.state, there.code) == (name, "complete", own.code)
        assert own.parameters.items() <= there.parameters.items()
        assert own.figures.keys() == there.figures.keys()
        for ours, theirs in ((own.inputs, there.inputs), (own.outputs, there.outputs)):
            assert ours.keys() == theirs.keys()
            if name not in ("Trainer", "PriorFitter"):  # TensorBoard's files hold the time
                assert [ours[key].digest for key in ours] == [theirs[key].digest for key in ours]
        for artifact in there.outputs.values():
            assert (artifact.producer, artifact.path.is_dir()) == (there.id, True)
        assert {lineage_input.producer for lineage_input in there.inputs.values()} <= set(range(1, there.id))
        assert 0 <= there.seconds < 600


def test_a_version_that_is_gone_is_pushed_again(ran):
    chosen, _, _ = ran
    folder = pathlib.Path(chosen.options.push_base, "tiny_model", "1")
    folder.rename(folder.parent.parent / "elsewhere")
    status, lines = run(chosen)
    assert (status, states(lines)) == (0, dict.fromkeys(STEPS, "cached") | {"Pusher": "run"})
    assert folder.is_dir()


def test_cache_code_and_the_last_blessed_model(ran, monkeypatch):
    chosen, _, _ = ran
    root = chosen.options.pipeline_root
    status, lines = run(chosen)
    assert (status, states(lines)) == (0, dict.fromkeys(STEPS, "cached"))

    figures, digest = evaluated(root), code_hash.digest
    monkeypatch.setattr(
        code_hash, "digest", lambda function: digest(function) + ("x" if function.__name__ == "trainer" else "")
    )
    _, lines = run(chosen)
    first = STEPS.index("Trainer")
    assert states(lines) == dict.fromkeys(STEPS[:first], "cached") | dict.fromkeys(STEPS[first:], "run")
    assert evaluated(root)["last blessed"] == evaluated(root)["frechet"] == figures["frechet"]


def test_failures_are_told_and_the_next_run_goes_on(tmp_path, monkeypatch):
    photos, root = tmp_path / "photos", tmp_path / "root"
    photos.mkdir()
    for i in range(200):
        pixels = np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)
        Image.fromarray(pixels).save(photos / f"{i:03d}.png")
    (photos / "003.png").write_bytes(b"no image")
    chosen = helpers.tiny(root, dataset=f"folder:{photos}", test_fraction=0.4, options={"name": "tiny"})
    ended = subprocess.run(
        helpers.command("tfx_pipeline", chosen), cwd=helpers.ROOT, capture_output=True, text=True, check=False
    )
    there = helpers.tiny(tmp_path / "local", dataset=f"folder:{photos}", test_fraction=0.4)
    same = helpers.run_first(there, "ExampleValidator")["ExampleValidator"].error
    assert ended.returncode == 1
    assert "003.png" in same
    assert same.replace("\n", "\n    ") in ended.stderr
    assert not re.search(r"Traceback|\.py:\d+\]|:absl:", ended.stderr)
    assert states(ended.stdout.splitlines()) == dict.fromkeys(STEPS[:3], "run") | dict.fromkeys(STEPS[4:9], "not run")
    assert not list(Store(root).executions("ExampleValidator"))
    assert not any((root / "ExampleValidator").glob("anomalies/*"))
    assert '<span class="state failed">' in (root / page.NAME).read_text()

    (photos / "003.png").unlink()
    with monkeypatch.context() as patched:
        patched.setattr(trained, "load", lambda *_, **__: {}["lost"])
        status, lines = run(chosen)
    assert status == 1
    expected = dict.fromkeys(STEPS[:7], "run") | {"Evaluator": "failed", "InfraValidator": "failed"}
    assert states(lines) == expected
    assert "Traceback" in lines[7]
    assert not any((root / "Evaluator").glob("evaluation/*"))
    status, lines = run(chosen)
    assert (status, states(lines)) == (0, dict.fromkeys(STEPS[:7], "cached") | dict.fromkeys(STEPS[7:9], "run"))


def steps_logged(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_steps_that_were_killed_go_on(tmp_path):
    """Trainer and PriorFitter, each after its first checkpoint; the third run of the same flags ends."""
    root = tmp_path / "root"
    # at 1e-3 its images are all alike in the end, of which there are no scores
    chosen = helpers.tiny(root, steps=400, checkpoint_every=50, log_every=50, learning_rate=1e-4)
    fit = {"prior": "second_vae", "second_width": 64, "prior_steps": 400}
    fit |= {f"prior_{name}_every": 50 for name in ("log", "checkpoint", "evaluate")}
    command = helpers.command("tfx_pipeline", chosen, *(f"--{name}={value}" for name, value in fit.items()))
    where = {"Trainer": "run", "PriorFitter": "run_with_priors"}
    inside = {"Trainer": pathlib.Path(), "PriorFitter": pathlib.Path("priors", "second_vae")}
    for step, output in where.items():
        checkpoints = f".staging/*/{output}/{inside[step]}/checkpoints/*.index"
        helpers.killed(command, (root / step, checkpoints))
        assert max(int(path.stem.split("-")[-1]) for path in (root / step).glob(checkpoints)) < 400
    ended = subprocess.run(command, cwd=helpers.ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for step, output in where.items():
        (folder,) = (path / inside[step] for path in (root / step / output).iterdir())
        assert steps_logged(folder) == list(range(50, 401, 50))
        assert len(list((folder / "logs").glob("events*"))) == 2  # what the first attempt left was gone on with
        assert not (root / step / ".staging").exists()


KILLED_AFTER_THE_MOVE = """
import os, shutil, signal, sys
real = shutil.move
def move(source, place):
    real(source, place)
    if "/Trainer/run/" in str(place):
        os.kill(os.getpid(), signal.SIGKILL)
shutil.move = move
from pga_tf import command_line
from pipelines import settings, tfx_pipeline
tfx_pipeline.define_flags()
command_line.run(tfx_pipeline.main, usage="")
"""


def test_a_training_that_was_killed_before_its_entry_is_not_done_again(tmp_path):
    root = tmp_path / "root"
    command = helpers.command("tfx_pipeline", helpers.tiny(root, steps=100, checkpoint_every=50, log_every=50))
    killing = [command[0], "-c", KILLED_AFTER_THE_MOVE, *command[3:]]
    ended = subprocess.run(killing, cwd=helpers.ROOT, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    (moved,) = (root / "Trainer" / "run").iterdir()
    written = {path.name: path.stat().st_mtime_ns for path in moved.glob("checkpoints/step-*")}
    assert written
    ended = subprocess.run(command, cwd=helpers.ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    (folder,) = (root / "Trainer" / "run").iterdir()
    assert {path.name: path.stat().st_mtime_ns for path in folder.glob("checkpoints/step-*")} == written
    assert steps_logged(folder) == [50, 100]
    assert not (root / "Trainer" / ".staging").exists()


@pytest.mark.parametrize("damage", [b"garbage" * 999, b"SQLite format 3\0" * 99, None])
def test_a_damaged_database_of_ml_metadata_is_told_in_a_sentence(tmp_path, damage):
    if damage is None:
        (tmp_path / "mlmd.sqlite").mkdir()
    else:
        (tmp_path / "mlmd.sqlite").write_bytes(damage)
    with pytest.raises(InputError, match=r"mlmd\.sqlite: expected"):
        lineage.opened(tmp_path)


def artifact(kind, id, **properties):
    made = tfx_components.TYPES[kind]()
    made.id, made.uri = id, f"{kind}/{id}"
    for name, value in properties.items():
        made.set_string_custom_property(name, json.dumps(value))
    return made


def test_the_previous_statistics_are_the_newest_others_without_anomalies():
    every = [artifact("statistics", id) for id in (1, 2, 3, 4)]
    # The third had anomalies: its ExampleValidator failed and left no artifact.
    well = [artifact("anomalies", 10 + id, made_of={"statistics": f"statistics/{id}"}) for id in (1, 2, 4)]
    resolver = tfx_components.PreviousStatistics()
    for now, expected in ((4, [2]), (3, [4]), (1, [4])):
        given = {"statistics": [every[now - 1]], "previous": every, "anomalies": well}
        assert [found.id for found in resolver.resolve_artifacts(None, given)["previous"]] == expected
    given = {"statistics": every[:1], "previous": every[:1], "anomalies": []}
    assert resolver.resolve_artifacts(None, given)["previous"] == []


def test_the_baseline_is_the_newest_other_blessed_model():
    every = [
        artifact("evaluation", id, figures={"blessed": blessed}, made_of={"run_with_priors": f"run_with_priors/{run}"})
        for id, blessed, run in ((1, True, 1), (2, True, 2), (3, False, 3))
    ]
    resolver = tfx_components.LastBlessed()
    for now, expected in ((4, [2]), (2, [1])):
        given = {"run_with_priors": [artifact("run_with_priors", now)], "baseline": every}
        assert [found.id for found in resolver.resolve_artifacts(None, given)["baseline"]] == expected


def test_the_compiled_graph_names_every_component(tmp_path):
    chosen = helpers.tiny("gs://bucket/root", options={"push_base": str(tmp_path), "name": "tiny"})
    path = tmp_path / "graphs" / "pipeline.json"
    tfx_graph.compile_to(chosen, path, "image:1")
    job = json.loads(path.read_text())
    spec = job["pipelineSpec"]
    assert job["runtimeConfig"]["gcsOutputDirectory"] == "gs://bucket/root"
    tasks = spec["root"]["dag"]["tasks"]
    assert tasks.keys() == tfx_components.COMPONENTS.keys()
    assert tasks["Transform"]["dependentTasks"] == ["ExampleGen", "ExampleValidator", "SchemaGen"]
    containers = [executor["container"] for executor in spec["deploymentSpec"]["executors"].values()]
    assert {container["image"] for container in containers} == {"image:1"}
    named = {arg for container in containers for arg in container["args"] if arg.startswith("pipelines.")}
    assert named == {f"pipelines.tfx_components.{name}_Executor" for name in tfx_components.COMPONENTS}
    assert "/gcs/bucket/root/Evaluator/.cache" in json.dumps(tasks["Evaluator"]["inputs"]["parameters"])
    for name in ("Trainer", "PriorFitter"):
        assert f"/gcs/bucket/root/{name}/.staging" in json.dumps(tasks[name]["inputs"]["parameters"])
    with pytest.raises(InputError, match="--image"):
        tfx_graph.compile_to(chosen, path, "")


def test_data_parallel_steps_work_on_beam(ran, tmp_path):
    chosen, _, _ = ran
    assert sorted(tfx_components.DATA_PARALLEL) == ["Evaluator", "ExampleGen", "StatisticsGen", "Transform"]
    runner = "--runner=DirectRunner --direct_num_workers=2 --direct_running_mode=multi_processing"
    there = helpers.tiny(tmp_path / "root", prior="mixture", options={"beam_pipeline_args": runner})
    assert run(there)[0] == 0
    for name in STEPS[:-1]:
        ours, beams = (list(Store(one.options.pipeline_root).executions(name))[-1] for one in (chosen, there))
        assert (ours.code != beams.code) == (name in tfx_components.DATA_PARALLEL)
        if name in STEPS[: STEPS.index("Trainer")]:
            assert [a.digest for a in beams.outputs.values()] == [a.digest for a in ours.outputs.values()]
    ours, beams = (evaluated(one.options.pipeline_root) for one in (chosen, there))
    for name in ("frechet", "kernel", "precision", "recall", "density", "coverage"):
        assert beams[name] == ours[name], name


def test_where_artifacts_lie_as_files():
    assert tfx_components.local_path("gs://bucket/a/1") == "/gcs/bucket/a/1"
    assert tfx_components.local_path("/a/1") == "/a/1"
