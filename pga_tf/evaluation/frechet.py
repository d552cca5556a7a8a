"""Frechet distance between Gaussians fitted to features (Heusel et al., 2017).

d^2 = |m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1 C2)^(1/2)). It is called FID only where the features are Inception's.
"""

import numpy as np
import scipy.linalg

from pga_tf.core import checks


def frechet_distance(a, b):
    """Squared Frechet distance between the Gaussians of two `Moments`, in squared feature units, float64.

    tr((C1 C2)^(1/2)) is the sum of the singular values of C1^(1/2) C2^(1/2). The roots are symmetric and come from
    `eigh`, so that no absolute constant is added and the value scales with the features' square. Exactly 0 between
    equal moments. Raises `InputError` for fewer than two images on a side, or for constant images on both.
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
    cross = scipy.linalg.svdvals(_root(cov_a) @ _root(cov_b)).sum()
    return float(np.sum((a.mean - b.mean) ** 2) + np.trace(cov_a) + np.trace(cov_b) - 2.0 * cross)


def _root(covariance):
    """The symmetric square root of a positive semi-definite matrix; eigenvalues below 0 are rounding."""
    values, vectors = scipy.linalg.eigh(covariance, overwrite_a=False, check_finite=False)
    return (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
