"""From a configuration to the parts of a run: data, networks, method, optimisers."""

import dataclasses
import math

import keras
import numpy as np
import tensorflow as tf

from pga_tf import data, methods, networks
from pga_tf.core import checks, cluster, memory, players
from pga_tf.core.workers import ALONE, Workers
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
    workers: Workers = ALONE

    def batches(self, start_step, steps):
        """What `steps` steps are handed from `start_step` on, a function of (seed, step) alone: batches `[B, H, W, C]`.

        For players that take several batches in a step they come side by side, `[B, batches, H, W, C]`, so that
        replicas share out the rows of each. Of several workers each reads its own rows alone. A dataset of
        `strategy`'s.
        """
        if not self.config.run.workers:
            return self.strategy.experimental_distribute_dataset(self._stream(start_step).take(steps))
        size = self.config.run.batch_size // self.workers.count
        first, replicas = size * self.workers.rank, self.strategy.num_replicas_in_sync // self.workers.count
        own = self._stream(start_step, range(first, first + size)).take(steps)
        if replicas > 1:  # one element for each
            own = own.unbatch().batch(size // replicas, drop_remainder=True)
        options = tf.data.Options()
        options.autotune.enabled = False  # whose thread sleeps on, up to a minute, while an iterator waits for its end
        own = own.with_options(options)
        return self.strategy.distribute_datasets_from_function(lambda context: own)

    def _stream(self, start_step, rows=None):
        run, count = self.config.run, self.model.batches_per_step()
        if rows is not None:  # those of each of a step's batches, which come one after the other
            rows = np.concatenate([np.asarray(rows, np.int64) + i * run.batch_size for i in range(count)])
        stream = self.source.batches(
            "train",
            count * run.batch_size,
            seed=run.seed,
            start_step=start_step,
            value_range=self.model.image_range,
            rows=rows,
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
    small = METHODS.get(run.method).SMALL_DIFFERENCES
    precision = devices.resolve_precision(run.mixed_precision, small_differences=small)
    return dataclasses.replace(
        config,
        run=dataclasses.replace(run, mixed_precision=precision, steps=run.steps or (0 if run.epochs else STEPS)),
        network=networks.resolved(config.network, image_shape) if image_shape else config.network,
        optimizer=dataclasses.replace(config.optimizer, learning_rate=optimizers.peak(config.optimizer)),
    )


def join(config, out=print):
    """(`config` with the number of replicas of all workers, their strategy, `Workers`) of a run by `--workers`.

    Without that: `config`, None and this process alone. It waits until all workers are there. Raises `InputError` for a
    TF_CONFIG that cannot be, and at each of them where their flags differ.
    """
    run = config.run
    if not run.workers:
        return config, None, ALONE
    config_lib.validate(dataclasses.replace(config, run=dataclasses.replace(run, replicas=1)))
    member = cluster.of_environment()
    for line in member.left_out:
        out(f"note: {line}")
    if member.count > 1:
        out(f"worker {member.rank} of {member.count}: waiting for the others")
    strategy, workers = devices.joined(member)
    replicas = strategy.num_replicas_in_sync
    if run.replicas not in (1, replicas):
        checks.refuse(
            "--workers and --replicas",
            expected=f"--workers alone, or {replicas}, the devices of all workers",
            received=f"--replicas={run.replicas}",
            remedy="leave --replicas out",
        )
    config = dataclasses.replace(config, run=dataclasses.replace(run, replicas=replicas))
    settings = workers.of_each(lambda: resolved(config).values())
    for rank, other in enumerate(settings):
        for name, value in settings[0].items():
            if name != "workdir":
                _require_alike(f"--{name}", value, other.get(name), rank)
    return config_lib.validate(config), strategy, workers


def _require_alike(what, chiefs, others, rank):
    if chiefs != others:
        checks.refuse(
            what,
            expected=f"{chiefs}, as the chief has it",
            received=f"{others} at worker {rank}",
            remedy="start all alike",
        )


def build(config, strategy=None, workers=ALONE):
    """Builds every part, of a run by `--workers` with what `join` gave.

    Raises `InputError` for whatever the configuration asks that cannot be.
    """
    config = resolved(config_lib.validate(config))
    method = METHODS.get(config.run.method)
    strategy = strategy or devices.strategy(config.run.replicas)
    source, data_changed = _load(config, workers)
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
    return Experiment(config, source, model, strategy, total_steps, steps_per_epoch, data_changed, workers)


def _load(config, workers):
    """What `run_data.load` gives; several workers have the same images."""
    loaded = []

    def known_by():
        loaded.append(run_data.load(config))
        source = loaded[0][0]
        return (
            f"{source.counts['train']:,} of {source.image_shape}, digest {source.identity and source.identity.digest}"
        )

    images = workers.of_each(known_by)
    for rank, other in enumerate(images):
        _require_alike(f"Images of {loaded[0][0].name}", images[0], other, rank)
    return loaded[0]


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
    model._jit_compile = config.run.jit and devices.has_gpu()
    return model
