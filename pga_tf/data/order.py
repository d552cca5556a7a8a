"""The order of the data: batch k of a run is a function of (seed, k) and of the number of images alone.

Position p = k * batch_size + j counts the images that a run has seen. It lies in epoch
e = p // count. Each epoch is a permutation of its own, computed index by index, so that any batch can be made
without those before it.
"""

import numpy as np
import tensorflow as tf

FEW = 16  # epochs that a batch may touch for a graph that holds each


def key(seed: int | tf.Tensor, *counters: tf.Tensor) -> tf.Tensor:
    """int64 `[2]`: random bits, a function of `seed` and the int `counters`, to seed stateless operations."""
    bits = tf.convert_to_tensor(seed, tf.int64)
    bits = tf.stack([bits, tf.zeros_like(bits)])
    for counter in counters:
        bits = tf.random.experimental.stateless_fold_in(bits, tf.cast(counter, tf.int64), alg="philox")
        bits = tf.random.stateless_uniform([2], bits, None, None, dtype=tf.int64, alg="philox")
    return bits


def indices(
    step: tf.Tensor, *, batch_size: int, count: int, seed: int | tf.Tensor, rows: np.ndarray | None = None
) -> tf.Tensor:
    """Which images make up batch `step`: int64 `[batch_size]` in [0, count); with `rows` those of its rows, `[R]`.

    Every epoch visits each image exactly once, and batches run across the borders of epochs.
    """
    positions = step * batch_size + (tf.range(batch_size, dtype=tf.int64) if rows is None else rows)
    epochs = positions // count
    touched = (batch_size - 1) // count + 2  # a batch that starts mid-epoch ends in a later one
    if touched <= FEW:
        keys = tf.stack([key(seed, epochs[0] + i) for i in range(touched)])
    else:  # many epochs to a batch: a loop in the graph instead of one of it
        following = epochs[0] + tf.range(touched, dtype=tf.int64)
        keys = tf.map_fn(lambda epoch: key(seed, epoch), following)
    # tf.random.experimental.index_shuffle fails when it is given one seed for each index.
    seeds = tf.pad(tf.gather(keys, epochs - epochs[0]), [[0, 0], [0, 1]])
    return tf.raw_ops.RandomIndexShuffle(
        index=positions % count, seed=seeds, max_index=tf.constant(count - 1, tf.int64), rounds=8
    )


def spread(count: int, limit: int) -> list[int]:
    """Python ints: at most `limit` indices below `count`, evenly spaced, the first one 0."""
    taken = min(count, limit)
    return [i * count // taken for i in range(taken)]
