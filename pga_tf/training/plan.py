"""The plan of a run, printed before its first step: what will be trained, for how long, in how much memory."""

import resource
import time

import numpy as np
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import progress
from pga_tf.runs import devices
from pga_tf.training import steps

TRIAL_STEPS = 3


def trial(experiment):
    """Takes a few real steps, undoes them, and returns (seconds per step, peak bytes of memory).

    The compiled train function stays with the model, so that training does not trace it again.
    """
    model = experiment.model
    variables = [*model.state_between_steps().values(), *(v for metric in model.metrics for v in metric.variables)]
    before = [np.array(v) for v in variables]
    calls = TRIAL_STEPS + 1
    iterator = iter(experiment.batches(0, calls * model.steps_per_execution))
    model.make_train_function()
    train = model.train_function
    with experiment.strategy.scope():
        _wait(train(iterator))  # traces
        began = time.monotonic()
        for _ in range(TRIAL_STEPS):
            logs = train(iterator)
        _wait(logs)
        seconds = (time.monotonic() - began) / (TRIAL_STEPS * model.steps_per_execution)
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    return seconds, _peak_memory()


def _wait(logs):
    for value in tf.nest.flatten(logs):
        np.asarray(value)


def _peak_memory():
    gpus = tf.config.list_logical_devices("GPU")
    if gpus:
        return sum(tf.config.experimental.get_memory_info(f"GPU:{i}")["peak"] for i in range(len(gpus)))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def describe(experiment, seconds_per_step, peak_bytes, start_step):
    """The plan as text."""
    config, model = experiment.config, experiment.model
    left = experiment.total_steps - start_step
    shape = "x".join(map(str, experiment.source.image_shape))
    parameters = ", ".join(f"{name} {networks.parameter_count(getattr(model, name)):,}" for name in model.networks())
    optimizer, players = config.optimizer, model.players(model.options)
    several = "; players in turn: " + ", ".join(_player(player) for player in players) if len(players) > 1 else ""
    of_a_step = f"{config.run.batch_size} images"
    if model.batches_per_step() > 1:
        of_a_step = f"{model.batches_per_step()} batches of {of_a_step}"
    lines = [
        f"plan: {config.run.method} with {_networks(config.network, model)} on {config.data.dataset}, "
        f"images {shape}, latent size {config.network.latent_dim}",
        f"  parameters: {parameters}",
        f"  steps: {experiment.total_steps:,} of {of_a_step}, "
        f"{experiment.steps_per_epoch:,.1f} to an epoch; starting after step {start_step:,}",
        f"  optimiser: {optimizer.optimizer}, learning rate {optimizer.learning_rate:g}, {optimizer.schedule}; "
        f"arithmetic: {'float32' if config.run.mixed_precision == 'none' else config.run.mixed_precision}, "
        f"oneDNN {'on' if devices.onednn() else 'off'}, XLA {_xla(config.run.jit)}{several}",
        f"  expected: {1000 * seconds_per_step:.1f} ms a step, {progress.duration(seconds_per_step * left)} "
        f"without pictures; {peak_bytes / 2**20:,.0f} MiB of memory (measured over {TRIAL_STEPS} steps, undone)",
    ]
    if devices.onednn() and not devices.has_gpu() and steps.is_small(experiment):
        lines.append(
            "  hint: a network this small is faster without oneDNN; put TF_ENABLE_ONEDNN_OPTS=0 before the command"
        )
    return "\n".join(lines)


def _xla(asked):
    if asked and not devices.has_gpu():
        return "off (--jit is for a GPU)"
    return "on" if asked else "off"


def _networks(options, model):
    """What the networks are: the registered one's name, and those of a user's own."""
    own = [f"{role} {path}" for role, path in options.own().items()]
    named = [options.network] if len(own) < len(model.roles_held) else []
    return ", ".join([*named, *own])


def _player(player):
    return f"{player.name} ({player.updates} updates)" if player.updates > 1 else player.name
