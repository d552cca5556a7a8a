"""How every prior draws: one graph for any number of seeds, draw i a function of seed i alone."""

from collections.abc import Callable

import tensorflow as tf


def sampler(function: Callable) -> Callable:
    """`function` of int64 seeds `[B]`, compiled once for every batch size."""
    return tf.function(function, input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
