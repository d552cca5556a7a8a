"""The pipeline as a TFX graph: the same steps and the same scores as the local runner's, and a graph for Kubeflow."""

import json
import pathlib
import subprocess

import pytest

pytest.importorskip("tfx", reason="needs TFX, in an environment of requirements-tfx.txt")

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

from pga_tf.core.checks import InputError
from pga_tf.serving import versions
from pipelines import code_hash, graph, tfx_components, tfx_pipeline
from pipelines.components import artifacts
from tests.pipelines import helpers

pytestmark = pytest.mark.tfx
CACHED, COMPLETE = metadata_store_pb2.Execution.CACHED, metadata_store_pb2.Execution.COMPLETE


def states(root, last):
    """dict of a component to its state in the newest `last` executions; resolvers are left out."""
    executions = metadata_store.MetadataStore(tfx_pipeline.metadata(root)).get_executions()
    newest = sorted(executions, key=lambda execution: execution.id)[-last:]
    found = {execution.type.split(".")[-1]: execution.last_known_state for execution in newest}
    return {name: state for name, state in found.items() if name in tfx_components.COMPONENTS}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A tiny pipeline that ran under LocalDagRunner: (its settings, Evaluator's figures)."""
    root = tmp_path_factory.mktemp("tfx")
    given = {"push_base": str(root / "models"), "name": "tiny_model"}
    chosen = helpers.tiny(root / "root", prior="mixture", options=given)
    return chosen, tfx_pipeline.run(chosen)


def test_scores_are_those_of_the_local_runner(ran, tmp_path):
    chosen, figures = ran
    here = helpers.run_first(helpers.tiny(tmp_path / "root", prior="mixture"), "Evaluator")["Evaluator"].execution
    assert figures == here.figures
    assert figures["frechet"] > 0
    (path,) = pathlib.Path(chosen.options.pipeline_root).glob("Evaluator/evaluation/*/evaluation.json")
    there = json.loads(path.read_text())
    own = json.loads((here.outputs["evaluation"].path / artifacts.EVALUATION).read_text())
    assert (there["scores"], there["card"]) == (own["scores"], own["card"])


def test_every_step_is_a_component_and_the_model_is_pushed(ran):
    chosen, _ = ran
    names = [step.name for step in graph.steps(chosen)]
    assert list(tfx_components.COMPONENTS) == names
    root = pathlib.Path(chosen.options.pipeline_root)
    assert {path.name for path in root.iterdir() if path.is_dir()} >= set(names)
    assert versions.labels(versions.read_config(chosen.options.push_base), "tiny_model") == {"stable": 1}


def test_cache_code_and_the_last_blessed_model(ran, monkeypatch):
    chosen, figures = ran
    root, steps = chosen.options.pipeline_root, list(tfx_components.COMPONENTS)
    tfx_pipeline.run(chosen)
    assert states(root, 12) == dict.fromkeys(steps, CACHED)

    digest = code_hash.digest
    monkeypatch.setattr(
        code_hash, "digest", lambda function: digest(function) + ("x" if function.__name__ == "trainer" else "")
    )
    judged = tfx_pipeline.run(chosen)
    first = steps.index("Trainer")
    assert states(root, 12) == dict.fromkeys(steps[:first], CACHED) | dict.fromkeys(steps[first:], COMPLETE)
    assert (judged["frechet"], judged["last blessed"]) == (figures["frechet"], figures["frechet"])


def steps_logged(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_steps_that_were_killed_go_on(tmp_path):
    """Trainer and PriorFitter, each after its first checkpoint; the third run of the same flags ends."""
    root = tmp_path / "root"
    chosen = helpers.tiny(root, steps=400, checkpoint_every=50, log_every=50, learning_rate=0.001)
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
        (folder,) = (path / inside[step] for path in (root / step / output).iterdir() if any(path.iterdir()))
        assert steps_logged(folder) == list(range(50, 401, 50))
        assert len(list((folder / "logs").glob("events*"))) == 2  # what the first attempt left was gone on with
        assert not list((root / step / ".staging").iterdir())


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
    tfx_pipeline.compile_to(chosen, path, "image:1")
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
    with pytest.raises(InputError, match="--image"):
        tfx_pipeline.compile_to(chosen, path, "")


def test_beam_arguments_are_refused():
    chosen = helpers.tiny("root", options={"beam_pipeline_args": "--runner=DirectRunner"})
    with pytest.raises(InputError, match="under TFX a step is one task"):
        tfx_pipeline.pipeline(chosen)


def test_where_artifacts_lie_as_files():
    assert tfx_components.local_path("gs://bucket/a/1") == "/gcs/bucket/a/1"
    assert tfx_components.local_path("/a/1") == "/a/1"
