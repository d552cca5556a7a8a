"""A `Source` from one array and its splits: what digits, fake, toy2d and npz share."""

import functools
import hashlib
import math
from collections.abc import Mapping, Sequence

import numpy as np

from pga_tf.core import checks, memory, ranges
from pga_tf.data import random_access
from pga_tf.data.prepare import prepare_array, prepared_shape
from pga_tf.data.source import Identity, Source
from pga_tf.settings.data import ALL, DataOptions


def from_arrays(
    name: str,
    images: np.ndarray | random_access.Parts,
    splits: Mapping[str, np.ndarray | slice],
    options: DataOptions,
    *,
    value_range: tuple[float, float] = ranges.UINT8,
    identity: Identity | None = None,
    notes: Sequence[str] = (),
) -> Source:
    """A `Source` of `images` `[N, H, W, C]`, prepared by `options`.

    Args:
      name: the dataset, as the user wrote it.
      images: uint8 for the range of bytes, else any numbers, which become float32 clipped to `value_range`; a
        `np.memmap`, or `Parts`, is left on disk if it needs no preparing, and converted batch by batch.
      splits: {split: the indices `[M]` or slice of its images}.
      identity: by what the data is known again. notes: of the `Source`.
    """
    shape = prepared_shape(images.shape[1:], options, name=name)
    as_bytes = images.dtype == np.uint8 and value_range == ranges.UINT8
    convert = np.asarray if as_bytes else functools.partial(_within, value_range=value_range)
    on_disk = np.memmap | random_access.Parts
    if not isinstance(images, on_disk) or images.shape[1:] != shape:
        most = (1 if as_bytes else 4) * (math.prod(images.shape) + len(images) * math.prod(shape))
        remedy = "take fewer or smaller images, or prepare them in an .npy, which is not read as a whole"
        memory.require(f"--dataset={name}", most, remedy=remedy)
        images = prepare_array(convert(images[:]), shape, options, value_range=value_range)
        convert = np.asarray
    if options.train_on == ALL:
        splits = {**splits, "train": slice(None)}
    readers = {}
    for split, chosen in splits.items():
        members = np.arange(len(images))[chosen]
        if isinstance(images, on_disk):
            opened = functools.partial(random_access.mapped, images, members, convert)
        else:
            opened = functools.partial(random_access.held, images[chosen])
        readers[split] = random_access.RandomAccess(len(members), opened)
    dtype = np.uint8 if as_bytes else np.float32
    return Source(name, shape, dtype, value_range, readers, identity, tuple(notes))


def of_values(images: np.ndarray) -> Identity:
    """The `Identity` of an array in memory."""
    return Identity(len(images), hashlib.sha256(np.ascontiguousarray(images)).hexdigest()[:16])


def _within(values, *, value_range):
    return np.clip(np.asarray(values, np.float32), *map(np.float32, value_range))


def held_out(count: int, options: DataOptions, *, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Splits `count` stored images at random but always alike: sorted indices of (train, test).

    Raises:
      InputError: too few images for two splits.
    """
    if count < 2:
        checks.refuse(
            name,
            expected="at least 2 images, one to train and one to test on",
            received=count,
            remedy="add images",
        )
    held = min(max(round(count * options.test_fraction), 1), count - 1)
    shuffled = np.random.default_rng(0).permutation(count)
    return np.sort(shuffled[held:]), np.sort(shuffled[:held])
