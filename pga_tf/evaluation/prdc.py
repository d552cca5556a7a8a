"""Precision and recall (Kynkaanniemi et al., 2019), density and coverage (Naeem et al., 2020).

B(x) is the open ball around x that reaches to its k-th nearest neighbour on its own side, and holds x's copies even
where it has no radius, as k copies of x give. Open, as in Naeem et al.'s code: a set against itself has density 1.
Distances are Euclidean and computed in blocks, so that beside the features memory is two times `block_size` rows of one
distance matrix.
"""

import dataclasses

import numpy as np

from pga_tf.core import checks

COLUMNS = 5000  # features in float64 at a time


@dataclasses.dataclass(frozen=True)
class PRDC:
    """The four scores.

    Attributes:
      precision: share of generated images inside some B(real), in [0, 1].
      recall: share of real images inside some B(generated), in [0, 1].
      density: mean number of B(real) that hold a generated image, over k; 0 or more, may exceed 1.
      coverage: share of real images whose B(real) holds a generated image, in [0, 1].
    """

    precision: float
    recall: float
    density: float
    coverage: float


def prdc(real: np.ndarray, generated: np.ndarray, *, k: int = 5, block_size: int = 500) -> PRDC:
    """The four scores of features `[N, D]` and `[M, D]`, each finite and with more than k rows; distances in float64.

    Whether an image is inside does not depend on the block size, also for copies and for the k-th neighbour itself,
    whose distances are known up to rounding only: squared distances within `_slack` of 0 count as 0, and those within
    it of a squared radius as equal to that, which is outside. Raises `InputError` for too few images.
    """
    real, generated = np.asarray(real), np.asarray(generated)
    for name, features in (("real", real), ("generated", generated)):
        if features.ndim != 2 or len(features) <= k:
            checks.refuse(
                f"Features of {name} images",
                expected=f"shape [N, D] with N > k = {k}",
                received=f"{features.shape}",
                remedy="score more images",
            )
    centre = real.mean(axis=0, dtype=np.float64)
    real_limits, generated_limits = (_limits(f, k, block_size, centre) for f in (real, generated))
    held = np.zeros(len(generated))
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for start in range(0, len(real), block_size):
        rows = slice(start, start + block_size)
        distances = _squared_distances(real[rows], generated, centre, _slack(real.shape[1]))
        inside_real = distances < real_limits[rows, None]
        held += inside_real.sum(axis=0)
        covered[rows] = inside_real.any(axis=1)
        recalled[rows] = (distances < generated_limits).any(axis=1)
    return PRDC(
        precision=float((held > 0).mean()),
        recall=float(recalled.mean()),
        density=float(held.mean() / k),
        coverage=float(covered.mean()),
    )


def _slack(dimensions):
    """s such that rounding moves x^2 + y^2 - 2 x y, of rows with `dimensions`, by less than s (x^2 + y^2) / 2."""
    return 2.0 * (dimensions + 8) * np.finfo(np.float64).eps


def _limits(features, k, block_size, centre):
    """Below which a squared distance plus its slack is inside a row's ball: its squared radius, or what copies have."""
    limits = []
    for start in range(0, len(features), block_size):
        rows = features[start : start + block_size]
        distances = _squared_distances(rows, features, centre, 0.0)
        distances.partition(k, axis=1)  # 0 is the row itself
        copies = 4.0 * _slack(features.shape[1]) * ((rows.astype(np.float64) - centre) ** 2).sum(axis=1)
        limits.append(np.maximum(np.maximum(distances[:, k], copies), np.finfo(np.float64).tiny))
    return np.concatenate(limits)


def _squared_distances(x, y, centre, slack):
    """(1 + slack) (x^2 + y^2) - 2 x y `[len(x), len(y)]`, float64; the origin is moved to `centre`."""
    x = x.astype(np.float64) - centre
    distances = np.empty((len(x), len(y)))
    for start in range(0, len(y), COLUMNS):
        block = y[start : start + COLUMNS].astype(np.float64) - centre
        part = distances[:, start : start + COLUMNS]
        np.matmul(x, block.T, out=part)
        part *= -2.0
        part += (1.0 + slack) * (block**2).sum(axis=1)
    distances += (1.0 + slack) * (x**2).sum(axis=1)[:, None]
    return distances
