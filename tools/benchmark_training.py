"""Training speed: tools/run python tools/benchmark_training.py [--networks=conv_mnist,conv_32] [--jit] [--bfloat16].

Prints, for each method, images per second of the train step beside, in the same run and in turns:
  plain  each loss computed from its own passes with ordinary calls, and one gradient call for each network;
  bare   the time of the forward and backward passes that the method needs and nothing else, each measured alone;
  data   the share of a step that the input pipeline's own work takes.
Ratios are medians over rounds: on a shared machine they are steadier than the speeds.
"""

import dataclasses
import statistics
import time

import keras
import numpy as np
import tensorflow as tf
from absl import flags

from pga_tf import command_line, data, methods, networks
from pga_tf.methods import METHODS
from pga_tf.objectives import gaussian, pga
from pga_tf.runs import devices

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", ["conv_mnist", "conv_32"], "networks to measure")
flags.DEFINE_list("methods", METHODS.names(), "methods to measure")
flags.DEFINE_integer("batch_size", 64, "examples in a step")
flags.DEFINE_string(
    "dataset", "", "data for the pipeline's share, such as tfds:mnist or folder:PATH; default generated"
)
flags.DEFINE_integer("image_size", 0, "with --dataset: side to which images are resized [unit: pixels]")
flags.DEFINE_integer("rounds", 5, "rounds in which the candidates take turns")
flags.DEFINE_integer("steps", 4, "steps of each candidate in a round")
flags.DEFINE_boolean("jit", False, "also measure the step compiled by XLA")
flags.DEFINE_boolean("bfloat16", False, "also measure the step in bfloat16")

SHAPES = {"conv_mnist": (28, 28, 1), "conv_32": (32, 32, 3), "conv_8": (8, 8, 1), "conv_64": (64, 64, 3)}
LATENT = {"conv_mnist": 32, "conv_32": 128, "conv_8": 8, "conv_64": 128}


def build(name, network, jit=False, bfloat16=False):
    """A method with every loss on, and without batch norm, so that all candidates do the same arithmetic."""
    devices.set_precision("bfloat16" if bfloat16 else "none")
    method = METHODS.get(name)
    names = {field.name for field in dataclasses.fields(method.Options)}
    options = method.Options(**({"warmup_steps": 0} if "warmup_steps" in names else {}))
    network_options = networks.NetworkOptions(network=network, latent_dim=LATENT[network])
    model = methods.build(name, options, network_options, SHAPES[network])
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), jit_compile=False)
    return model, tf.function(model.train_step, jit_compile=jit, autograph=False)


def is_perceptual(model):
    return "L_lr_N" in model.LOSSES


def plain_step(model):
    """The step as one would write it first: a pass for each use, two gradient calls on one persistent tape."""
    f, g, o, optimizer = model.encoder, model.decoder, model.options, model.optimizer
    stochastic = model.roles(o)["encoder"].stochastic
    mean = (lambda x: f(x, training=True)[0]) if stochastic else (lambda x: f(x, training=True))
    phi, theta = f.trainable_variables, g.trainable_variables
    weight = lambda name: getattr(o, name, 0.0)

    def step(x):
        noise = tf.random.stateless_normal([2, tf.shape(x)[0], model.latent_dim], seed=[0, 1])
        pixels, dim = x.shape[1] * x.shape[2] * x.shape[3], model.latent_dim
        with tf.GradientTape(persistent=True) as tape:
            z, stddev = f(x, training=True) if stochastic else (f(x, training=True), None)
            l_r = pga.published_scale(pixels) * pga.reconstruction(x, g(z, training=True))
            z_n = noise[0]
            l_lr = pga.published_scale(dim) * pga.latent_reconstruction(z_n, mean(g(z_n, training=True)))
            z_held = tf.stop_gradient(z)
            delta = stddev * noise[1] if stochastic else pga.perturbation(noise[1], 1e-2, "sphere")
            h, h_pert = mean(g(z_held, training=True)), mean(g(z_held + delta, training=True))
            if weight("weight_vkl"):
                l_phi = weight("weight_vkl") * tf.reduce_mean(gaussian.kl_standard_normal(z, stddev), axis=1)
            else:
                l_phi = weight("weight_nll") * pga.code_nll(z) / dim
            l_theta = pga.volume_nll(h_pert, h, tf.stop_gradient(delta)) / dim
            loss_phi = tf.reduce_mean(l_r + o.weight_lr_n * l_lr + l_phi)
            loss_theta = tf.reduce_mean(l_r + 1e-2 * l_theta)
        gradients = tape.gradient(loss_phi, phi) + tape.gradient(loss_theta, theta)
        optimizer.apply(gradients, phi + theta)
        return {"loss": loss_phi}

    return tf.function(step, autograph=False)


def bare_passes(model):
    """Functions that each do one pass over a half of the autoencoder: dict of name to (function, how often)."""
    f, g = model.encoder, model.decoder
    z = tf.random.stateless_normal([FLAGS.batch_size, model.latent_dim], seed=[0, 2])

    def total(y):
        return tf.add_n([tf.reduce_sum(part) for part in tf.nest.flatten(y)])

    def backward(network, inputs, weights, into):
        def run(x):
            inputs_now = x if inputs is None else inputs
            with tf.GradientTape() as tape:
                tape.watch(inputs_now)
                value = total(network(inputs_now, training=True))
            wanted = (network.trainable_variables if weights else []) + ([inputs_now] if into else [])
            return tape.gradient(value, wanted)

        return tf.function(run, autograph=False)

    if hasattr(model, "critic"):
        return {
            "f": (backward(f, None, True, False), 1),
            "g": (backward(g, z, True, True), 2),  # on codes and on their mixtures
            "d, inputs": (backward(model.critic, None, False, True), 2),  # held, on both kinds of images
            "d, weights": (backward(model.critic, None, True, False), 3),  # on images, blends and mixtures
        }
    if not is_perceptual(model):  # one pass of each half, forward and back
        return {"f": (backward(f, None, True, False), 1), "g": (backward(g, z, True, True), 1)}
    return {
        "f, weights": (backward(f, None, True, False), 2),  # on data and on samples
        "f, inputs": (backward(f, None, False, True), 2),  # held, on reconstructions and perturbed images
        "g, weights": (backward(g, z, True, False), 2),  # on codes and on perturbed codes
        "g forward": (tf.function(lambda x: g(z, training=True), autograph=False), 1),  # on prior samples
    }


def seconds(function, x, steps):
    began = time.perf_counter()
    for _ in range(steps):
        result = function(x)
    np.asarray(tf.nest.flatten(result)[0])
    return (time.perf_counter() - began) / steps


def measure(name, network):
    devices.set_precision("none")
    model, ours = build(name, network)
    x = tf.random.stateless_uniform([FLAGS.batch_size, *SHAPES[network]], seed=[0, 0], minval=-1.0, maxval=1.0)
    candidates = {"ours": ours}
    if is_perceptual(model):
        candidates["plain"] = plain_step(build(name, network)[0])
    if FLAGS.jit:
        candidates["jit"] = build(name, network, jit=True)[1]
    if FLAGS.bfloat16:
        candidates["bfloat16"] = build(name, network, bfloat16=True)[1]
    devices.set_precision("none")
    passes = bare_passes(model)
    generated = "fake:" + "x".join(map(str, SHAPES[network]))
    source = data.load(data.DataOptions(dataset=FLAGS.dataset or generated, image_size=FLAGS.image_size))
    stream = iter(source.batches("train", FLAGS.batch_size, seed=0, value_range=(-1.0, 1.0)))
    for function in [*candidates.values(), *(p for p, _ in passes.values())]:
        function(x)  # traces
    next(stream)

    times = {key: [] for key in (*candidates, "bare", "data")}
    for _ in range(FLAGS.rounds):
        for key, function in candidates.items():
            times[key].append(seconds(function, x, FLAGS.steps))
        times["bare"].append(sum(often * seconds(p, x, FLAGS.steps) for p, often in passes.values()))
        began = time.process_time()  # work on all threads: what the pipeline takes from the step
        for _ in range(50):
            next(stream)
        times["data"].append((time.process_time() - began) / 50)
    cells = [f"{FLAGS.batch_size / statistics.median(times['ours']):8.0f} images/s"]
    for key in times:
        if key != "ours":
            ratio = statistics.median(t / o for t, o in zip(times[key], times["ours"], strict=True))
            cells.append(f"{key} {ratio:.3f}" if key == "data" else f"{key} {1 / ratio:.2f}")
    print(f"{name:6s} {network:10s} " + "  ".join(cells), flush=True)


def main():
    print("columns: speed of our step; relative speed of each other candidate (above 1: it is faster than ours);")
    print("data: CPU seconds of the input pipeline over seconds of a step")
    print(f"this processor computes in bfloat16: {devices.has_bfloat16()}")
    devices.configure()
    for network in FLAGS.networks:
        for name in FLAGS.methods:
            measure(name, network)


if __name__ == "__main__":
    command_line.run(main, usage=__doc__)
