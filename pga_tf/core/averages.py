"""A moving average of a model's weights, and the norm statistics that go with it.

a <- d a + (1 - d) w after every step t = 0, 1, ..., with the ramp d = min(decay, (1 + t) / (10 + t)): an average that
began with full weight on where training began would carry that for thousands of steps. Running statistics of the
weights as trained are not those of averaged weights, and nor is their average: they are measured anew, by passes with
the averaged weights, where these are used.
"""

import contextlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np
import tensorflow as tf


class Averages:
    """Averages of `weights`, and for them the values of `statistics`, which networks keep beside their weights.

    Args:
      weights, statistics: Keras variables; both start as they are. decay: in (0, 1).
    """

    def __init__(self, weights: Sequence[keras.Variable], statistics: Sequence[keras.Variable], decay: float):
        self._decay = decay
        self._weights, self._statistics = ([(v, _copy(v)) for v in group] for group in (weights, statistics))

    @property
    def variables(self) -> list[keras.Variable]:
        return [average for _, average in [*self._weights, *self._statistics]]

    @property
    def has_statistics(self) -> bool:
        return bool(self._statistics)

    def update(self, step: tf.Tensor) -> None:
        """Moves the averages after step `step`, an integer tensor that counts from 0."""
        t = tf.cast(step, tf.float32)
        share = 1.0 - tf.minimum(self._decay, (1.0 + t) / (10.0 + t))
        for variable, average in self._weights:
            average.assign_add(tf.cast(share, average.dtype) * (variable.value - average.value))

    def apply(self) -> None:
        """Overwrites the variables by their averages. Not to be undone."""
        for variable, average in [*self._weights, *self._statistics]:
            variable.assign(np.asarray(average))

    @contextlib.contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the variables have their averages; afterwards their own values again."""
        own = [(variable, np.array(variable)) for variable, _ in [*self._weights, *self._statistics]]
        self.apply()
        try:
            yield
        finally:
            for variable, value in own:
                variable.assign(value)

    @contextlib.contextmanager
    def measured(self) -> Iterator[None]:
        """As `applied`, and keeps the statistics that the block leaves as those of the averaged weights."""
        with self.applied():
            yield
            for variable, statistic in self._statistics:
                statistic.assign(np.asarray(variable))


def _copy(variable):
    return keras.Variable(
        np.asarray(variable),
        trainable=False,
        name="average",
        aggregation="only_first_replica",
        dtype=variable.dtype,
        autocast=False,
    )
