"""Kernel distance: squared maximum mean discrepancy under a cubic kernel (Binkowski et al., 2018), and how sure it is.

k(x, y) = (x . y / D + 1)^3. It is called KID only where the features are Inception's.
"""

import numpy as np

from pga_tf.core import checks, streams


def kernel_distance(real: np.ndarray, generated: np.ndarray, *, block_size: int = 1000) -> tuple[float, float]:
    """Mean over blocks of the unbiased MMD^2 estimate, and its standard error over the choice of generated images.

    Real images count as fixed, also where they are few and therefore whole in every block. With

        h(y) = 2 (mean of k(y, y') over the block's other generated y' - mean of k(y, x) over its real x),

    summed over the blocks that y is in and divided by the number of all blocks, a part of n images that share their
    blocks adds var(h) / n, less 2 w^2 var(k~) / (n (n - 1)), the degenerate part that this counts twice: k~ is k(y, y')
    centred by rows and columns, and w the share of the blocks that hold the part.

    Args:
      real, generated: features `[N, D]` and `[M, D]`, finite.
      block_size: images on each side of a block, at most. Both sides are shuffled, always in the same way, and cut
        into as many blocks as the larger one needs; a smaller one that fits into a block is whole in each.

    Returns:
      (mean, error), float64; the error is NaN for fewer than 4 generated images. The estimate is unbiased and may be
      below 0. Raises `InputError` for fewer than two images on a side.
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
    rng = streams.generator("evaluation/choice")
    blocks = -(-max(len(real), len(generated)) // block_size)
    real_parts, parts = (_parts(rng.permutation(len(side)), block_size) for side in (real, generated))
    estimates, influence, degenerate = [], {}, {}
    for block in range(blocks):  # only one at a time is there in float64
        own = block % len(parts)
        x = real[real_parts[block % len(real_parts)]].astype(np.float64)
        estimate, h, degenerate[own] = _mmd2(x, generated[parts[own]].astype(np.float64))
        estimates.append(estimate)
        influence.setdefault(own, []).append(h / blocks)
    variances = [
        _variance(sum(pulls), degenerate[own] * (len(pulls) / blocks) ** 2) for own, pulls in influence.items()
    ]
    error = np.sqrt(np.sum(variances)) if len(generated) >= 4 else float("nan")
    return float(np.mean(estimates)), float(error)


def _parts(indices, size):
    return np.array_split(indices, -(-len(indices) // size))


def _mmd2(x, y):
    """(estimate, h `[len(y)]`, variance of its degenerate part) of one block."""
    k_xx, k_yy, k_xy = _cubic(x, x), _cubic(y, y), _cubic(x, y)
    n, m = len(x), len(y)
    others = (k_yy.sum(axis=0) - np.diag(k_yy)) / (m - 1)
    estimate = (k_xx.sum() - np.trace(k_xx)) / (n * (n - 1)) + others.mean() - 2.0 * k_xy.mean()
    centred = k_yy - others[:, None] - others + others.mean()
    np.fill_diagonal(centred, 0.0)
    return estimate, 2.0 * (others - k_xy.mean(axis=0)), 2.0 * (centred**2).sum() / (m * (m - 1)) ** 2


def _variance(h, degenerate):
    whole = np.var(h, ddof=1) / len(h)
    return max(whole - degenerate, whole / 2)


def _cubic(x, y):
    return (x @ y.T / x.shape[1] + 1.0) ** 3
