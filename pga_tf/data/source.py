"""A source of images: what it holds, and the ways to read it. Each kind of storage is a `Reader`."""

import dataclasses
import hashlib
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Protocol

import numpy as np
import tensorflow as tf

from pga_tf.core import checks, pictures, ranges


def digest(value: object) -> str:
    """16 hexadecimal digits of what has the same `repr` wherever it is."""
    return hashlib.sha256(repr(value).encode("utf-8", "backslashreplace")).hexdigest()[:16]


@dataclasses.dataclass(frozen=True)
class Identity:
    """By what stored data is known again: number of images, digest of what is cheap to look at, absolute path or ""."""

    count: int
    digest: str
    path: str = ""


@dataclasses.dataclass(frozen=True)
class Labels:
    """What images show, where that is known. For pictures alone: no order, identity, hash or loss knows of it.

    Attributes:
      names: of the classes. read: function of (split, count) to the int64 indices of the classes of the split's first
        `count` images in stored order, as `Source.examples`; below 0 where an image has none.
    """

    names: tuple[str, ...]
    read: Callable[[str, int], np.ndarray]


class Reader(Protocol):
    """The images of one split, in whatever storage. All images are `[H, W, C]` in the source's dtype."""

    count: int
    corrupt: Mapping[str, str]  # unreadable files met so far: name to reason

    def shuffled(
        self, batch_size: int, *, seed: int, start_step: int, rows: np.ndarray | None = None
    ) -> tf.data.Dataset:
        """Infinite `tf.data.Dataset` of `[batch_size, H, W, C]`; batch k depends on (seed, k) alone.

        With `rows`, rising int64 `[R]` below `batch_size`, of these rows of each: no others are decoded.
        """

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        """Finite `tf.data.Dataset` of `[<= batch_size, H, W, C]`, in stored order."""

    def sample(self, limit: int) -> tuple[list[str], np.ndarray]:
        """(names, array `[<= limit, H, W, C]`) of a fixed choice of the images, for the data report."""

    def chosen(self, limit: int, batch_size: int) -> Iterator[np.ndarray]:
        """The images of `sample` in batches `[<= batch_size, H, W, C]`, of which one is held at a time."""


@dataclasses.dataclass(frozen=True)
class Source:
    """Images of one shape, which nothing is trained on but themselves.

    Attributes:
      name: as the user wrote it, such as `tfds:mnist`.
      image_shape: (H, W, C). dtype: np.uint8 or np.float32.
      value_range: (low, high) of the stored values: (0., 255.) for uint8, as declared for float32.
      readers: the splits, "train" and "test". identity: by what the data is known again.
      notes: lines on what lies there and is not used, or not as it is. remarks: what was made of files read so far.
      held_out: whether what is not trained on is the test split; with --train_on=all it is trained on too.
      labels: of the images, None where none are known.
    """

    name: str
    image_shape: tuple[int, int, int]
    dtype: type
    value_range: tuple[float, float]
    readers: dict[str, Reader]
    identity: Identity | None = None
    notes: tuple[str, ...] = ()
    remarks: pictures.Remarks | None = None
    held_out: bool = True
    labels: Labels | None = None

    @property
    def counts(self) -> dict[str, int]:
        """Number of images in each split."""
        return {split: reader.count for split, reader in self.readers.items()}

    def told(self) -> list[str]:
        """Lines on what is not used, or was not taken as it is stored; "warning:" before what may spoil the images."""
        return [*self.notes, *(self.remarks.lines() if self.remarks else [])]

    def notices(self) -> list[str]:
        """`told`, after the line on files that could not be read so far, where there are any."""
        return [line for line in (self.unreadable(), *self.told()) if line]

    def unreadable(self, told: Container[str] = ()) -> str:
        """A line on the files that could not be read so far, less those `told` of before; "" where there is none."""
        met = {
            name: why for reader in self.readers.values() for name, why in reader.corrupt.items() if name not in told
        }
        if not met:
            return ""
        named = "; ".join(f"{pictures.shown(name)}: {why}" for name, why in sorted(met.items())[: pictures.NAMED])
        more = f"; and {len(met) - pictures.NAMED} more" if len(met) > pictures.NAMED else ""
        others = "other " if told else ""
        return f"warning: {len(met)} {others}files cannot be read, the next good ones stand in for them: {named}{more}"

    def batches(
        self,
        split: str,
        batch_size: int,
        *,
        seed: int,
        start_step: int = 0,
        value_range: tuple[float, float],
        rows: np.ndarray | None = None,
    ) -> tf.data.Dataset:
        """The training stream: infinite float32 `[batch_size, H, W, C]` in `value_range`.

        Batch number k depends on (seed, k) alone, so that a stream from `start_step` is the tail of the one
        from 0. Every epoch visits each image once; batches run across the borders of epochs. With `rows`, rising int64
        `[R]` below `batch_size`, each is those rows alone, `[R, H, W, C]`.

        Raises:
          InputError: no such split, or sizes that cannot be.
        """
        reader = self._reader(split, batch_size)
        stream = reader.shuffled(batch_size, seed=seed, start_step=start_step, rows=rows)
        return _finish(stream.map(lambda images: ranges.rescale(images, self.value_range, value_range)))

    def ordered(self, split: str, batch_size: int) -> tf.data.Dataset:
        """Each image once, in stored order: finite, `[<= batch_size, H, W, C]` in the source's own dtype."""
        return _finish(self._reader(split, batch_size).ordered(batch_size))

    def examples(self, split: str, count: int) -> np.ndarray:
        """The first `count` images in stored order (all, if there are fewer): array `[count, H, W, C]`."""
        parts = self.ordered(split, min(max(count, 1), 256)).take(-(-count // 256)).as_numpy_iterator()
        empty = np.zeros((0, *self.image_shape), self.dtype)
        return np.concatenate([empty, *parts])[:count]

    def _reader(self, split, batch_size):
        checks.require_member(f"Split of {self.name}", split, self.readers)
        if batch_size < 1:
            checks.refuse("Batch size", expected=">= 1", received=batch_size, remedy="ask for at least one image")
        return self.readers[split]


def _finish(dataset):
    options = tf.data.Options()
    options.deterministic = True
    return dataset.with_options(options).prefetch(tf.data.AUTOTUNE)
