"""The part of a step that no paper writes down: gradients on their way to optimisers, losses on theirs to metrics."""

from collections.abc import Iterable, Mapping, Sequence

import keras
import tensorflow as tf

from pga_tf.core import replicas


def meters(names: Iterable[str]) -> dict[str, keras.metrics.Metric]:
    """One running mean for each name; a `keras.Model` that holds the dict as an attribute tracks and resets them."""
    return {name: keras.metrics.Mean(name=name) for name in names}


def record(meters: dict[str, keras.metrics.Metric], values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Adds `values` (scalar or `[B]` tensors by name) to their meters and returns all current means.

    Raises `KeyError` for a value without a meter and for a meter without a value.
    """
    if set(values) != set(meters):
        raise KeyError(f"Expected values for {sorted(meters)}, received {sorted(values)}.")
    for name, value in values.items():
        meters[name].update_state(tf.reduce_mean(value))
    return {name: meter.result() for name, meter in meters.items()}


def gradient_names(networks: Iterable[str]) -> list[str]:
    """The names under which `norms` reports."""
    return [f"gradient_norm/{name}" for name in networks]


def joined(gradients: Sequence[tf.Tensor]) -> list[tf.Tensor]:
    """`gradients`, each unchanged in value, none of them there before all of them are.

    No variable may move while another's gradient is still computed from it, and TensorFlow does not see to that. Keras
    passes the gradients through an `IdentityN`; Grappler first drops the edges "this weight is read before it is
    assigned" as implied by the path through that node, then splits the node and with it the path (TF 2.21,
    `dependency_optimizer`). A network that a loss holds was then now and then run on half updated weights.
    """
    norm = tf.linalg.global_norm(gradients)
    one = tf.where(tf.math.is_nan(norm), norm, tf.ones_like(norm))
    return [gradient * tf.cast(one, gradient.dtype) for gradient in gradients]


def norms(gradients: Sequence[tf.Tensor], networks: Mapping[str, list]) -> dict[str, tf.Tensor]:
    """Euclidean norms over the global batch: dict of `gradient_norm/NAME`.

    Args:
      gradients: of each replica, in the order of the variables in `networks`, a dict of name to list of variables.
    """
    if replicas.count() > 1:
        gradients = tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, gradients)
    found, start = {}, 0
    for name, group in networks.items():
        found[f"gradient_norm/{name}"] = tf.linalg.global_norm(gradients[start : start + len(group)])
        start += len(group)
    return found
