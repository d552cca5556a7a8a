"""The scores of generated images against real ones, and how sure they are."""

import numpy as np

from pga_tf.evaluation import prdc as prdc_lib
from pga_tf.evaluation.frechet import frechet_distance
from pga_tf.evaluation.kernel import kernel_distance
from pga_tf.evaluation.moments import Moments

NAMES = ("frechet", "kernel", "precision", "recall", "density", "coverage")
BOOTSTRAP_DRAWS = 10
FEW_DRAWS, MANY_DIMENSIONS = 4, 512  # beyond so many dimensions a Frechet distance takes seconds


def score(real, generated, *, seed=0, neighbours=5):
    """Every score of `NAMES` for two `Statistics`: dict of floats, float64 arithmetic.

    `frechet` uses all images, the others those whose features were kept. Raises `InputError` for features of two
    networks, or for too few images to find `neighbours` among.
    """
    pair = prdc_lib.prdc(real.features, generated.features, k=neighbours)
    return {
        "frechet": frechet_distance(real.moments, generated.moments),
        "kernel": kernel_distance(real.features, generated.features, seed=seed)[0],
        "precision": pair.precision,
        "recall": pair.recall,
        "density": pair.density,
        "coverage": pair.coverage,
    }


def over_seeds(runs):
    """Means and standard errors of scores over seeds.

    Args:
      runs: non-empty list of dicts from `score`, one for each seed.

    Returns:
      dict of name to {"value", "error", "error_kind", "per_seed"}; the error of a single seed is None.
    """
    summary = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        kind = f"standard error over {len(values)} seeds" if error is not None else None
        summary[name] = {"value": float(np.mean(values)), "error": error, "error_kind": kind, "per_seed": values}
    return summary


def bootstrap_frechet(real, generated, *, seed=0):
    """Bootstrap standard deviation of the Frechet distance over the choice of generated images: (value, draws).

    (None, 0) where not all features were kept.
    """
    features = generated.features
    if len(features) < generated.moments.count:
        return None, 0
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(BOOTSTRAP_DRAWS if features.shape[1] <= MANY_DIMENSIONS else FEW_DRAWS):
        sample = features[rng.integers(0, len(features), len(features))]
        draws.append(frechet_distance(real.moments, Moments(features.shape[1]).add(sample)))
    return float(np.std(draws, ddof=1)), len(draws)
