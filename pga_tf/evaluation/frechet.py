"""Frechet distance between Gaussians fitted to features (Heusel et al., 2017).

d^2 = |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)). It is called FID only where the features are Inception's.
"""

import numpy as np
import scipy.linalg

from pga_tf.core import checks


def frechet_distance(a, b):
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
    cross = scipy.linalg.svdvals(_factor(cov_a).T @ _factor(cov_b), overwrite_a=True, check_finite=False).sum()
    return float(np.sum((a.mean - b.mean) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross)


def _factor(covariance):
    """F `[D, R]` with F F' = covariance, positive semi-definite of rank R, by Cholesky's method with pivoting.

    It stops where what is left is rounding: D times the machine's epsilon times the largest variance.
    """
    lower, pivots, rank, _ = scipy.linalg.lapack.dpstrf(covariance, lower=1)
    factor = np.zeros_like(covariance)
    factor[pivots - 1] = np.tril(lower)
    return factor[:, : max(rank, 1)]
