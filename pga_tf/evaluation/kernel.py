"""Kernel distance: squared maximum mean discrepancy under a cubic kernel (Binkowski et al., 2018), and how sure it is.

k(x, y) = (x . y / D + 1)^3. It is called KID only where the features are Inception's.
"""

import numpy as np

from pga_tf.core import checks, streams


class Blocks:
    """Real images' features `[N, D]`, finite, shuffled and cut: what is the same for all that they are compared with.

    Raises `InputError` for fewer than two.
    """

    def __init__(self, features: np.ndarray, *, block_size: int = 1000):
        self.features, self.block_size = _required(features, "real"), block_size
        self.parts = _parts(streams.generator("evaluation/choice").permutation(len(self.features)), block_size)
        self._own = {}

    def part(self, i: int) -> np.ndarray:
        """Features of part i, float64."""
        return self.features[self.parts[i]].astype(np.float64)

    def own(self, i: int, x: np.ndarray) -> float:
        """Mean of k(x, x') over the pairs of part i, whose features are `x`; computed once."""
        if i not in self._own:
            k_xx = _cubic(x, x)
            self._own[i] = (k_xx.sum() - np.trace(k_xx)) / (len(x) * (len(x) - 1))
        return self._own[i]


def kernel_distance(real: np.ndarray | Blocks, generated: np.ndarray, *, block_size: int = 1000) -> tuple[float, float]:
    """Mean over blocks of the unbiased MMD^2 estimate, and its standard error over the choice of generated images.

    Real images count as fixed, also where they are few and therefore whole in every block. With

        h(y) = 2 (mean of k(y, y') over the block's other generated y' - mean of k(y, x) over its real x),

    summed over the blocks that y is in and divided by the number of all blocks, a part of n images that share their
    blocks adds var(h) / n, less 2 w^2 var(k~) / (n (n - 1)), the degenerate part that this counts twice: k~ is k(y, y')
    centred by rows and columns, and w the share of the blocks that hold the part.

    Args:
      real, generated: features `[N, D]` and `[M, D]`, finite; `real` may be their `Blocks`, with a size of their own.
      block_size: images on each side of a block, at most. Both sides are shuffled, always in the same way, and cut
        into as many blocks as the larger one needs; a smaller one that fits into a block is whole in each.

    Returns:
      (mean, error), float64; the error is NaN for fewer than 4 generated images. The estimate is unbiased and may be
      below 0. Raises `InputError` for fewer than two images on a side.
    """
    real = real if isinstance(real, Blocks) else Blocks(real, block_size=block_size)
    generated, block_size = _required(generated, "generated"), real.block_size
    rng = streams.generator("evaluation/choice")
    rng.permutation(len(real.features))
    parts = _parts(rng.permutation(len(generated)), block_size)
    blocks = -(-max(len(real.features), len(generated)) // block_size)
    estimates, influence, degenerate = [], {}, {}
    for block in range(blocks):  # only one at a time is there in float64
        own, other = block % len(parts), block % len(real.parts)
        x = real.part(other)
        estimate, h, degenerate[own] = _mmd2(real.own(other, x), x, generated[parts[own]].astype(np.float64))
        estimates.append(estimate)
        influence.setdefault(own, []).append(h / blocks)
    variances = [
        _variance(sum(pulls), degenerate[own] * (len(pulls) / blocks) ** 2) for own, pulls in influence.items()
    ]
    error = np.sqrt(np.sum(variances)) if len(generated) >= 4 else float("nan")
    return float(np.mean(estimates)), float(error)


def _required(features, name):
    features = np.asarray(features)
    if features.ndim != 2 or len(features) < 2:
        checks.refuse(
            f"Features of {name} images",
            expected="shape [N, D] with N >= 2",
            received=f"{features.shape}",
            remedy="score more images",
        )
    return features


def _parts(indices, size):
    return np.array_split(indices, -(-len(indices) // size))


def _mmd2(k_xx, x, y):
    """(estimate, h `[len(y)]`, variance of its degenerate part) of one block; `k_xx`: mean over pairs of x."""
    k_yy, k_xy = _cubic(y, y), _cubic(x, y)
    m = len(y)
    others = (k_yy.sum(axis=0) - np.diag(k_yy)) / (m - 1)
    across = k_xy.mean(axis=0)
    centred = k_yy - others[:, None]
    centred -= others - others.mean()
    np.fill_diagonal(centred, 0.0)
    degenerate = 2.0 * np.vdot(centred, centred) / (m * (m - 1)) ** 2
    return k_xx + others.mean() - 2.0 * across.mean(), 2.0 * (others - across), degenerate


def _variance(h, degenerate):
    whole = np.var(h, ddof=1) / len(h)
    return max(whole - degenerate, whole / 2)


def _cubic(x, y):
    base = x @ y.T
    base /= x.shape[1]
    base += 1.0
    return base * base * base  # a power of 3 takes ten times as long
