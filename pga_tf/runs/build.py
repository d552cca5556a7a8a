"""From a configuration to the parts of a run: data, networks, method, optimisers."""

import dataclasses
import math

import keras
import tensorflow as tf

from pga_tf import data, methods, networks
from pga_tf.core import checks, memory, players
from pga_tf.methods import METHODS
from pga_tf.runs import config as config_lib
from pga_tf.runs import devices, optimizers, run_data


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The parts of a run. `model` is compiled and all its variables and optimiser slots exist."""

    config: config_lib.Config
    source: data.Source
    model: keras.Model
    strategy: tf.distribute.Strategy
    total_steps: int
    steps_per_epoch: float
    data_changed: tuple[str, str] | None  # as `run_data.load` says

    def batches(self, start_step):
        """What steps are handed from `start_step` on, a function of (seed, step) alone: batches `[B, H, W, C]`.

        For players that take several batches in a step they come side by side, `[B, batches, H, W, C]`, so that
        replicas share out the rows of each.
        """
        run, count = self.config.run, self.model.batches_per_step()
        stream = self.source.batches(
            "train", count * run.batch_size, seed=run.seed, start_step=start_step, value_range=self.model.image_range
        )
        return stream if count == 1 else stream.map(lambda images: _side_by_side(images, count))


def _side_by_side(images, count):
    """`[count * B, ...]`, batch after batch, to `[B, count, ...]`."""
    batches = tf.reshape(images, [count, -1, *images.shape[1:]])
    return tf.transpose(batches, [1, 0, *range(2, len(images.shape) + 1)])


STATES = 4  # copies of the weights that training makes at the least: gradients, two slots, what is saved
STEPS = 20_000  # length of training where neither steps nor epochs are asked for


def resolved(config, image_shape=None):
    """`config` with what depends on the machine or on other options decided, to be written down and compared.

    `image_shape`: (H, W, C) of its images, by which a network is chosen where none is named; None leaves that open.
    """
    run = config.run
    precision = devices.resolve_precision(config.run.mixed_precision)
    return dataclasses.replace(
        config,
        run=dataclasses.replace(run, mixed_precision=precision, steps=run.steps or (0 if run.epochs else STEPS)),
        network=networks.resolved(config.network, image_shape) if image_shape else config.network,
        optimizer=dataclasses.replace(config.optimizer, learning_rate=optimizers.peak(config.optimizer)),
    )


def build(config):
    """Builds every part. Raises `InputError` for whatever the configuration asks that cannot be."""
    config = resolved(config_lib.validate(config))
    method = METHODS.get(config.run.method)
    strategy = devices.strategy(config.run.replicas)
    source, data_changed = run_data.load(config)
    config = resolved(config, source.image_shape)
    of_a_step = config.run.batch_size * players.batches(method.players(config.method))
    steps_per_epoch = source.counts["train"] / of_a_step
    total_steps = config.run.steps or max(1, round(config.run.epochs * steps_per_epoch))
    if config.run.steps_per_execution > total_steps:
        checks.refuse(
            "--steps_per_execution",
            expected=f"at most the {total_steps:,} steps of the run",
            received=config.run.steps_per_execution,
            remedy="lower it",
        )
    with strategy.scope():
        model = build_model(config, source.image_shape, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
    _require_memory(config, model)
    return Experiment(config, source, model, strategy, total_steps, steps_per_epoch, data_changed)


def _require_memory(config, model):
    """Refuses networks whose state, or a batch that with what networks make of it, would not fit in memory."""
    weights = sum(math.prod(variable.shape) for variable in model.variables)
    memory.require("Networks", 4 * STATES * weights, remedy="make them smaller: lower --latent_dim or --filters")
    of_one, count = bytes_of_an_example(model), config.run.batch_size * model.batches_per_step()
    fitting = max(memory.available() // of_one // model.batches_per_step(), 1)
    memory.require("--batch_size", count * of_one, remedy=f"pass --batch_size={fitting} at most, better a tenth of it")


def bytes_of_an_example(model):
    """Bytes of an image and of what the networks of `model` put out for it, at the least."""
    inputs = {"encoder": model.image_shape, "decoder": (model.latent_dim,), "critic": model.image_shape}
    held = (networks.activations(getattr(model, role), inputs[role]) for role in model.roles_held if role in inputs)
    return 4 * math.prod(model.image_shape) + sum(held)


def build_model(config, image_shape, *, steps_per_epoch=1.0, total_steps=1):
    """The compiled method of a resolved `config` for images of `image_shape`; all its variables exist.

    The lengths shape the learning rate alone, so that a model which is not to be trained needs none.
    """
    method = METHODS.get(config.run.method)
    devices.configure()
    devices.set_precision(config.run.mixed_precision)
    model = methods.build(config.run.method, config.method, config.network, image_shape, seed=config.run.seed)
    model.average(config.optimizer.ema, method.averaged_roles(config.method))
    of_each = optimizers.of_players(
        config.optimizer,
        method.players(config.method),
        config.method,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        loss_scale=model.loss_scale(),
    )
    # "auto" would pick XLA by itself, which --jit is there to decide; and True is taken back by Keras, with a warning,
    # where operations are to be deterministic, as they are here.
    model.compile(of_each, jit_compile=False, steps_per_execution=config.run.steps_per_execution or 1)
    model._jit_compile = config.run.jit
    return model
