"""A head start: an encoder whose codes have the prior's mean and covariance before the autoencoder is trained.

Source: the released code of Tolstikhin et al., Wasserstein Auto-Encoders, ICLR 2018 (`pretrain_encoder`).
Algorithm: minimise `moment_gap` over the encoder alone, for a number of steps or until it is below 0.1.
Deviations: the prior's moments are exact, there those of its draws; a step takes the run's batch, there 1,000 images.
"""

import dataclasses
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from pga_tf.core import checks, replicas
from pga_tf.core.players import Player
from pga_tf.core.stepwise import Stepwise
from pga_tf.objectives import matching

ENOUGH = 0.1


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """None."""


class HeadStart(Stepwise):
    """Trains the encoder of a method by the moments of its codes.

    Args:
      encoder: its network, in training mode as in a step. codes: function of (batch, step) to codes `[B, H_dim]`.
      optimizer: what it is trained by: a Keras optimiser of which a new one is made. length: steps at most.
    """

    PLAYERS = (Player("encoder", ("encoder",)),)
    LOSSES = ("L_moments",)
    REPORTED = ()
    TOTAL = "L_moments"

    def __init__(
        self, encoder: keras.layers.Layer, codes: Callable, optimizer: keras.optimizers.Optimizer, length: int
    ):
        super().__init__({"encoder": encoder}, NoOptions(), latent_dim=0)
        self.codes, self.length, self.gap = codes, length, math.nan
        self.compile(type(optimizer).from_config(optimizer.get_config()), jit_compile=False)

    def prepare(self, batch: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        return batch  # which `codes` does

    def update(self, batch: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            codes = self.codes(batch, step)
            gap = matching.moment_gap(replicas.of_all(codes))
            loss = tf.repeat(gap, tf.shape(codes)[0])  # the same for each example
        return {"L_moments": loss, **self.minimise(tape, loss)}

    def ending(self) -> keras.callbacks.Callback:
        """Ends `fit` after `length` steps, or after the first whose loss is below `ENOUGH`."""
        return _Ending()

    def told(self) -> str:
        """What has come of it, in a line."""
        steps = int(np.asarray(self.step))  # of several replicas
        return f"a head start of the encoder by {steps} steps, moments of codes {self.gap:.3g} off the prior's"


class _Ending(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        head = self.model
        head.gap = float(logs["L_moments"])  # a `Reading` in a run, Keras's own elsewhere
        if not math.isfinite(head.gap):
            raise checks.NonFiniteError(
                f"L_moments is {head.gap} at step {int(np.asarray(head.step))} of the head start"
            )
        head.stop_training |= head.gap < ENOUGH or int(np.asarray(head.step)) >= head.length
        head.reset_metrics()  # a value is that of its step
