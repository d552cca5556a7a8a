"""The steps of `pipelines.graph` as TFX components, made from the same list, so that the two graphs are one.

The components stand at the top level of an imported module because TFX finds an executor by its module and name, on
this machine and in a container. An artifact keeps the step's figures, the inputs that it was made of and a hash of its
files as properties.

A step that goes on works in a folder of its own, for TFX gives every execution another one: what a stopped execution
left there is gone on with by the next one of the same code, parameters and inputs, and moved once it is complete.
"""

import inspect
import json
import os
import pathlib
import shlex
import shutil

# tensorflow_transform, which TFX imports, asks for Keras 2 where this is not set; these models are of Keras 3.
os.environ["TF_USE_LEGACY_KERAS"] = "0"

from tfx import v1 as tfx
from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.types import standard_artifacts as standard

from pga_tf.data import DataOptions
from pga_tf.methods import METHODS
from pga_tf.networks import NetworkOptions
from pga_tf.runs.config import Config, FitOptions, OptimizerOptions, RunOptions
from pipelines import finished, graph, runner, settings
from pipelines.components.artifacts import INFRA_BLESSED, INFRA_NOT_BLESSED
from pipelines.finished import Finished, digest_of
from pipelines.tfx_store import STAGING

OUTSIDE = ("code", "data")  # hashes of the step's code and of what it reads from outside the graph
BEAM_ARGS = "beam_args"  # of a data-parallel step: options of the Beam runner to work on, or ""
SPLITS = json.dumps(["train", "eval"])


TYPES = {
    "examples": standard.Examples,
    "statistics": standard.ExampleStatistics,
    "schema": standard.Schema,
    "anomalies": standard.ExampleAnomalies,
    "transformed": standard.Examples,  # as TFX's Transform calls its own
    "run": standard.ModelRun,
    "run_with_priors": standard.Model,
    "evaluation": standard.ModelEvaluation,
    "blessing": standard.ModelBlessing,
    "exported": standard.Model,
    "infra_blessing": standard.InfraBlessing,
    "pushed": standard.PushedModel,
}
# Arguments that an earlier run may give: what `graph` finds in the local runner's store.
EARLIER = {"previous": "statistics", "baseline": "evaluation"}


def local_path(uri):
    """Where an artifact lies as files: Vertex mounts the bucket of gs://BUCKET/... there, other places are folders."""
    return "/gcs/" + uri.removeprefix("gs://") if uri.startswith("gs://") else uri


def _component(step):
    """The TFX component class of a `Step`: its function between artifacts."""
    function, artifacts = step.function, [*step.inputs, *step.resolved, *step.outputs]
    own = [*OUTSIDE, *[STAGING] * step.goes_on, *[BEAM_ARGS] * (step.name in DATA_PARALLEL)]

    def call(**arguments):
        # TFX leaves out an artifact that there is none of.
        given = dict.fromkeys(step.resolved) | {key: value for key, value in arguments.items() if key not in own}
        inputs = {name: given[name] for name in (*step.inputs, *step.resolved) if given[name]}
        outputs = {name: given[name] for name in step.outputs}
        made_of = {name: artifact.uri for name, artifact in inputs.items()}
        folders = {name: local_path(given[name].uri) if given[name] else "" for name in artifacts}
        places = {name: pathlib.Path(folders[name]) for name in outputs}
        for place in places.values():
            place.mkdir(parents=True, exist_ok=True)
        if step.goes_on:
            plain = {name: value for name, value in arguments.items() if name not in artifacts}
            digests = {name: artifact.get_string_custom_property("digest") for name, artifact in inputs.items()}
            staging = pathlib.Path(arguments[STAGING]) / runner.hash_of([step.name, plain, made_of, digests])
            working = {name: staging / name for name in places}
        else:
            working = places
        for folder in working.values():
            folder.mkdir(parents=True, exist_ok=True)
        beam_args = shlex.split(arguments.get(BEAM_ARGS, ""))
        work = graph.on_beam(step.name, beam_args) if beam_args else function
        figures = work(**(given | folders | {name: str(folder) for name, folder in working.items()})) or {}
        made = {name: digest_of(folder) for name, folder in working.items()}
        if step.goes_on:
            _move_into_place(staging, places, made)
        for name, artifact in outputs.items():
            artifact.set_string_custom_property("figures", json.dumps(figures, default=str))
            artifact.set_string_custom_property("made_of", json.dumps(made_of))
            artifact.set_string_custom_property("digest", made[name])
            if TYPES[name] is standard.Examples:
                artifact.split_names = SPLITS
            elif name == "blessing":
                artifact.set_int_custom_property("blessed", int(figures["blessed"]))
            elif name == "infra_blessing":
                status = INFRA_BLESSED if figures["blessed"] else INFRA_NOT_BLESSED
                artifact.set_string_custom_property("blessing_status", status)
            elif name == "pushed":
                artifact.set_string_custom_property("pushed_destination", figures["model"] or "")

    hints = dict.fromkeys(own, tfx.dsl.components.Parameter[str])
    for name, argument in inspect.signature(function).parameters.items():
        if name in step.outputs:
            hints[name] = tfx.dsl.components.OutputArtifact[TYPES[name]]
        elif name in artifacts:
            hints[name] = tfx.dsl.components.InputArtifact[TYPES[EARLIER.get(name, name)]]
        else:
            hints[name] = tfx.dsl.components.Parameter[argument.annotation]
    # Those that may be missing stand last, as Python wants it.
    order = sorted(hints, key=lambda name: name in step.resolved)
    kind, empty = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    call.__signature__ = inspect.Signature(
        [inspect.Parameter(name, kind, default=None if name in step.resolved else empty) for name in order]
    )
    call.__annotations__ = hints
    call.__name__ = call.__qualname__ = step.name
    call.__doc__ = function.__doc__
    return tfx.dsl.components.component(call)


def _move_into_place(staging, places, digests):
    """Moves folders below `staging` to the `places`; by its note `Store.clean` finds them wherever a kill left them.

    The note stays until TFX has entered the execution.
    """
    (execution,) = {place.name for place in places.values()}
    finished.write(staging, Finished(execution, digests, {}, 0.0))
    for name, place in places.items():
        place.rmdir()
        shutil.move(staging / name, place)


def _steps(beam_args=""):
    """The steps of `Settings` that no component depends on."""
    config = Config(
        run=RunOptions(),
        data=DataOptions(dataset="digits"),
        network=NetworkOptions(),
        optimizer=OptimizerOptions(),
        method=METHODS.get(RunOptions().method).Options(),
    )
    options = settings.PipelineOptions(pipeline_root="any", push_base="any", beam_pipeline_args=beam_args)
    return graph.steps(settings.settings(options, config, FitOptions(), None))


STEPS = _steps()
# Those whose function is another one on Beam.
DATA_PARALLEL = {
    step.name for step, on_beam in zip(STEPS, _steps("any"), strict=True) if step.function is not on_beam.function
}
COMPONENTS = {step.name: _component(step) for step in STEPS}


def _marks(artifact, name):
    return json.loads(artifact.get_string_custom_property(name) or "{}")


def _newest_first(artifacts):
    return sorted(artifacts, key=lambda artifact: artifact.id, reverse=True)


class PreviousStatistics(ResolverStrategy):
    """Of `previous` the newest that `anomalies` were found to be none in, other than `statistics`, those of now."""

    def resolve_artifacts(self, store, input_dict):
        found, now = [], input_dict["statistics"][0].uri
        by_uri = {artifact.uri: artifact for artifact in input_dict["previous"]}
        for anomalies in _newest_first(input_dict["anomalies"]):
            uri = _marks(anomalies, "made_of").get("statistics")
            if uri != now and uri in by_uri:
                found.append(by_uri[uri])
        return input_dict | {"previous": found[:1]}


class LastBlessed(ResolverStrategy):
    """Of `baseline` the newest evaluation that blessed a model, other than `run_with_priors`, that of now."""

    def resolve_artifacts(self, store, input_dict):
        now = input_dict["run_with_priors"][0].uri
        found = [
            evaluation
            for evaluation in _newest_first(input_dict["baseline"])
            if _marks(evaluation, "figures").get("blessed") and _marks(evaluation, "made_of")["run_with_priors"] != now
        ]
        return input_dict | {"baseline": found[:1]}


def earlier(name, outputs):
    """(strategy, channels) of the resolver for an argument of `EARLIER`; `outputs`: (step, output) to channel."""
    every = {key: tfx.dsl.Channel(type=TYPES[kind]) for key, kind in (EARLIER | {"anomalies": "anomalies"}).items()}
    if name == "previous":
        now = {"statistics": outputs["StatisticsGen", "statistics"]}
        return PreviousStatistics, now | {key: every[key] for key in ("previous", "anomalies")}
    return LastBlessed, {"run_with_priors": outputs["PriorFitter", "run_with_priors"], "baseline": every["baseline"]}
