"""What is drawn, as it is drawn: the keys of all noise."""

import contextlib
from unittest import mock

import tensorflow as tf

from pga_tf.core import noise


@contextlib.contextmanager
def keys_drawn():
    """Inside the block functions run eagerly; the list that it gives holds each key that noise was drawn by."""
    keys, draw, draw_each = [], noise.uniform, noise.uniforms_of_each

    def uniform(shape, key):
        tf.py_function(lambda value: keys.append(tuple(value.numpy().tolist())), [key], [])
        return draw(shape, key)

    def uniforms_of_each(count, drawn_by):
        tf.py_function(lambda values: keys.extend(map(tuple, values.numpy().tolist())), [drawn_by], [])
        return draw_each(count, drawn_by)

    eagerly = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        with mock.patch.multiple(noise, uniform=uniform, uniforms_of_each=uniforms_of_each):
            yield keys
    finally:
        tf.config.run_functions_eagerly(eagerly)
