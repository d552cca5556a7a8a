"""The pipeline as a TFX graph: python -m pipelines.tfx_pipeline --flagfile=flagfiles/lpga_digits.flags ..."""

import dataclasses
import json
import os
import pathlib

os.environ["TF_USE_LEGACY_KERAS"] = "0"  # as in tfx_components, before TFX is imported

from absl import flags as absl_flags
from tfx import v1 as tfx
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

from pga_tf import flags
from pga_tf.core import checks
from pipelines import code_hash, graph, runner, settings
from pipelines.tfx_components import COMPONENTS, STAGING, earlier, local_path

USAGE = """python -m pipelines.tfx_pipeline --flagfile=flagfiles/NAME.flags --pipeline_root=ROOT [--push_base=BASE]
python -m pipelines.tfx_pipeline --flagfile=... --pipeline_root=ROOT --compile=pipeline.json --image=IMAGE

Runs the steps of pipelines.run as TFX components under LocalDagRunner, with ML Metadata in ROOT/mlmd.sqlite; or writes
the graph for Kubeflow Pipelines and Vertex, whose workers run IMAGE, made from pipelines/Dockerfile.
Ends with 0 if the model was blessed, 1 if it was not; a step that fails ends with its traceback."""

METADATA = "mlmd.sqlite"
FLAGS = absl_flags.FLAGS


def define_flags():
    settings.define_flags()
    absl_flags.DEFINE_string(
        "compile", "", "file to write the graph to, for Kubeflow and Vertex, instead of running it"
    )
    absl_flags.DEFINE_string("image", "", "container image with this repository and TFX, for --compile")


def main():
    chosen = settings.from_flags()
    if FLAGS.compile:
        compile_to(chosen, FLAGS.compile, FLAGS.image)
        print(f"wrote {FLAGS.compile}")
        return 0
    figures = run(chosen)
    print(f"frechet {figures['frechet']:.4g}, at most {figures['most allowed']:g}")
    if not figures["blessed"]:
        print(f"not blessed{', not pushed' if chosen.options.push_base else ''}: {figures['reasons']}")
    return int(not figures["blessed"])


def pipeline(chosen, *, looks_back=True):
    """The TFX pipeline of `Settings`.

    Args:
      looks_back: hold data and model against those of earlier runs. Kubeflow's runner has no resolver that could.

    Raises:
      InputError: as `graph.steps`, and for --beam_pipeline_args, which only the local runner takes.
    """
    if chosen.beam_args:
        checks.refuse(
            "--beam_pipeline_args",
            expected="none: under TFX a step is one task",
            received=chosen.options.beam_pipeline_args,
            remedy="leave it out, or use pipelines.run",
        )
    root = chosen.options.pipeline_root
    at_local_root = dataclasses.replace(chosen.options, pipeline_root=local_path(root))
    nodes, outputs = {}, {}
    for step in graph.steps(dataclasses.replace(chosen, options=at_local_root)):
        given = {argument: outputs[source] for argument, source in step.inputs.items()}
        for argument in step.resolved if looks_back else ():
            strategy, channels = earlier(argument, outputs)
            found = tfx.dsl.Resolver(strategy_class=strategy, **channels).with_id(strategy.__name__)
            nodes[strategy.__name__] = found
            given[argument] = found.outputs[argument]
        # TFX's cache knows the arguments of a component, and neither its code nor what it reads from elsewhere.
        outside = {"code": code_hash.digest(step.function), "data": step.fingerprint() if step.fingerprint else ""}
        if step.goes_on:
            outside[STAGING] = str(pathlib.Path(local_path(root)) / step.name / ".staging")
        node = COMPONENTS[step.name](**given, **step.parameters, **step.others, **outside)
        for name in step.after:
            node.add_upstream_node(nodes[name])
        nodes[step.name] = node
        outputs |= {(step.name, output): node.outputs[output] for output in step.outputs}
    return tfx.dsl.Pipeline(
        pipeline_name=chosen.options.name.replace("_", "-").lower(),
        pipeline_root=root,
        components=list(nodes.values()),
        enable_cache=True,
        metadata_connection_config=None if "://" in root else metadata(root),
    )


def metadata(root):
    return tfx.orchestration.metadata.sqlite_metadata_connection_config(str(pathlib.Path(root).resolve() / METADATA))


def run(chosen):
    """Runs the pipeline of `Settings` under LocalDagRunner: the figures of Evaluator."""
    root = pathlib.Path(chosen.options.pipeline_root).resolve()
    chosen = dataclasses.replace(chosen, options=dataclasses.replace(chosen.options, pipeline_root=str(root)))
    with runner.locked(root):
        tfx.orchestration.LocalDagRunner().run(pipeline(chosen))
        return last_figures(root)


def last_figures(root):
    """The figures of the Evaluator that ran last, or was cached last, under a root."""
    from ml_metadata.metadata_store import metadata_store

    store = metadata_store.MetadataStore(metadata(root))
    execution = max(store.get_executions_by_type(f"{COMPONENTS['Evaluator'].__module__}.Evaluator"), key=lambda e: e.id)
    events = store.get_events_by_execution_ids([execution.id])
    for artifact in store.get_artifacts_by_id([event.artifact_id for event in events]):
        if "blessed" in artifact.custom_properties:
            return json.loads(artifact.custom_properties["figures"].string_value)
    raise LookupError(f"Evaluator {execution.id} left no blessing")


def compile_to(chosen, path, image):
    """Writes the graph of `Settings` as a Kubeflow pipeline job, in JSON. Raises `InputError` without an image."""
    if not image:
        checks.refuse(
            "--image",
            expected="a container image with this repository and TFX",
            received="none",
            remedy="build one from pipelines/Dockerfile, push it, and pass --image=NAME",
        )
    place = pathlib.Path(path).resolve()
    place.parent.mkdir(parents=True, exist_ok=True)
    config = kubeflow.KubeflowV2DagRunnerConfig(default_image=image)
    kubeflow.KubeflowV2DagRunner(config, output_dir=str(place.parent), output_filename=place.name).run(
        pipeline(chosen, looks_back=False)
    )


if __name__ == "__main__":
    define_flags()
    flags.run(main, usage=USAGE, help_text=settings.help_text)
