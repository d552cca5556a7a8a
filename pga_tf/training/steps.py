"""Keras's `fit` over a stream that ends with it, whose host waits for the device only where it has use for a value."""

import math

import keras
import numpy as np

from pga_tf.core import iterators
from pga_tf.core.means import Reading
from pga_tf.runs import build, devices

SMALL = 2**21  # bytes of what networks put out for a batch, below which a call costs more than a tenth of a step
MOST_OF_SMALL, MOST_ON_A_GPU = 10, 50


def of_a_call(experiment, start, users):
    """Steps in one call of the runtime: what the run asks for, or as many as pay, such that nothing is late by them.

    Args:
      start: the step that training goes on from. users: a user's own callbacks, which want every step.
    """
    run = experiment.config.run
    if run.steps_per_execution:
        return run.steps_per_execution
    if users or run.replicas > 1 or run.workers:  # TensorFlow fails under replicas
        return 1
    most = MOST_OF_SMALL if is_small(experiment) else 1
    if devices.has_gpu():
        most = MOST_ON_A_GPU
    periods = math.gcd(start, run.log_every, run.image_every, run.evaluate_every, run.checkpoint_every)
    return next(k for k in range(most, 0, -1) if periods % k == 0)


def is_small(experiment):
    """Whether a step is so short that what surrounds it counts."""
    model = experiment.model
    batch = experiment.config.run.batch_size * model.batches_per_step()
    return batch * build.bytes_of_an_example(model) < SMALL


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
    """Takes `count` steps over the dataset `batches`, which has that many.

    None of its iterators outlives that, however it ends.
    """
    started = int(np.asarray(model.step))
    try:
        keras.Model.fit(  # the method's own looks at the first batch: these are known
            model,
            batches,
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
