"""Nearest neighbours in feature space, and copies among images: does a model remember its training images?"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

import numpy as np

from pga_tf.evaluation import pairs

BLOCK = 1000  # rows of either side that are compared at a time


class Nearest:
    """Of each query `[N, D]` the nearest row of a pool that arrives in parts; memory does not grow with the pool.

    Attributes:
      index: int `[N]`, into the pool in the order in which it came, -1 before any.
      distance: Euclidean `[N]`, float64, from the difference of the two rows: exactly 0 for equal ones.
    """

    def __init__(self, queries: np.ndarray):
        self.queries, self.seen = np.asarray(queries), 0
        self._side = pairs.Side(self.queries, self.queries.mean(axis=0, dtype=np.float64), BLOCK)
        self.index, self.distance = np.full(len(queries), -1), np.full(len(queries), np.inf)

    def add(self, pool: np.ndarray) -> Self:
        """Compares with the rows of `pool` `[M, D]`. Returns itself."""
        pool = np.asarray(pool)
        for tile in pairs.tiles(self._side, pairs.Side(pool, self._side.centre, BLOCK)) if len(pool) else ():
            self._compare(tile, pool)
        self.seen += len(pool)
        return self

    def _compare(self, tile, pool):
        at = tile.maybe(np.square(self.distance[tile.rows])[:, None])
        (rows, columns), squares = tile.split(at), tile.exact(at)
        order = np.lexsort((columns, squares, rows))  # of each query the nearest first
        rows, first = np.unique(rows[order], return_index=True)
        queries, found = rows + tile.rows.start, columns[order][first] + tile.columns.start
        distance = np.linalg.norm(self.queries[queries].astype(np.float64) - pool[found], axis=1)
        nearer = distance < self.distance[queries]
        self.index[queries[nearer]] = self.seen + found[nearer]
        self.distance[queries[nearer]] = distance[nearer]


def digests(images: np.ndarray) -> np.ndarray:
    """A 64-bit hash of each image `[N, H, W, C]`, uint64 `[N]`: equal for equal images, and hardly ever for others."""
    rows = (np.ascontiguousarray(image).tobytes() for image in images)
    return np.array(
        [int.from_bytes(hashlib.blake2b(row, digest_size=8).digest(), "little") for row in rows], dtype=np.uint64
    )


class Copies:
    """Which of the `sample` and `held_out` images equal a training image, by `digests`; these arrive in batches.

    Attributes:
      of: for either set bool `[N]`.
    """

    def __init__(self, sample: np.ndarray, held_out: np.ndarray):
        self.sets, self.training = {"sample": sample, "held_out": held_out}, 0
        self.of = {name: np.zeros(len(own), bool) for name, own in self.sets.items()}

    def add(self, images: np.ndarray) -> None:
        """Compares with training images `[B, H, W, C]`."""
        seen = digests(images)
        self.training += len(seen)
        for name, own in self.sets.items():
            self.of[name] |= np.isin(own, seen)

    def facts(self) -> dict[str, int]:
        """How many there were of each, and how many copies."""
        return {
            "training_images": self.training,
            "samples": len(self.of["sample"]),
            "sample_copies": int(self.of["sample"].sum()),
            "held_out_images": len(self.of["held_out"]),
            "held_out_copies": int(self.of["held_out"].sum()),
        }


def memorisation_ratio(generated: np.ndarray, held_out: np.ndarray) -> float | None:
    """Median distance of generated images to their nearest training image, over that of held-out real images.

    Args:
      generated, held_out: distances `[N]` and `[M]`; of held-out images those that are no training images themselves.

    Returns:
      Near 1: samples are as new as unseen images are; far below 1: they repeat training images; above 1: they lie off
      the data. None where there is no held-out image, or the median one cannot be told from a training image.
    """
    scale = np.median(held_out) if len(held_out) else 0.0
    return float(np.median(generated) / scale) if scale else None


def memory(
    drawn: Any,
    held_out: np.ndarray,
    training: Iterable[np.ndarray],
    kept: Sequence | np.ndarray,
    extract: Callable[[np.ndarray], np.ndarray] | None,
    *,
    count: int = 10,
) -> tuple[dict, np.ndarray]:
    """Whether samples repeat training images, in pixels and in feature space.

    One pass over all training images; memory does not grow with their number.

    Args:
      drawn: the `measures.Drawn` samples. held_out: images `[N, H, W, C]` that were not trained on.
      training: all training images, in batches. kept: features `[K, D]` of the first of them, which are not computed
        again. extract: function of images to features; None: only copies are looked for.

    Returns:
      (dict, images `[count, 2, H, W, C]`: a sample, its nearest training image). `ratio` as `memorisation_ratio` gives
      it; `sample_copies` of `samples` and `held_out_copies` of `held_out_images` equal a training image in every pixel,
      and the latter have no say in the ratio. Without features the ratio and the images are None.
    """
    copies = Copies(drawn.digests, digests(held_out))
    if extract is None:
        for images in training:
            copies.add(images)
        return {"ratio": None} | copies.facts() | {"distances": []}, None
    count = min(count, len(drawn.shown))
    samples = Nearest(drawn.statistics.features)
    unseen = Nearest(extract(held_out))
    nearest = np.zeros_like(drawn.shown[:count])
    for images in training:
        start, end = samples.seen, samples.seen + len(images)
        features = kept[start:end] if end <= len(kept) else extract(images)
        samples.add(features)
        unseen.add(features)
        found = np.flatnonzero(samples.index[:count] >= start)
        nearest[found] = images[samples.index[found] - start]
        copies.add(images)
    ratio = memorisation_ratio(samples.distance, unseen.distance[~copies.of["held_out"]])
    facts = {"ratio": ratio} | copies.facts() | {"distances": samples.distance[:count].tolist()}
    return facts, np.stack([drawn.shown[:count], nearest], axis=1)
