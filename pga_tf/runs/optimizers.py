"""Optimisers, and learning rates as functions of the step alone."""

import keras
import tensorflow as tf


@keras.saving.register_keras_serializable("pga_tf")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Constant, halving or cosine decay, after a linear rise.

    Args:
      peak: learning rate after the rise. kind: "constant", "halving" or "cosine".
      warmup: steps of the rise. halve_steps: steps between halvings. total_steps: where the cosine reaches 0.
    """

    def __init__(self, peak, kind, warmup, halve_steps, total_steps):
        self.peak, self.kind, self.warmup = peak, kind, warmup
        self.halve_steps, self.total_steps = halve_steps, total_steps

    def __call__(self, step):
        step = tf.cast(step, tf.float32)
        rate = tf.constant(self.peak, tf.float32)
        if self.kind == "halving":
            rate *= 0.5 ** tf.floor(step / self.halve_steps)
        elif self.kind == "cosine":
            done = tf.clip_by_value((step - self.warmup) / max(self.total_steps - self.warmup, 1), 0.0, 1.0)
            rate *= 0.5 * (1.0 + tf.cos(3.141592653589793 * done))
        if self.warmup:
            rate *= tf.minimum((step + 1.0) / self.warmup, 1.0)
        return rate

    def get_config(self):
        return dict(vars(self))


def build_optimizer(options, *, steps_per_epoch, total_steps):
    """The Keras optimiser that `OptimizerOptions` describe."""
    rate = Schedule(
        options.learning_rate,
        options.schedule,
        options.learning_rate_warmup,
        max(1, round(options.halve_every * steps_per_epoch)),
        total_steps,
    )
    more = {"use_ema": True, "ema_momentum": options.ema} if options.ema else {}
    if options.weight_decay:
        more["weight_decay"] = options.weight_decay
    if options.optimizer == "adam":
        optimizer = keras.optimizers.Adam(name="adam", learning_rate=rate, beta_1=options.momentum, **more)
    else:
        optimizer = keras.optimizers.SGD(name="sgd", learning_rate=rate, momentum=options.momentum, **more)
    # `fit` would end by overwriting the weights with their averages, and a run could not go on from there.
    optimizer.finalize_variable_values = lambda variables: None
    return optimizer


def make_slots(optimizer, variables):
    """Builds `optimizer` for `variables`; biases, scales of norms and gamma are kept from weight decay."""
    optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
    optimizer.build(variables)


def use_average_weights(optimizer, variables):
    """Overwrites `variables`, those that `optimizer` was built for, with their moving averages."""
    type(optimizer).finalize_variable_values(optimizer, variables)
