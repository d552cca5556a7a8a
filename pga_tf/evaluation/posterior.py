"""What the posterior q(z|x) = N(mu, diag lambda) of a VAE tells: which dimensions carry an image, and whether lambda is
the one that the bound asks for.

Paper: Dai and Wipf, Diagnosing and Enhancing VAE Models, 2019: Eq. 9 (r_hat), figure 1 centre and figure 9 of the
supplement (draws), Eq. 73 of the supplement (covariance at the optimum). Its gamma is the variance of p(x|z), whose
square root is the `gamma` of our options.
"""

from collections.abc import Callable

import numpy as np

from pga_tf.core import streams

NEAR_ZERO = 0.5  # of a variance that tends to 0 or to 1; the paper prints no threshold
DRAWS = 15  # along each dimension, as in the paper
IMAGES = 32  # at whose codes the optimum is looked at
LARGEST = 64  # latent dimensions for which it is


def r_hat(variances: np.ndarray) -> int:
    """How many dimensions of posterior variances `[H_dim]`, means over images, are nearer to 0 than to 1 (Eq. 9)."""
    return int((np.asarray(variances) < NEAR_ZERO).sum())


def draws(
    mean: np.ndarray, variances: np.ndarray, decode: Callable[[np.ndarray], np.ndarray], *, count: int = DRAWS
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images of random codes around an image's posterior mean, which differ from it in one dimension each.

    The noise is N(0, 1) along every dimension, whatever its lambda; the paper prints no scale, and its pictures change
    by more than lambda would allow. All dimensions have the same `count` draws, so that rows differ by dimension alone.

    Args:
      mean, variances: mu and lambda of one image, `[H_dim]`. decode: codes `[B, H_dim]` to uint8 `[B, H, W, C]`.

    Returns:
      (order, image_variances, images): dimensions by rising lambda `[H_dim]`; the unbiased variance of a pixel over the
      draws, mean over pixels and channels, in units of 0..255 squared, `[H_dim]`; uint8 `[H_dim, count, H, W, C]`. The
      last two are in that order.
    """
    dimensions = len(mean)
    order = np.argsort(variances, kind="stable")
    codes = np.tile(np.asarray(mean, np.float32), (dimensions, count, 1))
    noise = streams.generator("evaluation/draws").standard_normal(count, np.float32)
    codes[np.arange(dimensions), :, order] += noise
    images = decode(codes.reshape(-1, dimensions))
    images = images.reshape(dimensions, count, *images.shape[1:])
    caused = [along.astype(np.float64).var(axis=0, ddof=1).mean() for along in images]
    return order, np.array(caused), images


def against_optimum(variances: np.ndarray, precision: np.ndarray) -> dict:
    """How far posterior variances are from those at which the bound is greatest, given the decoder.

    Args:
      variances: lambda of N images, `[N, H_dim]`. precision: I + J'J / gamma at their codes, `[N, H_dim, H_dim]`; its
        inverse is the optimal covariance (Eq. 73). A covariance that has to be diagonal, as ours, is optimal where it
        inverts the diagonal of that matrix; the two agree where J'J is diagonal.

    Returns:
      `deviation` and `deviation_diagonal`: medians over images and dimensions of |lambda / optimum - 1|, the optimum
      being the diagonal of Eq. 73 and the best diagonal covariance; `correlation`: of log lambda with log of the
      former, None where either is constant; `coupling`: mean |correlation| of two dimensions under Eq. 73, None for one
      dimension. Float64.
    """
    variances = np.maximum(np.asarray(variances, np.float64), np.finfo(np.float32).tiny)  # what float32 rounds to 0
    precision = np.asarray(precision, np.float64)
    covariance = np.linalg.inv(precision)
    optimum, of_diagonal = (np.diagonal(m, axis1=1, axis2=2) for m in (covariance, precision))
    scale = np.sqrt(optimum)
    correlations = np.abs(covariance / (scale[:, :, None] * scale[:, None, :]))
    apart = ~np.eye(precision.shape[1], dtype=bool)
    return {
        "deviation": float(np.median(np.abs(variances / optimum - 1.0))),
        "deviation_diagonal": float(np.median(np.abs(variances * of_diagonal - 1.0))),
        "correlation": _correlation(np.log(variances).ravel(), np.log(optimum).ravel()),
        "coupling": float(correlations[:, apart].mean()) if apart.any() else None,
    }


def _correlation(a, b):
    if min(a.std(), b.std()) < 1e-6:  # of the rounding of float32
        return None
    return float(np.corrcoef(a, b)[0, 1])
