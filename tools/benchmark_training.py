"""Training speed: tools/run python tools/benchmark_training.py [--against=torch] [--jit] [--bfloat16].

Prints this machine's processor and its measured peak, and for each method the speed of the train step, its share of
that peak, and beside it, in the same run and in turns:
  plain  each loss computed from its own passes with ordinary calls, and one gradient call for each network;
  bare   the forward and backward passes that the method needs and nothing else, each measured alone and added up;
  twin   the same step in PyTorch, from the same weights, in an environment of its own (`--against=torch`);
  data   the share of a step that the input pipeline's own work takes.
Times are of the processor, over all threads, and ratios are medians over rounds: on a shared machine both are steadier
than the clock. GFLOP are those of convolutions and matrix products.
"""

import os
import pathlib
import statistics
import tempfile
import time

import against_torch
import measuring
import numpy as np
import step_costs
import tensorflow as tf
from absl import flags

from pga_tf import command_line, data
from pga_tf.core import checks
from pga_tf.methods import METHODS
from pga_tf.objectives import gaussian, pga
from pga_tf.runs import devices

FLAGS = flags.FLAGS
flags.DEFINE_list("networks", ["conv_mnist", "conv_32"], "networks to measure")
flags.DEFINE_list("methods", ["lpga", "vae", "wgan_gp"], "methods to measure; wgan_gp: gan with five critic updates")
flags.DEFINE_enum("against", None, ["torch"], "also measure a twin in this library")
flags.DEFINE_string("twins", "", "write the twins, without weights, to this folder for another machine, and end there")
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


WGAN_GP = {"loss": "wasserstein", "penalty": "wgan_gp", "critic_updates": 5, "pixel_range": "symmetric"}
RATE = 5e-4
PEAK_SHAPES = ((28, 64, 128, 5), (14, 128, 128, 5), (16, 128, 256, 5), (32, 128, 128, 3))  # side, channels, kernel


def build(name, network, jit=False, bfloat16=False):
    """A method with every loss on, and without batch norm, so that all candidates do the same arithmetic."""
    devices.set_precision("bfloat16" if bfloat16 else "none")
    method, options = ("gan", WGAN_GP) if name == "wgan_gp" else (name, {})
    kwargs = {"jit": jit, "latent_dim": LATENT[network]}
    model = step_costs.model_of(method, network, SHAPES[network], **kwargs, **options)
    devices.set_precision("none")
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
        # Forward on prior samples, and L_r's own way back through g: together one pass forward and back.
        "g, inputs": (backward(g, z, False, True), 1),
    }


def seconds(function, x, steps):
    """(wall, CPU) seconds of one call."""
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps):
        result = function(x)
    np.asarray(tf.nest.flatten(result)[0])
    return (time.perf_counter() - began) / steps, (time.process_time() - cpu) / steps


def peak():
    """GFLOP in a second of one core: the fastest of a few convolutions, of several rounds."""
    fastest = 0.0
    for side, channels, count, kernel in PEAK_SHAPES:
        x = tf.random.stateless_normal([64, side, side, channels], [0, 0])
        w = tf.random.stateless_normal([kernel, kernel, channels, count], [0, 1])
        run = tf.function(lambda x, w=w: tf.nn.conv2d(x, w, 1, "SAME"), autograph=False)
        work = 2.0 * 64 * side**2 * channels * count * kernel**2
        run(x)
        fastest = max(fastest, *(work / seconds(run, x, 1)[1] for _ in range(3)))
    return fastest / 1e9


def write_twin(path, name, model, x, with_weights=True):
    """Writes the PyTorch twin of `model` for a step on the batch `x`."""
    noise = against_torch.noise(name, model, FLAGS.batch_size)
    against_torch.write(path, name, model, model.prepare(x, 0), noise, RATE, with_weights)


def measure(name, network, fastest):
    model, ours = build(name, network)
    x = step_costs.images_for(model, FLAGS.batch_size)
    candidates = {"ours": ours}
    if is_perceptual(model):
        candidates["plain"] = plain_step(build(name, network)[0])
    if FLAGS.jit:
        candidates["jit"] = build(name, network, jit=True)[1]
    if FLAGS.bfloat16:
        candidates["bfloat16"] = build(name, network, bfloat16=True)[1]
    passes = bare_passes(model) if hasattr(model, "encoder") else {}
    twin, told = None, ""
    if FLAGS.against and name in against_torch.TWINS:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "twin.npz"
            write_twin(path, name, model, x)
            twin = against_torch.Twin(path, threads())
        first = {key: float(value) for key, value in ours(x).items()}
        apart = max(abs(first[key] - value) / max(abs(value), 1e-3) for key, value in twin.told["first"].items())
        told = f"  (PyTorch {twin.told['torch']}, {twin.told['threads']} threads; first losses {apart:.0e} apart)"
    generated = "fake:" + "x".join(map(str, SHAPES[network]))
    source = data.load(data.DataOptions(dataset=FLAGS.dataset or generated, image_size=FLAGS.image_size))
    stream = iter(source.batches("train", FLAGS.batch_size, seed=0, value_range=(-1.0, 1.0)))
    for function in [*candidates.values(), *(p for p, _ in passes.values())]:
        function(x if function in candidates.values() else _one(x))  # traces
    next(stream)

    times = {key: [] for key in (*candidates, *(["bare"] if passes else []), *(["twin"] if twin else []), "data")}
    walls = []
    for _ in range(FLAGS.rounds):
        for key, function in candidates.items():
            wall, cpu = seconds(function, x, FLAGS.steps)
            times[key].append(cpu)
            walls += [wall] if key == "ours" else []
        if passes:
            times["bare"].append(sum(often * seconds(p, _one(x), FLAGS.steps)[1] for p, often in passes.values()))
        if twin:
            times["twin"].append(twin.seconds(FLAGS.steps)[1])
        began = time.process_time()  # work on all threads: what the pipeline takes from the step
        for _ in range(50):
            next(stream)
        times["data"].append((time.process_time() - began) / 50 * model.batches_per_step())
    if twin:
        twin.close()
    work, cpu = step_costs.of_step(ours, x)[1] / 1e9, statistics.median(times["ours"])
    images = FLAGS.batch_size * model.batches_per_step()
    speed, images_of_a_core = images / statistics.median(walls), images / statistics.median(times["data"])
    cells = [
        f"{1000 * cpu:7.1f} ms CPU, {speed:6.0f} images/s, {work:6.2f} GFLOP, {work / cpu / fastest:4.0%} of peak;"
    ]
    for key in times:
        if key != "ours":
            ratio = statistics.median(t / o for t, o in zip(times[key], times["ours"], strict=True))
            of_data = f"{key} {ratio:.3f} ({images_of_a_core:,.0f} images/s)"
            cells.append(of_data if key == "data" else f"{key} {1 / ratio:.2f}")
    print(f"{name:8s} {network:10s} " + "  ".join(cells) + told, flush=True)


def _one(x):
    return x[:, 0] if x.shape.rank == 5 else x


def threads():
    """Threads that TensorFlow computes in."""
    return tf.config.threading.get_intra_op_parallelism_threads() or len(os.sched_getaffinity(0))


def main():
    devices.configure()
    for method in FLAGS.methods:
        checks.require_member("--methods", method, [*METHODS.names(), "wgan_gp"])
    if FLAGS.twins:
        folder = pathlib.Path(FLAGS.twins)
        folder.mkdir(parents=True, exist_ok=True)
        for network in FLAGS.networks:
            for name in filter(against_torch.TWINS.__contains__, FLAGS.methods):
                model = build(name, network)[0]
                x = step_costs.images_for(model, FLAGS.batch_size)
                write_twin(folder / f"{name}_{network}.npz", name, model, x, with_weights=False)
        return
    fastest = peak()
    onednn = "on" if devices.onednn() else "off"
    print(f"{measuring.processor()}, {threads()} threads, oneDNN {onednn}, float32, batch {FLAGS.batch_size}")
    print(f"peak of convolutions here: {fastest:.0f} GFLOP in a second of a core")
    print("columns: a step of ours; relative speed of each other candidate (above 1: it is faster than ours);")
    print("data: CPU time of the input pipeline over that of a step, and what one core of it delivers")
    print(f"this processor computes in bfloat16: {devices.has_bfloat16()}")
    for network in FLAGS.networks:
        for name in FLAGS.methods:
            measure(name, network, fastest)


if __name__ == "__main__":
    command_line.run(main, usage=__doc__)
