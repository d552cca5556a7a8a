"""Several splits read as one, for whoever scores images and trains on none."""

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorflow as tf

from pga_tf.data.source import Reader, Source
from pga_tf.settings.data import ALL


class Joined:
    """A `Reader` over the images of several, one after the other."""

    def __init__(self, readers: Sequence[Reader]):
        self._readers = readers
        self.count = sum(reader.count for reader in readers)

    @property
    def corrupt(self) -> Mapping[str, str]:
        return {name: reason for reader in self._readers for name, reason in reader.corrupt.items()}

    def shuffled(
        self, batch_size: int, *, seed: int, start_step: int, rows: np.ndarray | None = None
    ) -> tf.data.Dataset:
        raise NotImplementedError("Joined splits are scored, not trained on.")

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        parts = [reader.ordered(batch_size) for reader in self._readers]
        return functools.reduce(tf.data.Dataset.concatenate, parts)

    def sample(self, limit: int) -> tuple[list[str], np.ndarray]:
        """Of each part its share, by length, and at least one image."""
        parts = [reader.sample(share) for reader, share in self._shares(limit)]
        names = [name for part, _ in parts for name in part]
        return names[:limit], np.concatenate([images for _, images in parts])[:limit]

    def chosen(self, limit: int, batch_size: int) -> Iterator[np.ndarray]:
        left = limit
        for reader, share in self._shares(limit):
            for images in reader.chosen(share, batch_size):
                if left:
                    yield images[:left]
                left -= min(left, len(images))

    def _shares(self, limit):
        return [(reader, max(limit * reader.count // self.count, 1)) for reader in self._readers]


def whole(source: Source) -> Source:
    """`source` with all of its images in one split, "all", and no labels."""
    return dataclasses.replace(source, readers={ALL: Joined(list(source.readers.values()))}, labels=None)
