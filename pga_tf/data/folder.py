"""`folder:PATH`: the user's own photographs of any size and mode, decoded in parallel while training runs."""

import concurrent.futures
import hashlib
import os
from collections.abc import MutableMapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from pga_tf.core import checks, photo, ranges
from pga_tf.data import order
from pga_tf.data.options import DataOptions
from pga_tf.data.prepare import CHANNELS
from pga_tf.data.source import Source

LOOKED_AT = 500  # files whose colour is looked at where --colour=auto


def load(name: str, argument: str, options: DataOptions) -> Source:
    """uint8 `[H, W, C]` in [0, 255]; the split is by a hash of each file's path below `argument`.

    Raises:
      InputError: no such folder, no images in it, images of several sizes and no --image_size, no image that
        decodes, or any that does not where `options.strict_data`.
    """
    names = find(name, argument)
    train, test = _split(names, options.test_fraction)
    corrupt = {}
    shape = _shape(name, argument, names, options, corrupt)
    readers = {}
    for split, members in (("train", train), ("test", test)):
        if not members:
            checks.refuse(
                f"--dataset={name}",
                expected="at least 2 images, one to train and one to test on",
                received=f"{len(names)} image and none for the {split} split",
                remedy="add images",
            )
        readers[split] = Folder(argument, members, shape, options, corrupt)
    if options.strict_data:
        for reader in readers.values():
            reader.sample(reader.count, keep=False)
        if corrupt:
            _refuse_corrupt(name, corrupt, len(names))
    for reader in readers.values():
        reader.read(0)
    return Source(name, shape, np.uint8, ranges.UINT8, readers)


class Folder:
    """A `Reader` over image files. In place of a corrupt file stands the next good one in stored order."""

    def __init__(
        self,
        root: str,
        names: Sequence[str],
        shape: tuple[int, int, int],
        options: DataOptions,
        corrupt: MutableMapping[str, str],
    ):
        """`names`: paths below `root`, sorted. `corrupt`: names to reasons, filled as bad files are met."""
        self.count = len(names)
        self._root = root
        self._names = names
        self._shape = shape
        self._options = options
        self._all_corrupt = corrupt

    @property
    def corrupt(self) -> dict[str, str]:
        members = set(self._names)
        return {name: reason for name, reason in dict(self._all_corrupt).items() if name in members}

    def shuffled(self, batch_size: int, *, seed: int, start_step: int) -> tf.data.Dataset:
        steps = tf.data.Dataset.counter(start_step)
        indices = steps.map(lambda k: order.indices(k, batch_size=batch_size, count=self.count, seed=seed))
        return self._images(indices.unbatch()).batch(batch_size, drop_remainder=True)

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        return self._images(tf.data.Dataset.range(self.count)).batch(batch_size)

    def sample(self, limit: int, *, keep: bool = True) -> np.ndarray:
        """Evenly spaced images, less the corrupt ones; with `keep` false they are decoded and dropped."""

        def decoded(index):
            image = self._decode(self._names[index])
            return image if keep else None

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            images = [image for image in pool.map(decoded, order.spread(self.count, limit)) if image is not None]
        return np.stack(images) if images else np.zeros((0, *self._shape), np.uint8)

    def read(self, index: int | np.integer) -> np.ndarray:
        """Image `index`, or the next one that decodes: uint8 `[H, W, C]`."""
        for offset in range(self.count):
            image = self._decode(self._names[(index + offset) % self.count])
            if image is not None:
                return image
            if self._options.strict_data:
                break
        return _refuse_corrupt(self._root, self.corrupt, self.count)

    def _images(self, indices):
        def image(index):
            pixels = tf.numpy_function(self.read, [index], tf.uint8, stateful=False)
            return tf.ensure_shape(pixels, self._shape)

        return indices.map(image, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def _decode(self, name):
        if name in self._all_corrupt:
            return None
        try:
            return photo.decode(os.path.join(self._root, name), self._shape, crop=self._options.crop)
        except Exception as error:  # PIL answers damaged files with errors of many types
            _note(self._all_corrupt, name, error)
            return None


def _by(size):
    return f"{size[0]} x {size[1]}"


def _note(corrupt, name, error):
    corrupt[name] = str(error) or type(error).__name__
    logging.info("Corrupt image %s: %s; the next good one stands in for it.", name, corrupt[name])  # told by commands


def _refuse_corrupt(what, corrupt, count):
    first = "; ".join(f"{name}: {reason}" for name, reason in sorted(corrupt.items())[:5])
    checks.refuse(
        f"Images of {what}",
        expected="files that decode",
        received=f"{len(corrupt)} of {count} that do not ({first}{'; ...' if len(corrupt) > 5 else ''})",
        remedy="repair or remove them",
    )


def find(name: str, root: str) -> list[str]:
    """Paths of the images below `root`, relative to it and sorted; hidden files are no images."""
    if not os.path.isdir(root):
        checks.refuse(f"--dataset={name}", expected="a folder", received=f"no folder {root}", remedy="correct the path")
    found = [
        os.path.relpath(os.path.join(folder, file), root)
        for folder, _, files in os.walk(root)
        for file in files
        if file.lower().endswith(photo.EXTENSIONS) and not file.startswith(".")
    ]
    if not found:
        checks.refuse(
            f"--dataset={name}",
            expected=f"images ({', '.join(photo.EXTENSIONS)}) in it or below it",
            received="none",
            remedy="put images into it or name another folder",
        )
    return sorted(found)


def _split(names, fraction):
    """(train, test): a file is in test if the hash of its path says so, whatever other files there are.

    The one with the lowest hash is always in test, and the one with the highest in train.
    """
    hashes = {n: int(hashlib.sha256(n.encode("utf-8", "surrogateescape")).hexdigest()[:8], 16) for n in names}
    ranked = sorted(names, key=hashes.get)
    test = {n for n in ranked[1:-1] if hashes[n] < fraction * 2**32} | set(ranked[:1])
    return [n for n in names if n not in test], [n for n in names if n in test]


def _shape(name, root, names, options, corrupt):
    """(H, W, C) from the options, and from the files' headers where the options leave something open."""
    side = options.image_size or options.crop
    channels = CHANNELS.get(options.colour)
    if side and channels:
        return side, side, channels
    # Sizes must agree in all files, and a header is cheap; colour is judged by some.
    looked_at = names if not side else [names[i] for i in order.spread(len(names), LOOKED_AT)]
    first, colour = None, False
    for file in looked_at:
        try:
            size, coloured = photo.header(os.path.join(root, file))
        except Exception as error:  # PIL answers damaged files with errors of many types
            _note(corrupt, file, error)
            continue
        colour = colour or coloured
        first = first or (file, size)
        if not side and size != first[1]:
            checks.refuse(
                f"Images of {name}",
                expected="one size, or --image_size",
                received=f"{first[0]} of {_by(first[1])} and {file} of {_by(size)} pixels (height x width)",
                remedy="pass --image_size=64, or another side; each image is then cropped and resized",
            )
    if first is None:
        _refuse_corrupt(name, corrupt, len(looked_at))
    height, width = (side, side) if side else first[1]
    return height, width, channels or (3 if colour else 1)
