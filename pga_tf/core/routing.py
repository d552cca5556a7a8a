"""Gradient routing: which parameters a loss trains, with one scalar and one tape.

A paper that writes L^phi trains phi alone. The total stays one scalar if a network that a term must not
train is called with its parameters held, and one `tape.gradient` then gives each parameter its own terms.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf


def held(network: keras.layers.Layer) -> Callable:
    """`network` as a function whose parameters are constants: gradients pass through it, none reach it.

    Returns:
      A callable with the network's own arguments. Where the call moves running statistics (batch norm in
      training mode), the new values are written back, which a bare functional call does not do.
    """

    def call(inputs, **kwargs):
        constants = [tf.stop_gradient(v.value) for v in network.trainable_variables]
        state = network.non_trainable_variables
        outputs, new_state = network.stateless_call(constants, [v.value for v in state], inputs, **kwargs)
        if kwargs.get("training"):
            for variable, value in zip(state, new_state, strict=True):
                variable.assign(value)
        return outputs

    return call


def carry(gradient: tf.Tensor, value: tf.Tensor) -> tf.Tensor:
    """Zeros `[B]` whose gradient with respect to `value` `[B, ...]` is `gradient`.

    It hands a gradient over to `value` from a held copy of it, so that two losses can share one forward pass
    through a network although only one of them may train what lies before it.
    """
    inner = tf.reduce_sum(tf.stop_gradient(gradient) * value, axis=list(range(1, value.shape.rank)))
    return inner - tf.stop_gradient(inner)


def require_gradients(gradients: Sequence[tf.Tensor | None], variables: Sequence[keras.Variable]) -> None:
    """Raises if a variable received no gradient: a loss that silently trains nothing is a bug."""
    missing = [v.path for g, v in zip(gradients, variables, strict=True) if g is None]
    if missing:
        raise ValueError(f"No gradient reaches {', '.join(missing)}. Expected one for every trainable variable.")
