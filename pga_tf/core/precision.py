"""The arithmetic in which layers are made. Keras has one policy for the whole process."""

import contextlib
from collections.abc import Iterator

import keras
import tensorflow as tf


@contextlib.contextmanager
def whole_products() -> Iterator[None]:
    """Products of float32 inside are not rounded to TF32 by a GPU's tensor cores, whatever precision the run has."""
    enabled = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(enabled)


@contextlib.contextmanager
def float32() -> Iterator[None]:
    """Layers that are made inside compute in float32, whatever precision the run has."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
