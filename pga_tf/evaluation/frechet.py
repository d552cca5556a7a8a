"""Frechet distance between Gaussians fitted to features (Heusel et al., 2017), and how sure it is.

d^2 = |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)). It is called FID only where the features are Inception's.
"""

import numpy as np
import scipy.linalg

from pga_tf.core import checks, streams
from pga_tf.evaluation.moments import Moments

ROWS = 1000  # features in float64 at a time


def frechet_distance(a: Moments, b: Moments) -> float:
    """Squared Frechet distance between the Gaussians of two `Moments`, in squared feature units, float64.

    tr((C1 C2)^(1/2)) is the sum of the singular values of F1' F2 for any factors C = F F'. They are pivoted Cholesky
    factors, which singular covariances have too, so that no absolute constant is added and the value scales with the
    features' square. Exactly 0 between equal moments. Raises `InputError` for fewer than two images on a side, or for
    constant images on both.
    """
    if len(a.mean) != len(b.mean):
        checks.refuse(
            "Frechet distance",
            expected="features of one network on both sides",
            received=f"{len(a.mean)} and {len(b.mean)} dimensions",
            remedy="score both with the same features",
        )
    cov_a, cov_b = a.covariance(), b.covariance()
    if not cov_a.any() and not cov_b.any():
        checks.refuse(
            "Frechet distance",
            expected="images that differ from each other",
            received="features that are constant on both sides",
            remedy="check that the images are not all the same",
        )
    if np.array_equal(a.mean, b.mean) and np.array_equal(cov_a, cov_b):
        return 0.0
    cross = scipy.linalg.svdvals(a.factor().T @ b.factor(), overwrite_a=True, check_finite=False).sum()
    return float(np.sum((a.mean - b.mean) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross)


def frechet_error(real: Moments, generated: Moments, features: np.ndarray) -> float:
    """Standard error of `frechet_distance(real, generated)` over the choice of generated images, real ones fixed.

    The distance is smooth in the moments, so var(distance) is V1 + V2 + ...: V1 of its gradient, V2 of its curvature,
    which matters where the distance is near its floor. With v(x) the influence of an image by the gradient at the
    moments of all N images, and v_1, v_2 those at the moments of two random halves,

        var(v) / N estimates V1 + 2 V2 (Efron and Stein, 1981), and var(v_1 - v_2) / (8 N) estimates V2.

    Args:
      real, generated: `Moments`. features: `[K, D]`, K >= 4 of those that `generated` was made of.

    Returns:
      Their difference's square root, at least sqrt(var(v) / (2 N)), in units of the distance. Within about a fifth of
      the true deviation from 300 images on, two fifths where the distance is at its floor; with fewer images than 2 D
      the halves say little, and it is a rough figure.
    """
    factor = real.factor()
    order = streams.generator("evaluation/bootstrap").permutation(len(features))
    halves = [_moments(features[np.sort(rows)]) for rows in np.array_split(order, 2)]
    influences = [_influence(real, factor, side) for side in (generated, *halves)]
    blocks = (features[i : i + ROWS].astype(np.float64) for i in range(0, len(features), ROWS))
    values, first, second = np.hstack([[influence(block) for influence in influences] for block in blocks])
    whole = np.var(values, ddof=1) / generated.count
    curvature = np.var(first - second, ddof=1) / (8 * generated.count) * (len(features) / generated.count)
    return float(np.sqrt(max(whole - curvature, whole / 2)))


def _influence(real, factor, side):
    """By how much an image x pulls at the distance, as a function of features `[N, D]`, up to a constant.

    v(x) = 2 c . (m - m_real) + |c|^2 - c' T c with c = x - m, where T = F (F' C F)^(-1/2) F' is the optimal map from
    N(m, C) of `side` to N(m_real, F F'): the gradient of the distance by C is I - T.
    """
    squares, vectors = np.linalg.eigh(factor.T @ side.covariance() @ factor)
    kept = squares > len(squares) * np.finfo(np.float64).eps * max(squares[-1], 0.0)
    root = factor @ (vectors[:, kept] / squares[kept] ** 0.25)

    def influence(features):
        centred = features - side.mean
        squared = (centred**2).sum(axis=1) - ((centred @ root) ** 2).sum(axis=1)
        return 2.0 * centred @ (side.mean - real.mean) + squared

    return influence


def _moments(features):
    moments = Moments(features.shape[1])
    for start in range(0, len(features), ROWS):
        moments.add(features[start : start + ROWS])
    return moments
