"""One place for everything that depends on how many replicas train together.

A step is written for the examples that its replica sees. The global batch is split evenly and in order, so
that replica r of R holds the rows [r * b, (r + 1) * b) of the batch that a single replica would have held.
"""

import tensorflow as tf

from pga_tf.core import noise

MAX_STREAMS = 2**16


def count():
    """Number of replicas in sync, a Python int."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def _index():
    context = tf.distribute.get_replica_context()
    index = context.replica_id_in_sync_group if context is not None else 0
    return tf.convert_to_tensor(index, tf.int32)


def mean_loss(per_example):
    """Mean over the global batch of `[b]` losses, such that the *sum* over replicas is that mean.

    Keras adds gradients over replicas, so each contributes its local mean divided by their number.
    """
    return tf.reduce_mean(per_example) / count()


def batch_mean(values):
    """Mean over axis 0 of the global batch: `[b, ...]` to `[...]`, the same on every replica, differentiable."""
    local = tf.reduce_mean(values, axis=0)
    if count() == 1:
        return local
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, local)


def normal(shape, *, seed, step, stream):
    """N(0, 1) noise that is a function of (seed, step, stream) and of the row in the global batch alone.

    Args:
      shape: `[b, ...]`, b the number of examples on this replica.
      seed: int in [0, 2^31), the run's seed. step: int scalar tensor.
      stream: int below MAX_STREAMS, one for each use of noise in a step.

    Returns:
      float32 of `shape`. Each replica draws the global batch's noise and keeps its own rows, so one replica and
      two see the same.
    """
    return _own_rows(noise.standard_normal, shape, seed, step, stream)


def uniform(shape, *, seed, step, stream):
    """U(0, 1) noise; all else as `normal`."""
    return _own_rows(noise.uniform, shape, seed, step, stream)


def _own_rows(draw, shape, seed, step, stream):
    rows = shape[0]
    key = tf.stack([tf.constant(seed * MAX_STREAMS + stream, tf.int64), tf.cast(step, tf.int64)])
    values = draw([rows * count(), *shape[1:]], key)
    return values if count() == 1 else values[_index() * rows : (_index() + 1) * rows]
