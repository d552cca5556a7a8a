"""Precision and recall (Kynkaanniemi et al., 2019), density and coverage (Naeem et al., 2020).

B(x) is the ball around x that reaches to its k-th nearest neighbour on its own side. Distances are Euclidean
and computed in blocks, so that beside the features memory is two times `block_size` rows of one distance matrix.
"""

import dataclasses

import numpy as np

from pga_tf.core import checks


@dataclasses.dataclass(frozen=True)
class PRDC:
    precision: float  # share of generated images inside some B(real)
    recall: float  # share of real images inside some B(generated)
    density: float  # mean number of B(real) that hold a generated image, over k
    coverage: float  # share of real images whose B(real) holds a generated image


def prdc(real, generated, *, k=5, block_size=500):
    """The four scores of features `[N, D]` and `[M, D]`, each finite and with more than k rows; distances in float64.

    Raises `InputError` for too few images.
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
    real_radii, generated_radii = (_radii(f, k, block_size) for f in (real, generated))
    held = np.zeros(len(generated))
    recalled, covered = np.zeros(len(real), bool), np.zeros(len(real), bool)
    for start in range(0, len(real), block_size):
        rows = slice(start, start + block_size)
        distances = squared_distances(real[rows], generated)
        inside_real = distances <= real_radii[rows, None]
        held += inside_real.sum(axis=0)
        covered[rows] = inside_real.any(axis=1)
        recalled[rows] = (distances <= generated_radii).any(axis=1)
    return PRDC(
        precision=float((held > 0).mean()),
        recall=float(recalled.mean()),
        density=float(held.mean() / k),
        coverage=float(covered.mean()),
    )


def _radii(features, k, block_size):
    """Squared distance of each row to its k-th nearest other row."""
    radii = []
    for start in range(0, len(features), block_size):
        distances = squared_distances(features[start : start + block_size], features)
        distances.partition(k, axis=1)
        radii.append(distances[:, k].copy())  # 0 is the row itself; a view would keep the whole block
    return np.concatenate(radii)


def squared_distances(x, y, columns=5000):
    """Squared Euclidean distances `[len(x), len(y)]`, float64; `y` is cast `columns` rows at a time."""
    x = x.astype(np.float64)
    distances = np.empty((len(x), len(y)))
    for start in range(0, len(y), columns):
        block = y[start : start + columns].astype(np.float64)
        part = distances[:, start : start + columns]
        np.matmul(x, block.T, out=part)
        part *= -2.0
        part += (block**2).sum(axis=1)
    distances += (x**2).sum(axis=1)[:, None]
    return np.maximum(distances, 0.0, out=distances)
