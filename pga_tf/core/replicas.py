"""One place for everything that depends on how many replicas train together.

A step is written for the examples that its replica sees. The global batch is split evenly and in order, so
that replica r of R holds the rows [r * b, (r + 1) * b) of the batch that a single replica would have held.
"""

from collections.abc import Callable, Mapping, Sequence

import tensorflow as tf


def count() -> int:
    """Number of replicas in sync, a Python int."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def reported(means: Mapping[str, tf.Tensor]) -> Mapping[str, tf.Tensor]:
    """What a step hands to Keras of its `means`, scalars that are those of all replicas: of several workers the first.

    Keras averages there once more, along an axis 0 that has to be there, by an operation among workers for each.
    """
    if not isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        return means
    name = next(iter(means))
    return {name: means[name][tf.newaxis]}


def _index():
    context = tf.distribute.get_replica_context()
    index = context.replica_id_in_sync_group if context is not None else 0
    return tf.convert_to_tensor(index, tf.int32)


def shares(per_example: tf.Tensor) -> tf.Tensor:
    """Weights `[b]` by which losses `[b]` add up, over all replicas, to the mean over the global batch.

    Keras adds gradients over replicas, so each contributes its local mean divided by their number.
    """
    return tf.ones_like(per_example) / tf.cast(tf.size(per_example) * count(), per_example.dtype)


def batch_mean(values: tf.Tensor) -> tf.Tensor:
    """Mean over axis 0 of the global batch: `[b, ...]` to `[...]`, the same on every replica, differentiable."""
    local = tf.reduce_mean(values, axis=0)
    if count() == 1:
        return local
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, local)


def of_all(values: tf.Tensor) -> tf.Tensor:
    """The rows of the global batch: `[b, ...]` to `[b * count(), ...]`, the same on every replica, differentiable.

    A loss of them that each replica takes for `own` rows has, summed over replicas, the gradient of a single one.
    """
    if count() == 1:
        return values
    here = tf.one_hot(_index(), count(), dtype=values.dtype)
    spread = tf.reshape(here, [-1, *[1] * values.shape.rank]) * values[tf.newaxis]  # zeros where others' rows belong
    gathered = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, spread)
    return tf.reshape(gathered, tf.concat([[-1], tf.shape(values)[1:]], axis=0))


def own(rows: tf.Tensor) -> tf.Tensor:
    """This replica's part of the global batch's `rows` `[b * count(), ...]`: `[b, ...]`."""
    if count() == 1:
        return rows
    size = tf.shape(rows)[0] // count()
    return rows[_index() * size : (_index() + 1) * size]


def own_rows(draw: Callable, shape: Sequence[int | tf.Tensor], key: tf.Tensor) -> tf.Tensor:
    """`draw(shape, key)` for the global batch, of which each replica keeps its own rows: one and two see the same.

    Args:
      draw: function of (shape, key) to a tensor. shape: `[b, ...]`, b the number of examples on this replica.
    """
    rows = shape[0]
    values = draw([rows * count(), *shape[1:]], key)
    return own(values)
