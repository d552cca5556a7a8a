"""What feeds what: the steps of the pipeline for the local runner."""

import functools
import pathlib

from pga_tf.core import checks
from pga_tf.evaluation import features
from pga_tf.serving import versions
from pipelines import code_hash, sources
from pipelines.components import configs
from pipelines.components import schema_gen as schema_gen_lib
from pipelines.components.artifacts import is_blessed
from pipelines.components.evaluator import evaluator
from pipelines.components.example_gen import example_gen
from pipelines.components.example_validator import example_validator
from pipelines.components.infra_validator import infra_validator
from pipelines.components.prior_fitter import prior_fitter
from pipelines.components.pusher import is_there, pusher
from pipelines.components.schema_gen import schema_gen
from pipelines.components.statistics_gen import statistics_gen
from pipelines.components.trainer import trainer
from pipelines.components.transform import transform
from pipelines.runner import Step


def steps(settings):
    """The graph of `Settings`, in an order in which every step follows those that it needs. Raises `InputError`."""
    given, data, beam_args = settings.options, settings.config.data, settings.beam_args
    cache = pathlib.Path(given.pipeline_root) / "Evaluator" / ".cache"
    made = [
        Step(
            "ExampleGen",
            on_beam("ExampleGen", beam_args) if beam_args else example_gen,
            outputs=("examples",),
            parameters={
                "dataset": data.dataset,
                "test_fraction": data.test_fraction,
                "shards": given.shards,
                "value_range": data.value_range,
            },
            fingerprint=functools.partial(sources.fingerprint, data.dataset),
        ),
        Step(
            "StatisticsGen",
            on_beam("StatisticsGen", beam_args) if beam_args else statistics_gen,
            inputs={"examples": ("ExampleGen", "examples")},
            outputs=("statistics",),
        ),
        Step(
            "SchemaGen",
            schema_gen,
            inputs={"statistics": ("StatisticsGen", "statistics")},
            outputs=("schema",),
            parameters={
                "image_size": data.image_size,
                "crop": data.crop,
                "colour": data.colour,
                "max_corrupt": given.max_corrupt,
                "max_duplicates": given.max_duplicates,
                "max_drift": given.max_drift,
                "given": given.schema,
            },
            fingerprint=functools.partial(_content, given.schema),
        ),
        Step(
            "ExampleValidator",
            example_validator,
            inputs={"statistics": ("StatisticsGen", "statistics"), "schema": ("SchemaGen", "schema")},
            resolved={"previous": previous_statistics},
            outputs=("anomalies",),
        ),
        Step(
            "Transform",
            on_beam("Transform", beam_args) if beam_args else transform,
            inputs={"examples": ("ExampleGen", "examples"), "schema": ("SchemaGen", "schema")},
            outputs=("transformed",),
            parameters={"image_size": data.image_size, "crop": data.crop, "resize": data.resize},
            after=("ExampleValidator",),
        ),
        Step(
            "Trainer",
            trainer,
            inputs={"transformed": ("Transform", "transformed")},
            outputs=("run",),
            parameters={"flags": configs.training_flags(settings.config)},
            fingerprint=functools.partial(code_hash.of_own_networks, settings.config.network.own()),
            goes_on=True,
            main_thread=True,
        ),
        Step(
            "PriorFitter",
            prior_fitter,
            inputs={"run": ("Trainer", "run"), "transformed": ("Transform", "transformed")},
            outputs=("run_with_priors",),
            parameters={"flags": settings.priors},
            goes_on=True,
            main_thread=True,
        ),
        Step(
            "Evaluator",
            on_beam("Evaluator", beam_args) if beam_args else evaluator,
            inputs={
                "run_with_priors": ("PriorFitter", "run_with_priors"),
                "transformed": ("Transform", "transformed"),
            },
            resolved={"baseline": last_blessed},
            outputs=("evaluation", "blessing"),
            parameters={
                "dataset": data.dataset,
                "features": given.features,
                "inception_path": given.inception_path,
                "num_samples": given.num_samples,
                "seeds": given.seeds,
                "max_frechet": given.max_frechet,
            },
            others={"cache_dir": str(cache)},
        ),
        Step(
            "InfraValidator",
            infra_validator,
            inputs={"run_with_priors": ("PriorFitter", "run_with_priors")},
            outputs=("exported", "infra_blessing"),
            parameters={"name": given.name},
        ),
    ]
    if given.push_base:
        made.append(
            Step(
                "Pusher",
                pusher,
                inputs={
                    "exported": ("InfraValidator", "exported"),
                    "infra_blessing": ("InfraValidator", "infra_blessing"),
                    "evaluation": ("Evaluator", "evaluation"),
                    "blessing": ("Evaluator", "blessing"),
                },
                outputs=("pushed",),
                parameters={"base": given.push_base, "name": given.name},
                still_holds=lambda outputs: is_there(outputs["pushed"]),
            )
        )
    return made


def require(settings):
    """Raises `InputError` for what a step would refuse only after the work of those before it."""
    given, data = settings.options, settings.config.data
    features.load(given.features, inception_path=given.inception_path)
    versions.Versions(given.push_base or given.pipeline_root, given.name)
    if given.push_base:
        versions.require_base(given.push_base)
    if given.schema and schema_gen_lib.read_given(given.schema)["height"] is None and not data.image_size | data.crop:
        checks.refuse(
            f"--schema={given.schema}",
            expected="height and width, for images that are neither resized nor cropped",
            received="null",
            remedy="pass --image_size, or name them",
        )
    if settings.beam_args:
        _beam().cluster.require(settings.beam_args, given.pipeline_root, data.dataset)


def on_beam(name, beam_args):
    """The function of a data-parallel step (ExampleGen, StatisticsGen, Transform or Evaluator) on Apache Beam.

    It takes what the component's own takes and leaves the same. `beam_args`: options of the runner, a list of texts.
    Raises `InputError` without Beam, or for options that it does not take.
    """
    beam = _beam()
    beam.options.parsed(beam_args)  # refused before any work
    return beam.steps.STEPS[name](beam_args)


def _beam():
    """The package `pipelines.beam`, with what of it is called here."""
    try:
        import pipelines.beam.cluster
        import pipelines.beam.steps
    except ImportError as error:
        checks.refuse(
            "--beam_pipeline_args",
            expected="Apache Beam, which requirements-pipeline.txt installs",
            received=str(error),
            remedy="install it, or leave the flag out to work in this process",
        )
    return pipelines.beam


def _content(path):
    return pathlib.Path(path).read_text(errors="replace") if path and pathlib.Path(path).is_file() else ""


def previous_statistics(store, inputs):
    """The statistics of the data before these that were found to be well, or None."""
    own = inputs["statistics"].digest
    for execution in store.executions("ExampleValidator"):
        statistics = execution.inputs["statistics"]
        if statistics.digest != own and store.intact(statistics):
            return statistics
    return None


def last_blessed(store, inputs):
    """The evaluation of the last blessed model other than this one, or None."""
    own = inputs["run_with_priors"].digest
    for execution in store.executions("Evaluator"):
        other = execution.inputs["run_with_priors"].digest != own
        evaluation = execution.outputs["evaluation"]
        if other and is_blessed(execution.outputs["blessing"].path) and store.intact(evaluation):
            return evaluation
    return None
