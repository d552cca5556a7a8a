"""Optimisers of players, and learning rates as functions of the step alone."""

import keras
import tensorflow as tf

from pga_tf.core import update_rules
from pga_tf.settings.optimizer import parsed_drops


@keras.saving.register_keras_serializable("pga_tf")
class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Constant, or a decay by halving, by drops, exponential, linear or as a cosine, after a linear rise.

    Args:
      peak: learning rate after the rise. kind: "constant", "halving", "drops", "exponential", "linear" or "cosine".
      warmup: steps of the rise. halve_steps: steps between halvings. total_steps: where cosine and line reach 0 and the
        exponential `last`, a share of the peak. drops: pairs (step, divisor) of the rate from that step on.
      updates: how often the optimiser is applied in a step; its own count of them is what Keras asks by.
    """

    def __init__(self, peak, kind, warmup, halve_steps, total_steps, updates=1, *, drops=(), last=0.01):
        self.peak, self.kind, self.warmup = peak, kind, warmup
        self.halve_steps, self.total_steps, self.updates = halve_steps, total_steps, updates
        self.drops, self.last = drops, last

    def __call__(self, iterations):
        return self.at_step(iterations // self.updates)

    def at_step(self, step):
        """The rate in step `step`, which counts from 0."""
        step = tf.cast(step, tf.float32)
        rate = tf.constant(self.peak, tf.float32)
        if self.kind == "halving":
            rate *= 0.5 ** tf.floor(step / self.halve_steps)
        elif self.kind == "drops":
            for first, divisor in self.drops:
                rate /= tf.where(step < first, 1.0, divisor)
        elif self.kind == "exponential":
            rate *= self.last ** (step / self.total_steps)
        done = tf.clip_by_value((step - self.warmup) / max(self.total_steps - self.warmup, 1), 0.0, 1.0)
        if self.kind == "cosine":
            rate *= 0.5 * (1.0 + tf.cos(3.141592653589793 * done))
        elif self.kind == "linear":
            rate *= 1.0 - done
        if self.warmup:
            rate *= tf.minimum((step + 1.0) / self.warmup, 1.0)
        return rate

    def get_config(self):
        return dict(vars(self))


PEAKS = {"sgd": 0.1, "adam": 1e-3, "rmsprop": 1e-3}


# Of optimisers on a bound that is not scaled, TensorFlow 1's defaults, with which the papers trained; and the power of
# the scale by which it goes: RMSprop's is added to squares.
BOUND_EPSILONS = {"adam": (1e-8, 1), "rmsprop": (1e-10, 2)}
SMALLEST_EPSILON = 1e-30  # float32 holds it; at 0 a weight without a gradient would become NaN


def peak(options):
    """The peak learning rate that `OptimizerOptions` stand for."""
    return options.learning_rate or PEAKS[options.optimizer]


def of_players(options, players, own, *, steps_per_epoch, total_steps, loss_scale=None):
    """dict of player's name to the Keras optimiser that `OptimizerOptions` describe for it.

    Args:
      own: options of what is trained; NAME_learning_rate, NAME_beta_1 and NAME_beta_2 there are the player's, and all
        share the shape of the schedule.
      loss_scale: what `Stepwise.loss_scale` says of what is trained.
    """
    made = {}
    for player in players:
        of_its_own = lambda name, shared, player=player: getattr(own, f"{player.name}_{name}", shared)
        schedule = Schedule(
            of_its_own("learning_rate", peak(options)),
            options.schedule,
            options.learning_rate_warmup,
            max(1, round(options.halve_every * steps_per_epoch)),
            total_steps,
            player.updates,
            drops=[(round(epoch * steps_per_epoch), divisor) for epoch, divisor in parsed_drops(options.drops)],
            last=options.last_rate,
        )
        beta_1, beta_2 = of_its_own("beta_1", options.momentum), of_its_own("beta_2", options.beta_2)
        made[player.name] = _optimizer(options, schedule, beta_1, beta_2, loss_scale)
    return made


def _optimizer(options, schedule, beta_1, beta_2, loss_scale):
    more = {"weight_decay": options.weight_decay} if options.weight_decay else {}
    if loss_scale and options.optimizer in BOUND_EPSILONS:
        epsilon, power = BOUND_EPSILONS[options.optimizer]
        more["epsilon"] = max(epsilon * loss_scale**power, SMALLEST_EPSILON)
    if options.optimizer == "adam":
        return update_rules.Adam(schedule, beta_1=beta_1, beta_2=beta_2 or 0.999, name="adam", **more)
    if options.optimizer == "rmsprop":
        return update_rules.RMSprop(schedule, rho=beta_2 or 0.9, momentum=beta_1, name="rmsprop", **more)
    return update_rules.SGD(schedule, momentum=beta_1, name="sgd", **more)
