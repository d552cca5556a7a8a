"""Nearest neighbours in feature space: does a model remember its training images?"""

import numpy as np


def nearest(queries, pool, *, block_size=500):
    """Index into `pool` `[M, D]` of the nearest row of each query `[N, D]`, and the Euclidean distance."""
    queries, pool = np.asarray(queries, np.float64), np.asarray(pool, np.float64)
    squares = (pool**2).sum(axis=1)
    indices, distances = [], []
    for start in range(0, len(queries), block_size):
        rows = queries[start : start + block_size]
        block = (rows**2).sum(axis=1)[:, None] + squares - 2.0 * rows @ pool.T
        index = block.argmin(axis=1)
        indices.append(index)
        distances.append(np.sqrt(np.maximum(block[np.arange(len(rows)), index], 0.0)))
    return np.concatenate(indices), np.concatenate(distances)


def memorisation_ratio(generated, held_out, training):
    """Median distance of generated images to their nearest training image, over that of held-out real images.

    Features `[N, D]` of each. Near 1: samples are as new as unseen images are; far below 1: they repeat training
    images; above 1: they lie off the data.
    """
    return float(np.median(nearest(generated, training)[1]) / np.median(nearest(held_out, training)[1]))
