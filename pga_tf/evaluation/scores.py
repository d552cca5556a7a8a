"""The scores of generated images against real ones, and how sure they are."""

from collections.abc import Sequence

import numpy as np

from pga_tf.evaluation.frechet import frechet_distance, frechet_error
from pga_tf.evaluation.kernel import kernel_distance
from pga_tf.evaluation.prdc import prdc
from pga_tf.evaluation.statistics import Statistics

REAL_OF_A_DIMENSION = 10  # real images that each dimension of the features asks for, at least
NAMES = ("frechet", "kernel", "precision", "recall", "density", "coverage")


def score(real: Statistics, generated: Statistics) -> dict[str, float]:
    """Every score of `NAMES` for two `Statistics`: dict of floats, as in float64 arithmetic.

    `frechet` uses all images, the others those whose features were kept. Raises `InputError` for features of two
    networks, or for too few images to find neighbours among.
    """
    return _score(real, generated)[0]


def _score(real, generated):
    """(every score, standard error of the kernel distance)."""
    pair = prdc(real.balls, generated.features)
    kernel, error = kernel_distance(real.blocks, generated.features)
    scores = {
        "frechet": frechet_distance(real.moments, generated.moments),
        "kernel": kernel,
        "precision": pair.precision,
        "recall": pair.recall,
        "density": pair.density,
        "coverage": pair.coverage,
    }
    return scores, error


def over_seeds(runs: Sequence[dict[str, float]]) -> dict[str, dict]:
    """Means and standard errors of scores over seeds of samples, of one training against one set of real images.

    Args:
      runs: non-empty list of dicts from `score`, one for each seed.

    Returns:
      dict of name to {"value", "error", "error_kind", "per_seed"}; the error of a single seed is None.
    """
    summary = {}
    for name in runs[0]:
        values = [run[name] for run in runs]
        error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
        kind = f"choice of samples, over {len(values)} seeds" if error is not None else None
        summary[name] = {"value": float(np.mean(values)), "error": error, "error_kind": kind, "per_seed": values}
    return summary


def of_one_set(real: Statistics, generated: Statistics) -> dict[str, dict]:
    """Scores of a single set of images, two `Statistics`, as `over_seeds` gives them.

    The two distances have the error that the influence of each image tells, the other scores none.
    """
    found, of_kernel = _score(real, generated)
    summary = over_seeds([found])
    errors = {"frechet": frechet_error(real.moments, generated.moments, generated.features), "kernel": of_kernel}
    for name, error in errors.items():
        summary[name] |= {"error": error, "error_kind": "choice of samples, by each one's influence"}
    return summary


def few_scored(count: int, real: Statistics) -> str | None:
    """A sentence for fewer scored images than the features of `real` ask for, or None where they suffice."""
    dimensions = len(real.moments.mean)
    if count >= REAL_OF_A_DIMENSION * dimensions:
        return None
    return (
        f"only {count:,} images scored at a time for {dimensions:,} dimensions of features, fewer than "
        f"{REAL_OF_A_DIMENSION} for each: the Frechet distance is too large by what they lack, no error covers that, "
        "and it can be compared only with others of equally many images"
    )


def few_real(real: Statistics) -> str | None:
    """A sentence for real `Statistics` of fewer images than their features ask for, or None where they suffice."""
    count, dimensions = real.moments.count, len(real.moments.mean)
    if count >= REAL_OF_A_DIMENSION * dimensions:
        return None
    return (
        f"only {count:,} real images for {dimensions:,} dimensions of features, fewer than {REAL_OF_A_DIMENSION} for "
        "each: the Frechet distance is too large by what they lack, no error covers that, and it can be compared only "
        "with others against these very images"
    )
