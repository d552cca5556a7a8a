"""Writes the PyTorch twin of a model's train step, and starts it: for `benchmark_training.py --against=torch`."""

import json
import os
import pathlib
import subprocess
import sys

import keras
import numpy as np
import tensorflow as tf

from pga_tf.networks.heads import GaussianHead

TWINS = ("lpga", "vae", "wgan_gp")
VERSION = "torch==2.13.0"
HERE = pathlib.Path(__file__).resolve().parent
ENVIRONMENT = HERE.parent / ".venv-torch"


def layers(network):
    """What `torch_twin.Network` is told of a built network, and its weights in that order."""
    told, weights = [], []
    for layer in network.sublayers:
        if isinstance(layer, GaussianHead):
            told.append({"kind": "head"})
            weights += [w for part in (layer.mean, layer.log_variance) for w in (part.kernel, part.bias)]
        elif isinstance(layer, keras.layers.Flatten):
            told.append({"kind": "flatten", "shape": None})
        elif isinstance(layer, keras.layers.Reshape):
            told.append({"kind": "reshape", "shape": list(layer.target_shape)})
        elif isinstance(layer, keras.layers.ReLU):
            told.append({"kind": "relu"})
        elif isinstance(layer, keras.layers.LeakyReLU):
            told.append({"kind": "leaky_relu"})
        elif isinstance(layer, keras.layers.Activation):
            told.append({"kind": layer.activation.__name__})
        else:
            kinds = {keras.layers.Conv2DTranspose: "deconv", keras.layers.Conv2D: "conv", keras.layers.Dense: "dense"}
            told.append({"kind": kinds[type(layer)]})
            weights += [layer.kernel, layer.bias]
    return told, [np.asarray(w) for w in weights]


def write(path, name, model, images, noise, learning_rate, with_weights=True):
    """Everything that the twin `name` of `model` needs for a first step on `images` with `noise`, as an .npz."""
    arrays = {"images": np.asarray(tf.stack(images) if isinstance(images, list) else images)}
    arrays |= {f"noise_{key}": np.asarray(value) for key, value in noise.items()}
    spec = {"method": name, "options": vars(model.options), "learning_rate": learning_rate}
    spec |= {"networks": {}, "arrays": {}}
    for role in model.roles_held:
        network = getattr(model, role)
        told, weights = layers(network)
        shape = model.image_shape
        for entry, layer in zip(told, network.sublayers, strict=True):
            if entry["kind"] == "conv":
                shape = (*(-(-side // 2) for side in shape[:2]), layer.filters)
            if entry["kind"] == "flatten":  # what the dense layer after it takes
                entry["shape"] = list(shape)
        spec["networks"][role], spec["arrays"][role] = told, [list(w.shape) for w in weights]
        if with_weights:
            arrays |= {f"{role}_{i}": w for i, w in enumerate(weights)}
    np.savez(path, spec=json.dumps(spec), **arrays)


def noise(name, model, count):
    """The noise of our first step on `count` images, under the names that the twin has for it."""
    step, shape = tf.constant(0, tf.int64), [count, model.latent_dim]
    if name == "lpga":
        return {"z_n": model.normal(shape, "prior", step), "eps": model.normal(shape, "perturbation", step)}
    if name == "vae":
        return {"eps": model.normal(shape, "posterior", step)}
    updates = range(model.options.critic_updates)
    draws = [2.0 * model.uniform(shape, "prior", step, k) - 1.0 for k in range(len(updates) + 1)]
    return {"u": tf.stack(draws), "a": tf.stack([model.uniform([count], "penalty", step, k) for k in updates])}


def python():
    """The interpreter of an environment that has PyTorch, made where it is missing."""
    found = ENVIRONMENT / "bin" / "python"
    if not found.exists():
        print(f"making {ENVIRONMENT} with {VERSION} (once)", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
        subprocess.run([found, "-m", "pip", "install", "--quiet", VERSION, "numpy"], check=True)
    return found


class Twin:
    """A PyTorch process that takes steps when it is asked to.

    Args:
      path: of what `write` wrote. threads: that it may compute in.
    """

    def __init__(self, path, threads):
        self._process = subprocess.Popen(
            [python(), HERE / "torch_twin.py", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        )  # fmt: skip
        self.told = json.loads(self._process.stdout.readline())

    def seconds(self, steps):
        """(wall, CPU) seconds of one step, a mean over `steps`."""
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        return tuple(map(float, self._process.stdout.readline().split()))

    def close(self):
        self._process.stdin.close()
        self._process.wait()
