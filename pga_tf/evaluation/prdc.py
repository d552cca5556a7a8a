"""Precision and recall (Kynkaanniemi et al., 2019), density and coverage (Naeem et al., 2020).

B(x) is the open ball around x that reaches to its k-th nearest neighbour on its own side, and holds x's copies even
where it has no radius, as k copies of x give. Open, as in Naeem et al.'s code: a set against itself has density 1.
Distances are Euclidean, and `pairs` computes them in tiles, so that beside the features memory is a few tiles.
"""

import dataclasses

import numpy as np

from pga_tf.core import checks
from pga_tf.evaluation import pairs

K, BLOCK = 5, 1000  # neighbours; features on a side of a tile


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


class Balls:
    """B(x) of each of features `[N, D]`, finite and with N > k: what is the same for all that it is compared with.

    `limits` float64 `[N]`: what a squared distance plus its slack is below inside of a ball, its squared radius or what
    copies have. `name`, such as "real", is said in the `InputError` for too few images; `centre` `[D]` is where the
    origin is moved to, None: the mean.
    """

    def __init__(
        self, features: np.ndarray, name: str, *, k: int = K, block_size: int = BLOCK, centre: np.ndarray | None = None
    ):
        features = np.asarray(features)
        if features.ndim != 2 or len(features) <= k:
            checks.refuse(
                f"Features of {name} images",
                expected=f"shape [N, D] with N > k = {k}",
                received=f"{features.shape}",
                remedy="score more images",
            )
        self.k, self.block_size = k, block_size
        self.centre = features.mean(axis=0, dtype=np.float64) if centre is None else centre
        self.side = pairs.Side(features, self.centre, block_size)
        copies = 4.0 * pairs.slack(features.shape[1]) * self.side.squares
        self.limits = np.maximum(np.maximum(pairs.nearest(self.side, k), copies), np.finfo(np.float64).tiny)


def prdc(real: np.ndarray | Balls, generated: np.ndarray, *, k: int = K, block_size: int = BLOCK) -> PRDC:
    """The four scores of features `[N, D]` and `[M, D]`, each finite and with more than k rows, as in float64.

    `real` may be its `Balls`, which are then computed once for several sets; k and the block size are theirs.

    Whether an image is inside does not depend on the block size, also for copies and for the k-th neighbour itself,
    whose distances are known up to rounding only: squared distances within `pairs.slack` of 0 count as 0, and those
    within it of a squared radius as equal to that, which is outside. Raises `InputError` for too few images.
    """
    real = real if isinstance(real, Balls) else Balls(real, "real", k=k, block_size=block_size)
    generated = Balls(generated, "generated", k=real.k, block_size=real.block_size, centre=real.centre)
    held = np.zeros(len(generated.limits))
    recalled, covered = np.zeros(len(real.limits), bool), np.zeros(len(real.limits), bool)
    for tile in pairs.tiles(real.side, generated.side):
        rows, columns = tile.nearer(real.limits[tile.rows, None])
        held[tile.columns] += np.bincount(columns, minlength=tile.low.shape[1])
        covered[tile.rows][rows] = True
        if not recalled[tile.rows].all():
            recalled[tile.rows][tile.nearer(generated.limits[tile.columns])[0]] = True
    return PRDC(
        precision=float((held > 0).mean()),
        recall=float(recalled.mean()),
        density=float(held.mean() / real.k),
        coverage=float(covered.mean()),
    )
