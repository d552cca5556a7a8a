"""The arithmetic in which layers are made. Keras has one policy for the whole process."""

import contextlib
from collections.abc import Iterator

import keras


@contextlib.contextmanager
def float32() -> Iterator[None]:
    """Layers that are made inside compute in float32, whatever precision the run has."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(policy)
