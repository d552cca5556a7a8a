"""Shared set-up: two logical CPUs, so that one replica can be compared with two in any test, and the toy methods."""

import contextlib
import gc
import os
import resource
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# XLA's programs run a few times and are then thrown away: what LLVM would make of them does not pay.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")

import pytest
import tensorflow as tf

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
tf.config.experimental.enable_op_determinism()

signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup has had ignored, and tests are about

from tests.methods import toys  # noqa: E402, F401 - enters its methods


def pytest_runtest_teardown(item, nextitem):
    """What a file of tests leaves behind is looked through by the collector once, not again after every next test."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.fixture(autouse=True)
def _float32_policy():
    """Every test starts under the float32 policy, whatever the one before it set."""
    import keras

    keras.config.set_dtype_policy("float32")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def full_disk():
    """A function: in its block no file may grow beyond so many bytes, which is what a full disk does to a writer."""

    @contextlib.contextmanager
    def limited_to(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limited_to
