"""Noise for priors: draw i is a function of seed i alone, whatever the batch."""

import tensorflow as tf

from pga_tf.core import noise


def normals(seeds, dimensions, stream=0):
    """int64 seeds `[B]` to N(0, 1) noise `[B, dimensions]`, float32. `stream` tells uses of one seed apart."""

    def one(seed):
        return noise.standard_normal([dimensions], tf.stack([seed, stream]))

    return tf.map_fn(one, seeds, fn_output_signature=tf.TensorSpec([dimensions], tf.float32))


def sampler(function):
    """`function` of int64 seeds `[B]`, compiled once for every batch size."""
    return tf.function(function, input_signature=[tf.TensorSpec([None], tf.int64)], autograph=False)
