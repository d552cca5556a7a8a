"""The part of a step that no paper writes down: gradients on their way from a tape to optimisers."""

from collections.abc import Iterable, Mapping, Sequence

import keras
import tensorflow as tf

from pga_tf.core import replicas, update_rules


def gradient_names(networks: Iterable[str]) -> list[str]:
    """The names under which `norms` reports."""
    return [f"gradient_norm/{name}" for name in networks]


def sums_of_squares(gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """The halved sum of squares of each gradient, a scalar: what all norms of a step are made of."""
    return [tf.cast(tf.nn.l2_loss(gradient), tf.float32) for gradient in gradients]


def one_of_all(squares: Sequence[tf.Tensor]) -> tf.Tensor:
    """1.0, that is there when all gradients are; NaN where one of them holds a NaN.

    Args:
      squares: `sums_of_squares` of the gradients.
    """
    norm = tf.add_n(squares)
    return tf.where(tf.math.is_nan(norm), norm, tf.ones_like(norm))


def apply(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor],
    variables: Sequence[keras.Variable],
    one: tf.Tensor | None,
) -> None:
    """One update by `optimizer`, none of whose weights moves before `one`, as `one_of_all` makes it, is there.

    No variable may move while another's gradient is still computed from it, and TensorFlow does not see to that. Keras
    passes the gradients through an `IdentityN`; Grappler first drops the edges "this weight is read before it is
    assigned" as implied by the path through that node, then splits the node and with it the path (TF 2.21,
    `dependency_optimizer`). A network that a loss holds was then now and then run on half updated weights.

    Our own rules multiply the rate by `one`. Of others, and where replicas share a rule, whose gradients are of many
    devices, each gradient is multiplied by it.

    Args:
      one: None where none is needed, as under XLA, which computes all of a step before it writes any of it.
    """
    if one is None:
        optimizer.apply(gradients, variables)
    elif isinstance(optimizer, update_rules.Waiting) and replicas.count() == 1:
        optimizer.apply(gradients, variables, after=one)
    else:
        optimizer.apply([gradient * tf.cast(one, gradient.dtype) for gradient in gradients], variables)


def norms(
    gradients: Sequence[tf.Tensor], squares: Sequence[tf.Tensor], networks: Mapping[str, list]
) -> dict[str, tf.Tensor]:
    """Euclidean norms over the global batch: dict of `gradient_norm/NAME`.

    Args:
      gradients: of each replica, in the order of the variables in `networks`, a dict of name to list of variables.
      squares: `sums_of_squares` of the gradients.
    """
    if replicas.count() > 1:
        squares = sums_of_squares(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients))
    found, start = {}, 0
    for name, group in networks.items():
        found[f"gradient_norm/{name}"] = tf.sqrt(2.0 * tf.add_n(squares[start : start + len(group)]))
        start += len(group)
    return found
