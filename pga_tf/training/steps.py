"""Keras's `fit` over a stream that ends with it, whose host waits for the device only where it has use for a value."""

import keras
import numpy as np

from pga_tf.core import iterators
from pga_tf.core.means import Reading


class _Unread(keras.callbacks.CallbackList):
    """Hands callbacks a `Reading` after each step, where Keras reads every value for whoever might want one.

    Args:
      started, count: steps that the model had taken before, and is to take.
    """

    def __init__(self, callbacks, model, started, count):
        super().__init__(callbacks, add_history=True, model=model, verbose=0, epochs=1, steps=count)
        self._started, self._count = started, count

    def on_train_batch_begin(self, batch, logs=None):
        for callback in self.callbacks:
            callback.on_train_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch, logs=None):
        # Several steps to an execution: the last one may be cut short by the end of training.
        reading = Reading(self.model.means, self._started + min(batch + 1, self._count))
        for callback in self.callbacks:
            callback.on_train_batch_end(batch, logs=reading)


def take(model, batches, count, callbacks):
    """Takes `count` steps over the dataset `batches`; none of its iterators outlives that, however it ends."""
    started = int(np.asarray(model.step))
    try:
        keras.Model.fit(  # the method's own looks at the first batch: these are known
            model,
            batches.take(count),
            epochs=1,
            steps_per_epoch=count,
            shuffle=False,  # the stream has its order
            verbose=0,
            callbacks=_Unread(callbacks, model, started, count),
        )
    except BaseException as error:
        iterators.let_go(error)
        raise
    if model.stop_training:  # else the stream has been exhausted, and is gone
        iterators.let_go()
