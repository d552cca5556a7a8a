"""Running means of what a step reports, kept where the step computes: the host reads them when it has use for them."""

import math
from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from pga_tf.core import replicas


class Means(keras.metrics.Metric):
    """Means of named quantities over the steps since the last reset, all in one vector, so that one read tells all.

    Beside the sums it counts, for each quantity, the steps up to the first at which it was not finite.

    Args:
      names: of the quantities, in the order in which they are told.
    """

    def __init__(self, names: Iterable[str]):
        super().__init__(name="means")
        self.names = tuple(names)
        # [sums | steps while the sum was finite | steps], the same on every replica.
        self.state = self.add_variable(
            (2 * len(self.names) + 1,), "zeros", aggregation="only_first_replica", name="state"
        )

    def update_state(self, values: Mapping[str, tf.Tensor]) -> None:
        """Takes in a step's `values`, scalars or `[B]` by name; a name that is left out is told as if it were 0."""
        now = tf.stack([tf.cast(tf.reduce_mean(values.get(name, 0.0)), tf.float32) for name in self.names])
        if replicas.count() > 1:
            now = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, now)
        sums = self.state[: len(self.names)] + now
        finite = self.state[len(self.names) : -1] + tf.cast(tf.math.is_finite(sums), tf.float32)
        self.state.assign(tf.concat([sums, finite, self.state[-1:] + 1.0], axis=0))

    def result(self) -> dict[str, tf.Tensor]:
        """Means by name."""
        means = tf.math.divide_no_nan(self.state[: len(self.names)], self.state[-1])
        return dict(zip(self.names, tf.unstack(means, num=len(self.names)), strict=True))

    def record(self, values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Takes in `values` and returns the means of these names. Raises `KeyError` for a name that is not known."""
        if unknown := sorted(set(values) - set(self.names)):
            raise KeyError(f"Expected values for some of {sorted(self.names)}, received {unknown} too.")
        self.update_state(values)
        return {name: mean for name, mean in self.result().items() if name in values}


class Reading(Mapping):
    """What `means` held after step `step`: a mapping of name to float, read from the device when first asked for."""

    def __init__(self, means: Means, step: int):
        self._means, self._step, self._values = means, step, None

    @property
    def was_read(self) -> bool:
        """Whether anybody has asked for a value."""
        return self._values is not None

    def __getitem__(self, name: str) -> float:
        self._read()
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._means.names)

    def __len__(self) -> int:
        return len(self._means.names)

    def first_not_finite(self) -> tuple[str, int] | None:
        """(name, step) of what was the first not to be finite in these steps; None where all are."""
        self._read()
        began = self._step - int(self._steps)
        steps = {name: began + int(self._finite[i]) + 1 for i, name in enumerate(self) if not math.isfinite(self[name])}
        return min(steps.items(), key=lambda found: found[1]) if steps else None

    def _read(self):
        if self._values is None:
            state, count = np.asarray(self._means.state), len(self)
            self._finite, self._steps = state[count:-1], state[-1]
            with np.errstate(invalid="ignore"):
                means = state[:count] / max(self._steps, 1.0)
            self._values = dict(zip(self, means.tolist(), strict=True))
