"""Keras's `fit` over a stream that ends with it."""

import keras

from pga_tf.core import iterators


def take(model, batches, count, callbacks):
    """Takes `count` steps over the dataset `batches`; none of its iterators outlives that, however it ends."""
    try:
        keras.Model.fit(  # the method's own looks at the first batch: these are known
            model,
            batches.take(count),
            epochs=1,
            steps_per_epoch=count,
            shuffle=False,  # the stream has its order
            verbose=0,
            callbacks=callbacks,
        )
    except BaseException as error:
        iterators.let_go(error)
        raise
    if model.stop_training:  # else the stream has been exhausted, and is gone
        iterators.let_go()
