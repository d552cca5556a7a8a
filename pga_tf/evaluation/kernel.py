"""Kernel distance: squared maximum mean discrepancy under a cubic kernel (Binkowski et al., 2018).

k(x, y) = (x . y / D + 1)^3. It is called KID only where the features are Inception's.
"""

import numpy as np

from pga_tf.core import checks


def kernel_distance(real, generated, *, block_size=1000, seed=0):
    """Mean over blocks of the unbiased MMD^2 estimate, and its standard error.

    Args:
      real, generated: features `[N, D]` and `[M, D]`, finite.
      block_size: images on each side of a block, at most. Both sides are shuffled by `seed` and cut into as many blocks
        as the larger one needs; a smaller one that fits into a block is whole in each.

    Returns:
      (mean, standard error over blocks; NaN with one block), float64. The estimate is unbiased and may be below 0.
      Raises `InputError` for fewer than two images on a side.
    """
    real, generated = np.asarray(real), np.asarray(generated)
    for name, features in (("real", real), ("generated", generated)):
        if features.ndim != 2 or len(features) < 2:
            checks.refuse(
                f"Features of {name} images",
                expected="shape [N, D] with N >= 2",
                received=f"{features.shape}",
                remedy="score more images",
            )
    rng = np.random.default_rng(seed)
    blocks = -(-max(len(real), len(generated)) // block_size)
    rows = [_blocks(rng.permutation(len(side)), blocks, block_size) for side in (real, generated)]
    # Only one block at a time is there in float64.
    estimates = [_mmd2(real[i].astype(np.float64), generated[j].astype(np.float64)) for i, j in zip(*rows, strict=True)]
    error = np.std(estimates, ddof=1) / np.sqrt(blocks) if blocks > 1 else float("nan")
    return float(np.mean(estimates)), float(error)


def _blocks(indices, count, block_size):
    if len(indices) <= block_size:
        return [indices] * count
    own = np.array_split(indices, -(-len(indices) // block_size))
    return [own[i % len(own)] for i in range(count)]


def _mmd2(x, y):
    k_xx, k_yy, k_xy = _cubic(x, x), _cubic(y, y), _cubic(x, y)
    within_x = (k_xx.sum() - np.trace(k_xx)) / (len(x) * (len(x) - 1))
    within_y = (k_yy.sum() - np.trace(k_yy)) / (len(y) * (len(y) - 1))
    return within_x + within_y - 2.0 * k_xy.mean()


def _cubic(x, y):
    return (x @ y.T / x.shape[1] + 1.0) ** 3
