"""From a configuration to the parts of a run: data, networks, method, optimisers."""

import dataclasses

import keras
import tensorflow as tf

from pga_tf import data
from pga_tf.methods import METHODS, assembly
from pga_tf.training import config as config_lib
from pga_tf.training import devices, optimizers


@dataclasses.dataclass(frozen=True)
class Experiment:
    """The parts of a run. `model` is compiled and all its variables and optimiser slots exist."""

    config: config_lib.Config
    source: data.Source
    model: keras.Model
    strategy: tf.distribute.Strategy
    total_steps: int
    steps_per_epoch: float

    def batches(self, start_step):
        """The training batches from `start_step` on: a function of (seed, step) alone."""
        run = self.config.run
        return self.source.batches(
            "train", run.batch_size, seed=run.seed, start_step=start_step, value_range=self.model.image_range
        )


def resolved(config):
    """`config` with what depends on the machine decided, so that it can be written down and compared."""
    precision = devices.resolve_precision(config.run.mixed_precision)
    return dataclasses.replace(config, run=dataclasses.replace(config.run, mixed_precision=precision))


def build(config):
    """Builds every part. Raises `InputError` for whatever the configuration asks that cannot be."""
    config = resolved(config_lib.validate(config))
    METHODS.get(config.run.method).requirements(config.method)  # refuses contradictions before data is read
    strategy = devices.strategy(config.run.replicas)
    source = data.load(config.data)
    steps_per_epoch = source.counts["train"] / config.run.batch_size
    total_steps = config.run.steps or max(1, round(config.run.epochs * steps_per_epoch))
    with strategy.scope():
        model = build_model(config, source.image_shape, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
    return Experiment(config, source, model, strategy, total_steps, steps_per_epoch)


def build_model(config, image_shape, *, steps_per_epoch=1.0, total_steps=1):
    """The compiled method of a resolved `config` for images of `image_shape`; all its variables exist.

    The lengths shape the learning rate alone, so that a model which is not to be trained needs none.
    """
    method = METHODS.get(config.run.method)
    needs = method.requirements(config.method)
    devices.configure()
    devices.set_precision(config.run.mixed_precision)
    keras.utils.set_random_seed(config.run.seed)
    made = assembly.build_networks(needs, config.network, image_shape)
    model = method(**made, options=config.method, latent_dim=config.network.latent_dim, seed=config.run.seed)
    updates = {
        name: optimizers.build_optimizer(config.optimizer, steps_per_epoch=steps_per_epoch, total_steps=total_steps)
        for name in method.OPTIMIZERS
    }
    # "auto" would pick XLA by itself, which --jit is there to decide.
    model.compile(**updates, jit_compile=config.run.jit, steps_per_execution=config.run.steps_per_execution)
    for name, variables in assembly.optimized(model).items():
        optimizers.make_slots(getattr(model, name), variables)
    return model


def optimizers_of(model):
    """A compiled method's optimisers by name."""
    return {name: getattr(model, name) for name in model.OPTIMIZERS}


def use_average_weights(config, model):
    """Replaces the weights by their moving averages, where the run keeps them (`--ema`). Not to be undone."""
    if config.optimizer.ema:
        for name, variables in assembly.optimized(model).items():
            optimizers.use_average_weights(getattr(model, name), variables)
