"""Where a run computes: the distribution strategy, over devices and workers, and the precision."""

import pathlib

import keras
import tensorflow as tf
from tensorflow.python.util import _pywrap_util_port

from pga_tf.core import checks
from pga_tf.core.workers import Workers


def joined(cluster):
    """(strategy over all devices of the workers of a `Cluster`, its `Workers`); it waits until all of them are there.

    Each worker has a replica on each of its GPUs, or one on its CPU. Must run before TensorFlow touches its devices.
    """
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({role: list(addresses) for role, addresses in cluster.addresses.items()}),
        task_type=cluster.role,
        task_id=cluster.index,
        rpc_layer="grpc",
        num_accelerators={"GPU": len(tf.config.list_physical_devices("GPU"))},
    )
    made = tf.distribute.MultiWorkerMirroredStrategy(resolver)
    return made, Workers(cluster.count, cluster.rank, made)


def strategy(replicas):
    """A strategy with `replicas` replicas: over GPUs if there are any, else over logical CPUs.

    Raises `InputError` if there are too few devices. Must run before TensorFlow touches its devices.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if replicas == 1:
        return tf.distribute.get_strategy()
    if not gpus:
        _split_cpu(replicas)
    devices = tf.config.list_logical_devices("GPU" if gpus else "CPU")
    if len(devices) < replicas:
        checks.refuse(
            "--replicas",
            expected=f"at most the {len(devices)} {devices[0].device_type}s of this process",
            received=replicas,
            remedy=f"use --replicas={len(devices)}",
        )
    return tf.distribute.MirroredStrategy([device.name for device in devices[:replicas]])


def _split_cpu(replicas):
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        if tf.config.get_logical_device_configuration(cpu) is None:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * replicas)
    except RuntimeError:  # devices are in use already: those that there are must do
        return


def configure():
    """Process-wide settings that every run wants: the same bits from the same seed, and a quiet graph optimiser."""
    tf.config.experimental.enable_op_determinism()
    # Grappler's remapper gives up on leaky ReLU's gradient and prints an error, "remapper failed": it wins nothing.
    tf.config.optimizer.set_experimental_options({"remapping": False})


def has_bfloat16():
    """Whether this machine computes in bfloat16 rather than emulating it: a GPU from Ampere on, or AVX512_BF16."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        return tf.config.experimental.get_device_details(gpus[0]).get("compute_capability", (0, 0)) >= (8, 0)
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    return cpuinfo.exists() and "avx512_bf16" in cpuinfo.read_text()


def has_gpu():
    """Whether TensorFlow has a GPU to compute on."""
    return bool(tf.config.list_physical_devices("GPU"))


def resolve_precision(name, *, small_differences):
    """What the option's value `auto` stands for, or the value itself.

    `small_differences`: whether a loss is a difference of nearly equal outputs, which the 8 bits of bfloat16 drown.
    """
    if name != "auto":
        return name
    if small_differences:
        return "tf32" if has_gpu() else "none"
    return "bfloat16" if has_bfloat16() else "none"


def set_precision(name):
    """Sets the policy under which networks are made from here on: weights stay float32.

    TensorFlow lets a GPU round products of float32 to TF32 unless it is told not to; here that has to be asked for.
    """
    keras.config.set_dtype_policy("mixed_bfloat16" if name == "bfloat16" else "float32")
    tf.config.experimental.enable_tensor_float_32_execution(name in ("tf32", "bfloat16"))


def kernels():
    """What a CPU computes with, in words."""
    return "oneDNN" if onednn() else "TensorFlow's own"


def onednn():
    """Whether TensorFlow computes with oneDNN's kernels on the CPU (TF_ENABLE_ONEDNN_OPTS)."""
    return _pywrap_util_port.IsMklEnabled()
