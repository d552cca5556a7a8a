"""Time of the Frechet distance: tools/run python tools/benchmark_evaluation.py [--dimensions=64,512,2048].

Prints seconds from moments to score beside TF-GAN's function and SciPy's sqrtm on the same features, in turns.
"""

import statistics
import time

import numpy as np
import scipy.linalg
import tensorflow as tf
from absl import app, flags

from pga_tf.core import tfgan
from pga_tf.evaluation.frechet import frechet_distance
from pga_tf.evaluation.moments import Moments

FLAGS = flags.FLAGS
flags.DEFINE_list("dimensions", ["64", "512", "2048"], "feature dimensions to measure")
flags.DEFINE_integer("images", 5000, "images on each side")
flags.DEFINE_integer("rounds", 3, "rounds in which the candidates take turns")


def by_scipy(x, y):
    cov_x, cov_y = np.cov(x.T), np.cov(y.T)
    root = scipy.linalg.sqrtm(cov_x @ cov_y).real
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov_x + cov_y - 2 * root)


def main(_):
    rng = np.random.default_rng(0)
    theirs = tfgan.metrics().frechet_classifier_distance_from_activations
    for dimensions in map(int, FLAGS.dimensions):
        mixing = rng.normal(size=(dimensions, dimensions)) / np.sqrt(dimensions)
        x, y = (rng.normal(size=(FLAGS.images, dimensions)) @ mixing + shift for shift in (0.0, 0.1))
        x32, y32 = tf.constant(x, tf.float32), tf.constant(y, tf.float32)
        candidates = {
            "ours": lambda x=x, y=y, d=dimensions: frechet_distance(Moments(d).add(x), Moments(d).add(y)),
            "TF-GAN": lambda x=x32, y=y32: float(theirs(x, y)),
            "SciPy": lambda x=x, y=y: by_scipy(x, y),
        }
        times = {name: [] for name in candidates}
        scores = {}
        for _ in range(FLAGS.rounds):
            for name, function in candidates.items():
                began = time.perf_counter()
                scores[name] = function()
                times[name].append(time.perf_counter() - began)
        cells = []
        for name in candidates:
            ratio = statistics.median(t / o for t, o in zip(times[name], times["ours"], strict=True))
            cells.append(f"{name} {statistics.median(times[name]):7.2f} s ({ratio:.1f}x) score {scores[name]:.6g}")
        print(f"{dimensions:5d} dimensions  " + "   ".join(cells), flush=True)


if __name__ == "__main__":
    app.run(main)
