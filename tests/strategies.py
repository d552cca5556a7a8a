"""One MirroredStrategy for the whole process: a second one would reuse the first one's collective keys and fail."""

import functools

import tensorflow as tf


@functools.cache
def two_replicas():
    devices = tf.config.list_logical_devices("CPU")
    assert len(devices) == 2, "tests/conftest.py makes two logical CPUs"
    return tf.distribute.MirroredStrategy([device.name for device in devices])
