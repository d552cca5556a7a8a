"""scikit-learn's bundled digits: 1,797 real grey scans of 8x8 pixels, in the package itself, no download."""

import dataclasses

import numpy as np

from pga_tf.data.arrays import from_arrays, of_values
from pga_tf.data.source import Labels, Source
from pga_tf.settings.data import DataOptions

TEST = 297  # the last ones, which other people wrote than most of the first 1,500


def load(name: str, argument: str, options: DataOptions) -> Source:
    """uint8 `[8, 8, 1]` in [0, 255], from the scans' 0..16; the first 1,500 train, the last 297 test."""
    from sklearn.datasets import load_digits

    scans = load_digits()
    images = np.round(scans.images[..., None] * (255 / 16)).astype(np.uint8)
    splits = {"train": slice(-TEST), "test": slice(-TEST, None)}
    digits = Labels(tuple("0123456789"), lambda split, count: scans.target[splits[split]][:count].astype(np.int64))
    return dataclasses.replace(from_arrays(name, images, splits, options, identity=of_values(images)), labels=digits)
