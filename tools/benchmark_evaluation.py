"""What evaluation costs: tools/run python tools/benchmark_evaluation.py [--dimensions=64,512,2048].

    tools/run python tools/benchmark_evaluation.py --dimensions= --networks=imagenet --images=500
    tools/run python tools/benchmark_evaluation.py --dimensions=64,2048 --neighbours=10000 --rounds=1

1. Seconds and peak memory from features to Frechet distance, beside TF-GAN's function and SciPy's sqrtm on the same
   features, in turns. 2. Features per second of the command's path beside the bare network on ready batches.
3. With --neighbours=N instead: CPU seconds and peak memory of precision, recall, density and coverage of N images a
side, and of the second set against the same real ones, beside the same by blocks of float64 distances, in turns.
Each measurement of memory is a process of its own.
"""

import pathlib
import statistics
import subprocess
import sys
import time

import numpy as np
import scipy.linalg
import tensorflow as tf
from absl import flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from pga_tf import command_line
from pga_tf.core import tfgan
from pga_tf.evaluation import features
from pga_tf.evaluation.frechet import frechet_distance
from pga_tf.evaluation.moments import Moments
from pga_tf.evaluation.prdc import Balls, prdc
from tools import measuring

FLAGS = flags.FLAGS
flags.DEFINE_list("dimensions", ["64", "512", "2048"], "feature dimensions to measure")
flags.DEFINE_list("networks", [], "shipped feature networks to measure; default: all")
flags.DEFINE_integer("images", 5000, "images on each side")
flags.DEFINE_integer("rounds", 3, "rounds in which the candidates take turns")
flags.DEFINE_integer("neighbours", 0, "measure precision and recall alone, of so many images a side")
flags.DEFINE_string("memory_of", "", "internal: the one thing that this process runs")


def by_scipy(x, y):
    cov_x, cov_y = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root)


def by_tfgan(x, y):
    theirs = tfgan.metrics().frechet_classifier_distance_from_activations
    return float(theirs(tf.constant(x, tf.float32), tf.constant(y, tf.float32)))


def ours(x, y):
    return frechet_distance(Moments(x.shape[1]).add(x), Moments(x.shape[1]).add(y))


def by_float64(x, y, k=5, rows=500):
    """(precision, recall, density, coverage), by blocks of distances in float64."""
    x, y = (side.astype(np.float64) - x.mean(axis=0, dtype=np.float64) for side in (x, y))

    def blocks(a, b):
        squares = (b**2).sum(axis=1)
        for start in range(0, len(a), rows):
            part = a[start : start + rows]
            yield slice(start, start + rows), (part**2).sum(axis=1)[:, None] + squares - 2.0 * part @ b.T

    reach, back = (np.concatenate([np.partition(d, k, axis=1)[:, k] for _, d in blocks(a, a)]) for a in (x, y))
    held, covered, recalled = np.zeros(len(y)), [], []
    for part, distances in blocks(x, y):
        inside = distances < reach[part, None]
        held += inside.sum(axis=0)
        covered.append(inside.any(axis=1))
        recalled.append((distances < back).any(axis=1))
    recall, coverage = (float(np.concatenate(found).mean()) for found in (recalled, covered))
    return float((held > 0).mean()), recall, float(held.mean() / k), coverage


NEIGHBOURS = {"prdc": prdc, "float64": by_float64}
CANDIDATES = {"ours": ours, "TF-GAN": by_tfgan, "SciPy": by_scipy}


def data(images, dimensions):
    rng = np.random.default_rng(0)
    mixing = (rng.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)).astype(np.float32)
    return [rng.normal(size=(images, dimensions)).astype(np.float32) @ mixing + shift for shift in (0.0, 0.1)]


def resident(which):
    """KiB resident now ("VmRSS") or at most since the last reset ("VmHWM"), of this process on Linux."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which))


def memory_of(name, dimensions, images):
    """MiB that a process of its own needs beyond what it had with the features in hand."""
    command = [sys.executable, __file__, f"--memory_of={name}", f"--dimensions={dimensions}", f"--images={images}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(printed.split()[-1])


def run_for_memory():
    x, y = data(FLAGS.images, int(FLAGS.dimensions[0]))
    small = data(50, 8)
    function = (NEIGHBOURS | CANDIDATES)[FLAGS.memory_of]
    function(*small)  # libraries are loaded
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    before = resident("VmRSS")
    function(x, y)
    print((resident("VmHWM") - before) / 1024)


def distances():
    for dimensions in map(int, FLAGS.dimensions):
        x, y = data(FLAGS.images, dimensions)
        times = {name: [] for name in CANDIDATES}
        scores = {}
        for _ in range(FLAGS.rounds):
            for name, function in CANDIDATES.items():
                began = time.perf_counter()
                scores[name] = function(x, y)
                times[name].append(time.perf_counter() - began)
        for name in CANDIDATES:
            ratio = statistics.median(t / o for t, o in zip(times[name], times["ours"], strict=True))
            print(
                f"{dimensions:5d} dimensions  {name:7s} {statistics.median(times[name]):7.2f} s ({ratio:.1f}x)  "
                f"{memory_of(name, dimensions, FLAGS.images):6.0f} MiB  score {scores[name]:.6g}",
                flush=True,
            )


def neighbours():
    count = FLAGS.neighbours
    for dimensions in map(int, FLAGS.dimensions):
        x, y = data(count, dimensions)
        balls, found = Balls(x, "real"), {}
        candidates = {
            "prdc": lambda x=x, y=y, found=found: found.update(prdc=prdc(x, y)),
            "again": lambda balls=balls, y=y: prdc(balls, y),
            "float64": lambda x=x, y=y, found=found: found.update(float64=by_float64(x, y)),
        }
        times = measuring.in_turns(candidates, FLAGS.rounds, warm=False)
        print(
            f"{count:,} a side, {dimensions} dimensions, {measuring.processor()}: {found['prdc']}, {found['float64']}"
        )
        for name, spent in times.items():
            took, share = statistics.median(spent), measuring.ratio(times, name, "float64")
            memory = f"{memory_of(name, dimensions, count):6.0f} MiB" if name in NEIGHBOURS else ""
            print(f"  {name:7s} {took:7.1f} CPU s ({share:.2f}x)  {memory}", flush=True)


def feature_speed():
    for name in FLAGS.networks or features.shipped():
        network = features.load(name)
        extract, count, size = network.extractor(), FLAGS.images, network.batch
        images = np.random.default_rng(0).integers(0, 256, (count, *network.input_shape), np.uint8)
        bare = tf.function(network.apply, autograph=False)
        ready = [tf.constant(images[i : i + size], tf.float32) for i in range(0, count, size)]

        def bare_pass(bare=bare, ready=ready):
            return [bare(batch).numpy() for batch in ready]

        paths = {"command": lambda e=extract, i=images: e(i), "bare": bare_pass}
        speeds = {kind: [] for kind in paths}
        for function in paths.values():
            function()  # traces
        for _ in range(FLAGS.rounds):
            for kind, function in paths.items():
                began = time.perf_counter()
                function()
                speeds[kind].append(count / (time.perf_counter() - began))
        ratio = statistics.median(c / b for c, b in zip(speeds["command"], speeds["bare"], strict=True))
        print(
            f"{name} features: {statistics.median(speeds['command']):,.0f} images/s, {ratio:.2f} of the bare network's"
        )


def main():
    if FLAGS.memory_of:
        run_for_memory()
        return
    if FLAGS.neighbours:
        neighbours()
        return
    distances()
    feature_speed()


if __name__ == "__main__":
    command_line.run(main, usage=__doc__)
