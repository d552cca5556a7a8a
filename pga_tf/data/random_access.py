"""Images that can be had in any order, from memory or from a mapped file: a batch is one gather."""

import functools
import os
import types
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from pga_tf.core import array_files
from pga_tf.data import order

LIMIT_BYTES = 2**30  # larger sets stay on disk


class RandomAccess:
    """A `Reader` over `count` images."""

    corrupt = types.MappingProxyType({})

    def __init__(self, count: int, open_images: Callable[[], Callable]):
        """`open_images()`, called when images are first needed: a function from int64 `[B]` to images."""
        self.count = count
        self._open = open_images

    @functools.cached_property
    def _gather(self):
        return self._open()

    def shuffled(
        self, batch_size: int, *, seed: int, start_step: int, rows: np.ndarray | None = None
    ) -> tf.data.Dataset:
        gather = self._gather

        def batch(step):
            return gather(order.indices(step, batch_size=batch_size, count=self.count, seed=seed, rows=rows))

        return tf.data.Dataset.counter(start_step).map(batch)

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        gather = self._gather
        starts = tf.data.Dataset.range(0, self.count, batch_size)
        return starts.map(lambda start: gather(tf.range(start, tf.minimum(start + batch_size, self.count))))

    def rows(self, start: int, stop: int) -> np.ndarray:
        """Array of the images from `start` up to `stop`, in stored order; fewer where the split ends before."""
        return self._gather(tf.range(start, min(stop, self.count), dtype=tf.int64)).numpy()

    def chosen(self, limit: int, batch_size: int) -> Iterator[np.ndarray]:
        indices = order.spread(self.count, limit)
        for start in range(0, len(indices), batch_size):
            yield self._gather(tf.constant(indices[start : start + batch_size], tf.int64)).numpy()

    def sample(self, limit: int) -> tuple[list[str], np.ndarray]:
        chosen = order.spread(self.count, limit)
        return [f"image {i}" for i in chosen], self._gather(tf.constant(chosen, tf.int64)).numpy()


class Parts:
    """Images `[N, H, W, C]` of which `size` lie in each of several .npz files, the rest in the last.

    The files, which are not compressed, are mapped, and the last few that were read stay open. A slice, or int64
    indices `[B]`, give an array.
    """

    OPEN = 64

    def __init__(self, paths: Sequence[str | os.PathLike], size: int, shape: tuple[int, ...], dtype: np.dtype):
        """`shape`, `dtype`: of all images together, in the array `images` of each file."""
        self.shape, self.dtype, self.ndim, self._rows = shape, dtype, len(shape), size
        opened = lambda part: array_files.read(paths[part], ("images",), map_beyond=0)["images"]
        self._part = functools.lru_cache(self.OPEN)(opened)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, chosen: slice | np.ndarray) -> np.ndarray:
        indices = np.arange(*chosen.indices(len(self))) if isinstance(chosen, slice) else np.asarray(chosen)
        images = np.empty((len(indices), *self.shape[1:]), self.dtype)
        parts, rows = np.divmod(indices, self._rows)
        for part in np.unique(parts):
            here = parts == part
            images[here] = self._part(int(part))[rows[here]]
        return images


def held(images: np.ndarray) -> Callable:
    """A function from int64 indices `[B]` to rows of the array `images`, kept in the host's memory."""
    # Left to itself, TensorFlow puts them on the GPU, and tf.data fetches them back for every batch.
    with tf.device("/cpu:0"):
        # tf.constant keeps two copies of a large array alive.
        return functools.partial(tf.gather, tf.raw_ops.Identity(input=images))


def mapped(images: np.ndarray | Parts, members: np.ndarray, convert: Callable = np.asarray) -> Callable:
    """A function from int64 indices `[B]` to those rows of `images[members]`, read from mapped files and converted."""
    dtype = convert(images[:0]).dtype

    def gather(indices):
        rows = tf.numpy_function(lambda i: convert(images[members[i]]), [indices], dtype, stateful=False)
        return tf.ensure_shape(rows, [*indices.shape, *images.shape[1:]])

    return gather
