"""What is drawn, as it is drawn: the keys of all noise."""

import contextlib
from unittest import mock

import tensorflow as tf

from pga_tf.core import noise


@contextlib.contextmanager
def keys_drawn():
    """Inside the block functions run eagerly; the list that it gives holds each key that noise was drawn by."""
    keys, draw = [], noise.uniform

    def uniform(shape, key):
        tf.py_function(lambda value: keys.append(tuple(value.numpy().tolist())), [key], [])
        return draw(shape, key)

    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with mock.patch.object(noise, "uniform", uniform):
            yield keys
    finally:
        tf.config.run_functions_eagerly(eagerly)
