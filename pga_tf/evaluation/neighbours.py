"""Nearest neighbours in feature space: does a model remember its training images?"""

import numpy as np

from pga_tf.evaluation.prdc import squared_distances


def nearest(queries, pool, *, block_size=500):
    """Index into `pool` `[M, D]` of the nearest row of each query `[N, D]`, and the Euclidean distance, in blocks."""
    indices, distances = [], []
    for start in range(0, len(queries), block_size):
        block = squared_distances(queries[start : start + block_size], pool)
        index = block.argmin(axis=1)
        indices.append(index)
        distances.append(np.sqrt(block[np.arange(len(block)), index]))
    return np.concatenate(indices), np.concatenate(distances)


def memorisation_ratio(generated, held_out, training):
    """Median distance of generated images to their nearest training image, over that of held-out real images.

    Features `[N, D]` of each; `training` should be all that there is, or copies of the rest go unseen. Near 1: samples
    are as new as unseen images are; far below 1: they repeat training images; above 1: they lie off the data.
    """
    return float(np.median(nearest(generated, training)[1]) / np.median(nearest(held_out, training)[1]))
