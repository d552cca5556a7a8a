"""`pipelines.graph` as a TFX pipeline, to run here or to compile for Kubeflow."""

import dataclasses
import os
import pathlib

os.environ["TF_USE_LEGACY_KERAS"] = "0"  # as in tfx_components, before TFX is imported

from tfx import v1 as tfx
from tfx.orchestration.kubeflow.v2 import kubeflow_v2_dag_runner as kubeflow

from pga_tf.core import checks
from pipelines import code_hash, graph
from pipelines.tfx_components import BEAM_ARGS, COMPONENTS, DATA_PARALLEL, earlier, local_path
from pipelines.tfx_store import STAGING, connection


def pipeline(chosen, *, looks_back=True):
    """The TFX pipeline of `Settings`.

    Args:
      looks_back: hold data and model against those of earlier runs. Kubeflow's runner has no resolver that could.

    Raises:
      InputError: as `graph.steps`.
    """
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
        if step.name in DATA_PARALLEL:
            outside[BEAM_ARGS] = chosen.options.beam_pipeline_args
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
        metadata_connection_config=None if "://" in root else connection(root),
    )


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
