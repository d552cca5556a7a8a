"""Tiny pipelines for tests."""

import dataclasses

from pga_tf.priors.mixture import MixtureOptions
from pga_tf.priors.normal import NormalOptions
from pga_tf.training.fitting import FitOptions
from pipelines import graph, runner
from pipelines.settings import PipelineOptions, settings
from tests.training import helpers


def tiny(root, *, dataset="digits", options=(), prior="normal", **values):
    """`Settings` of a pipeline of seconds; `options` override those of the pipeline, `values` those of training."""
    values = {"network": "mlp", "filters": 8, "steps": 4} | values
    config = helpers.config("unused/tiny", dataset=dataset, **values)
    chosen = PipelineOptions(pipeline_root=str(root), num_samples=60, seeds=2, features="digits", max_frechet=1e9)
    chosen = dataclasses.replace(chosen, **dict(options))
    own = MixtureOptions(components=2) if prior == "mixture" else NormalOptions()
    return settings(chosen, config, FitOptions(prior=prior), own)


def states(results):
    """dict of a step's name to how it ended."""
    return {name: result.state for name, result in results.items()}


def run_first(chosen, last):
    """Runs the steps of `Settings` up to `last`: the runner's results."""
    root = chosen.options.pipeline_root
    steps = graph.steps(chosen)
    end = [step.name for step in steps].index(last) + 1
    with runner.locked(root):
        return runner.run(steps[:end], root, say=lambda result: None)
