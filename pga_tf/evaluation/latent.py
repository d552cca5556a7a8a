"""How the codes of an autoencoder relate to the prior: spectra, posterior variances, MMD, single directions."""

from collections.abc import Callable

import numpy as np

ACTIVE_VARIANCE = 1e-2  # Burda et al., 2016, section 2.1
# Inverse multiquadratic kernels of Tolstikhin et al., 2018: sum of C / (C + d^2) with C = scale * 2 H_dim.
IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def singular_values(codes: np.ndarray) -> np.ndarray:
    """Singular values of codes `[N, H_dim]` over sqrt(N), largest first; all near 1 for N(0, I)."""
    codes = np.asarray(codes, np.float64)
    return np.linalg.svd(codes / np.sqrt(len(codes)), compute_uv=False)


def active_units(codes: np.ndarray) -> int:
    """How many dimensions of codes `[N, H_dim]` (posterior means) vary by more than `ACTIVE_VARIANCE`."""
    return int((np.var(np.asarray(codes, np.float64), axis=0) > ACTIVE_VARIANCE).sum())


def mmd(codes: np.ndarray, prior: np.ndarray, *, block_size: int = 2000) -> float:
    """Unbiased squared MMD between codes `[N, H_dim]` and draws of the prior `[N, H_dim]`, float64.

    The kernel is the mean of inverse multiquadratic ones at `IMQ_SCALES`; 0 means the same law, and an estimate may
    fall below. Pairs are taken within blocks of `block_size` rows.
    """
    codes, prior = np.asarray(codes, np.float64), np.asarray(prior, np.float64)
    blocks = max(1, min(len(codes), len(prior)) // block_size)
    pairs = zip(np.array_split(codes, blocks), np.array_split(prior, blocks), strict=True)
    return float(np.mean([_mmd2(x, y) for x, y in pairs]))


def _mmd2(x, y):
    k_xx, k_yy, k_xy = _kernel(x, x), _kernel(y, y), _kernel(x, y)
    n, m = len(x), len(y)
    within = (k_xx.sum() - np.trace(k_xx)) / (n * (n - 1)) + (k_yy.sum() - np.trace(k_yy)) / (m * (m - 1))
    return within - 2.0 * k_xy.mean()


def _kernel(x, y):
    squares = (x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2.0 * x @ y.T
    np.maximum(squares, 0.0, out=squares)
    total, term = np.zeros_like(squares), np.empty_like(squares)
    for scale in IMQ_SCALES:  # in the memory that there is: fresh memory for each would cost most of the time
        constant = scale * 2.0 * x.shape[1]
        np.divide(constant, np.add(squares, constant, out=term), out=term)
        total += term
    total /= len(IMQ_SCALES)
    return total


def latent_error(codes: np.ndarray, mapped: np.ndarray) -> float:
    """Mean over codes and dimensions of (h(z) - z)^2: how far h = f o g is from the identity."""
    return float(np.mean(np.square(np.asarray(mapped, np.float64) - np.asarray(codes, np.float64))))


def directions(
    codes: np.ndarray, decode: Callable[[np.ndarray], np.ndarray], *, steps: int = 9, reach: float = 3.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images along each latent direction, and the pixel variance that each one causes (Dai and Wipf, 2019, Figure 4).

    From the mean code, one dimension at a time goes from `-reach` to `reach` standard deviations of a unit Gaussian.

    Args:
      codes: `[N, H_dim]`. decode: function of codes `[B, H_dim]` to images `[B, H, W, C]`.

    Returns:
      (order, variances, images): dimensions by falling variance `[H_dim]`, the variance over the path of a pixel,
      mean over pixels, in [0, 1] units for uint8 images, `[H_dim]`, and images `[H_dim, steps, H, W, C]`, both in that
      order.
    """
    centre = np.mean(codes, axis=0, dtype=np.float64).astype(np.float32)
    dimensions = codes.shape[1]
    paths = np.tile(centre, (dimensions, steps, 1))
    index = np.arange(dimensions)
    paths[index, :, index] = np.linspace(-reach, reach, steps, dtype=np.float32)
    images = decode(paths.reshape(-1, dimensions))
    images = images.reshape(dimensions, steps, *images.shape[1:])
    scale = 255.0 if images.dtype == np.uint8 else 1.0
    variances = (images / scale).var(axis=1).mean(axis=(1, 2, 3))
    order = np.argsort(-variances, kind="stable")
    return order, variances[order], images[order]
