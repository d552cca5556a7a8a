"""Tensors that losses pair up element by element."""

import tensorflow as tf

from pga_tf.core import checks


def require_same_shape(name_a: str, a: tf.Tensor, name_b: str, b: tf.Tensor) -> None:
    """Raises `InputError` unless the static shapes of `a` and `b` are compatible."""
    a, b = tf.convert_to_tensor(a), tf.convert_to_tensor(b)
    if not a.shape.is_compatible_with(b.shape):
        checks.refuse(
            f"Tensors {name_a} and {name_b}",
            expected="the same shape",
            received=f"{tuple(a.shape)} and {tuple(b.shape)}",
            remedy="pass tensors that pair up element by element",
        )
