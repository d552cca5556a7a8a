"""Norm statistics of averaged weights (`--ema`), measured where these weights are used."""

import contextlib

import tensorflow as tf

from pga_tf.core.workers import HEARD_ALONE

PASSES = 50  # batches that the statistics are means over
NOISE_FROM = 2**40  # step whose noise the first pass draws; no run is so long


class Averaging:
    """The averaged weights of an `Experiment`, whose statistics are a function of (averages, seed, step).

    `heard`: the `Heard` of its workers, all of which measure together.
    """

    def __init__(self, experiment, heard=HEARD_ALONE):
        self.experiment, self.heard, self.measured_at = experiment, heard, None
        self._pass = None

    @contextlib.contextmanager
    def applied(self, step):
        """Inside the block the model has the averages of after `step` steps, where the run keeps them."""
        self.measure(step)
        with self.experiment.model.averaged():
            yield

    def measure(self, step, pause=None):
        """Brings the statistics up to date with the averages of after `step` steps; whether that took passes.

        `pause`, by default to give way to a signal, is called before each pass; where it raises, the statistics stay as
        they were.
        """
        averages = self.experiment.model.averages
        if not averages or not averages.has_statistics or self.measured_at == step:
            return False
        pause = pause or self.heard.give_way
        if self._pass is None:
            self._pass = tf.function(self._of_replicas, autograph=False)
        batches = self.experiment.batches(step, PASSES)
        with averages.measured():
            for k, batch in enumerate(batches):
                pause()
                self._pass(batch, tf.constant(NOISE_FROM + k, tf.int64), tf.constant(k, tf.float32))
        self.measured_at = step
        return True

    def _of_replicas(self, batch, step, seen):
        self.experiment.model.pass_through(batch, step, seen, run=self.experiment.strategy.run)
