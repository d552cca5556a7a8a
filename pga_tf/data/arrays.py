"""A `Source` from one array and its splits: what digits, fake, toy2d and npz share."""

import functools
from collections.abc import Mapping

import numpy as np

from pga_tf.core import checks, ranges
from pga_tf.data import memory
from pga_tf.data.options import DataOptions
from pga_tf.data.prepare import prepare_array, prepared_shape
from pga_tf.data.source import Source


def from_arrays(
    name: str,
    images: np.ndarray,
    splits: Mapping[str, np.ndarray | slice],
    options: DataOptions,
    *,
    value_range: tuple[float, float] = ranges.UINT8,
) -> Source:
    """A `Source` of `images` `[N, H, W, C]`, prepared by `options`.

    Args:
      name: the dataset, as the user wrote it.
      images: uint8, or float32 in `value_range`; a `np.memmap` is left on disk if it needs no preparing.
      splits: {split: the indices `[M]` or slice of its images}.
    """
    shape = prepared_shape(images.shape[1:], options, name=name)
    images = prepare_array(images, shape, options, value_range=value_range)
    readers = {}
    for split, chosen in splits.items():
        members = np.arange(len(images))[chosen]
        if isinstance(images, np.memmap):
            readers[split] = memory.RandomAccess(len(members), functools.partial(memory.mapped, images, members))
        else:
            readers[split] = memory.RandomAccess(len(members), functools.partial(memory.held, images[chosen]))
    return Source(name, shape, images.dtype.type, value_range, readers)


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
