"""What a train step costs before anything is timed: tools/run python tools/step_costs.py [--methods=lpga,vae] [--xla].

Prints, for each method with Adam: the convolutions and matrix products of a step and their GFLOP; the operations that
a device would launch one by one; with --xla what is left of them in the program that XLA makes for this processor, by
which a GPU's can be judged and not known; and how often the host reads a tensor in 100 steps of a run.
"""

import contextlib
import re
import tempfile
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from absl import flags
from tensorflow.python.framework import ops

from pga_tf import command_line, methods, networks
from pga_tf.core import update_rules
from pga_tf.data import DataOptions
from pga_tf.methods import METHODS
from pga_tf.runs import config, devices
from pga_tf.training import loop

FLAGS = flags.FLAGS
NO_KERNEL = {  # what holds, names or reshapes a buffer, or runs on the host
    "Const", "Identity", "IdentityN", "NoOp", "Placeholder", "ReadVariableOp", "Reshape", "Shape", "Squeeze",
    "ExpandDims", "StopGradient", "PreventGradient", "Size", "Rank", "VarHandleOp",
}  # fmt: skip
PRODUCTS = ("MatMul", "Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")
STEPS = 100


def flops(operation):
    """Floating-point operations of a convolution or matrix product; a multiplication and an addition are two."""
    inputs, out = [tuple(t.shape) for t in operation.inputs], tuple(operation.outputs[0].shape)
    if operation.type == "MatMul":
        return 2 * inputs[0][0 if operation.get_attr("transpose_a") else 1] * int(np.prod(out))
    if operation.type == "Conv2D":
        return 2 * int(np.prod(out)) * int(np.prod(inputs[1][:3]))
    kernel = inputs[1] if operation.type == "Conv2DBackpropInput" else out
    return 2 * int(np.prod(inputs[2])) * int(np.prod(kernel[:3]))


def of_step(step, images):
    """(number of products, their FLOP, number of kernels) of `step`, a `tf.function`, for a batch."""
    found = step.get_concrete_function(images).graph.get_operations()
    products = [op for op in found if op.type in PRODUCTS]
    return len(products), sum(map(flops, products)), sum(op.type not in NO_KERNEL for op in found)


def of_xla(step, images):
    """Fusions, products and calls of libraries in XLA's program of `step`, a compiled `tf.function`."""
    text = step.experimental_get_compiler_ir(images)(stage="optimized_hlo")
    return len(re.findall(r" (?:fusion|custom-call|convolution|dot|reduce|call|rng-bit-generator)\(", text))


def reads(method):
    """How often the host reads a tensor from the first to the last of `STEPS` steps of training."""
    counted, counting = [], []

    def noting(original):
        """Conversions of tensors; NumPy reads them through their buffers, past any method of theirs."""

        def call(value, *args, **kwargs):
            counted.extend([True] * (bool(counting) and isinstance(value, tf.Tensor)))
            return original(value, *args, **kwargs)

        return call

    class Within(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            counting.clear()
            counting.extend([True] * (batch < STEPS - 2))  # what is due at the end is not a step's

    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        for holder, name in ((ops._EagerTensorBase, "_numpy"), (np, "array"), (np, "asarray")):
            stack.enter_context(mock.patch.object(holder, name, noting(getattr(holder, name))))
        made = config.Config(
            run=config.RunOptions(method=method, workdir=folder, steps=STEPS, batch_size=8, log_every=STEPS),
            data=DataOptions(dataset="fake:8x8x1"),
            network=networks.NetworkOptions(network="conv_8", latent_dim=3, filters=4),
            optimizer=config.OptimizerOptions(),
            method=METHODS.get(method).Options(),
        )
        loop.train(made, callbacks=[Within()], out=lambda text: None)
    return len(counted)


def model_of(method, network, image_shape, *, jit, latent_dim=32, **options):
    """A method with every loss on and Adam."""
    known = METHODS.get(method).Options
    options |= {"warmup_steps": 0} if hasattr(known(), "warmup_steps") else {}
    wanted = networks.NetworkOptions(network=network, latent_dim=latent_dim)
    model = methods.build(method, known(**options), wanted, image_shape)
    model.compile(update_rules.Adam(5e-4), jit_compile=False)
    model._jit_compile = jit  # as in runs/build.py
    return model


def images_for(model, batch_size):
    """A batch of noise in [-1, 1] as a step takes it."""
    count = model.batches_per_step()
    shape = [batch_size, *([count] if count > 1 else []), *model.image_shape]
    return tf.random.stateless_uniform(shape, seed=[0, 0], minval=-1.0, maxval=1.0)


def main():
    devices.configure()
    xla = ", programs of XLA" if FLAGS.xla else ""
    print(f"{FLAGS.network}, batch {FLAGS.batch_size}: products, GFLOP, kernels{xla}; host reads in {STEPS} steps")
    for method in FLAGS.methods:
        shape = (28, 28, 1)
        model = model_of(method, FLAGS.network, shape, jit=False)
        images = images_for(model, FLAGS.batch_size)
        products, work, kernels = of_step(tf.function(model.train_step, autograph=False), images)
        cells = [f"{products:4d}", f"{work / 1e9:8.2f}", f"{kernels:6d}"]
        if FLAGS.xla:
            model = model_of(method, FLAGS.network, shape, jit=True)
            cells.append(f"{of_xla(tf.function(model.train_step, autograph=False, jit_compile=True), images):6d}")
        print(f"{method:16s}", *cells, f"{reads(method):6d}", flush=True)


if __name__ == "__main__":
    flags.DEFINE_list("methods", METHODS.names(), "methods to count")
    flags.DEFINE_string("network", "conv_mnist", "network for images of 28x28x1")
    flags.DEFINE_integer("batch_size", 64, "examples in a step")
    flags.DEFINE_boolean("xla", False, "also count what XLA makes of a step")
    command_line.run(main, usage=__doc__)
