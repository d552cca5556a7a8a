"""Tiny pipelines for tests."""

import dataclasses
import pathlib
import signal
import subprocess
import sys
import time

from pga_tf.priors.mixture import MixtureOptions
from pga_tf.priors.unfitted import NoOptions
from pga_tf.runs.config import FitOptions
from pipelines import graph, runner
from pipelines.settings import PipelineOptions, settings
from tests.training import helpers

ROOT = pathlib.Path(__file__).parents[2]


def tiny(root, *, dataset="digits", options=(), prior="normal", **values):
    """`Settings` of a pipeline of seconds; `options` override those of the pipeline, `values` those of training."""
    values = {"network": "mlp", "filters": 8, "steps": 4} | values
    config = helpers.config("unused/tiny", dataset=dataset, **values)
    chosen = PipelineOptions(pipeline_root=str(root), num_samples=60, seeds=2, features="digits", max_frechet=1e9)
    chosen = dataclasses.replace(chosen, **dict(options))
    own = {"": None, "normal": NoOptions(), "mixture": MixtureOptions(components=2)}[prior]
    return settings(chosen, config, FitOptions(prior=prior), own)


def command(module, chosen, *flags):
    """The command line that runs `Settings` by a module of `pipelines`; `flags` for what differs."""
    values = chosen.config.values() | {"workdir": "unused"}
    own = {"pipeline_root", "push_base", "name", "features", "num_samples", "seeds", "max_frechet"}
    values |= {name: value for name, value in dataclasses.asdict(chosen.options).items() if name in own}
    return [sys.executable, "-m", f"pipelines.{module}", *(f"--{k}={v}" for k, v in values.items()), *flags]


def killed(command, pattern):
    """Runs a command until a file of `pattern` (folder, glob) is there, and kills it."""
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    folder, files = pattern
    for _ in range(1800):
        if list(folder.glob(files)) or process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    assert process.wait() == -signal.SIGKILL


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
