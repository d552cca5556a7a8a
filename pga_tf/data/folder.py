"""`folder:PATH`: the user's own photographs of any size and mode, decoded in parallel while training runs."""

import concurrent.futures
import hashlib
import os
from collections.abc import Iterator, MutableMapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from pga_tf.core import checks, photo, pictures, ranges
from pga_tf.core.pictures import NAMED
from pga_tf.data import order
from pga_tf.data.prepare import CHANNELS
from pga_tf.data.source import Identity, Source, digest
from pga_tf.settings.data import ALL, DataOptions, require_path

LOOKED_AT = 500  # files whose colour is looked at where --colour=auto


def load(name: str, argument: str, options: DataOptions) -> Source:
    """uint8 `[H, W, C]` in [0, 255]; the split is the folder's own, or by a hash of each file's path below `argument`.

    Raises:
      InputError: no such folder, no images in it, images of several sizes and no --image_size, fewer than two images
        that decode, or any that does not where `options.strict_data`.
    """
    found = find(name, argument)
    corrupt, remarks = {}, pictures.Remarks()
    shape = _shape(name, argument, found.names, options, corrupt)
    everything = Folder(argument, found.names, shape, options, corrupt, remarks)
    if options.strict_data:
        everything.sample(everything.count, keep=False)
        if corrupt:
            _refuse_corrupt(name, corrupt, len(found.names))
    splits = found.splits or _split(found.names, options.test_fraction, everything.decodes)
    for split in ("train", "test"):
        if not any(everything.decodes(member) for member in splits[split]):
            if corrupt.keys() >= set(found.names):
                _refuse_corrupt(name, corrupt, len(found.names))
            checks.refuse(
                f"--dataset={name}",
                expected="at least 2 images that decode, one to train and one to test on",
                received=f"{_counted(found.names, corrupt)} and none for the {split} split",
                remedy="add images",
            )
    if options.train_on == ALL:
        splits = {**splits, "train": found.names}
    readers = {split: Folder(argument, members, shape, options, corrupt, remarks) for split, members in splits.items()}
    identity = Identity(len(found.names), digest(sorted(found.sizes.items())), os.path.abspath(argument))
    return Source(name, shape, np.uint8, ranges.UINT8, readers, identity, tuple(found.lines()), remarks)


class Folder:
    """A `Reader` over image files. In place of a corrupt file stands the next good one in stored order."""

    def __init__(
        self,
        root: str,
        names: Sequence[str],
        shape: tuple[int, int, int],
        options: DataOptions,
        corrupt: MutableMapping[str, str],
        remarks: pictures.Remarks,
    ):
        """`names`: paths below `root`, sorted. `corrupt`: names to reasons, filled as bad files are met.

        `remarks`: filled with what was made of the files that are read.
        """
        self.count = len(names)
        self._root = root
        self._names = names
        self._shape = shape
        self._options = options
        self._all_corrupt = corrupt
        self._remarks = remarks

    @property
    def corrupt(self) -> dict[str, str]:
        members = set(self._names)
        return {name: reason for name, reason in dict(self._all_corrupt).items() if name in members}

    def shuffled(
        self, batch_size: int, *, seed: int, start_step: int, rows: np.ndarray | None = None
    ) -> tf.data.Dataset:
        steps = tf.data.Dataset.counter(start_step)
        indices = steps.map(lambda k: order.indices(k, batch_size=batch_size, count=self.count, seed=seed, rows=rows))
        of_each = batch_size if rows is None else len(rows)
        return self._images(indices.unbatch()).batch(of_each, drop_remainder=True)

    def ordered(self, batch_size: int) -> tf.data.Dataset:
        return self._images(tf.data.Dataset.range(self.count)).batch(batch_size)

    def sample(self, limit: int, *, keep: bool = True) -> tuple[list[str], np.ndarray]:
        """Evenly spaced images, less the corrupt ones, and their names; with `keep` false no images."""
        return self._decoded(order.spread(self.count, limit), keep)

    def chosen(self, limit: int, batch_size: int) -> Iterator[np.ndarray]:
        indices = order.spread(self.count, limit)
        for start in range(0, len(indices), batch_size):
            _, images = self._decoded(indices[start : start + batch_size])
            if len(images):
                yield images

    def _decoded(self, indices, keep=True):
        def decoded(index):
            name = self._names[index]
            picture = self._picture(name, frames=True)
            if picture is not None:
                self._remarks.add(name, picture)
            return name, picture.pixels if picture and keep else None

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            found = [(name, image) for name, image in pool.map(decoded, indices) if image is not None]
        images = [image for _, image in found]
        return [name for name, _ in found], np.stack(images) if images else np.zeros((0, *self._shape), np.uint8)

    def read(self, index: int | np.integer) -> np.ndarray:
        """Image `index`, or the next one that decodes: uint8 `[H, W, C]`."""
        for offset in range(self.count):
            name = self._names[(index + offset) % self.count]
            picture = self._picture(name)
            if picture is not None:
                self._remarks.add(name, picture)
                return picture.pixels
            if self._options.strict_data:
                break
        return _refuse_corrupt(self._root, self.corrupt, self.count)

    def _images(self, indices):
        def image(index):
            pixels = tf.numpy_function(self.read, [index], tf.uint8, stateful=False)
            return tf.ensure_shape(pixels, self._shape)

        return indices.map(image, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)

    def decodes(self, name: str) -> bool:
        """Whether the file `name` is an image that decodes."""
        return self._picture(name) is not None

    def _picture(self, name, *, frames=False):
        if name in self._all_corrupt:
            return None
        try:
            path, asked = os.path.join(self._root, name), self._options
            prepared = {"crop": asked.crop, "resize": asked.resize, "value_range": asked.range()}
            return photo.read(path, self._shape, **prepared, frames=frames)
        except Exception as error:  # PIL answers damaged files with errors of many types
            _note(self._all_corrupt, name, error)
            return None


def _by(size):
    return f"{size[0]} x {size[1]}"


def _note(corrupt, name, error):
    corrupt[name] = str(error) or type(error).__name__
    # Told by the commands, and counted.
    logging.info("Corrupt image %s: %s; the next good one stands in.", pictures.shown(name), corrupt[name])


def _counted(names, corrupt):
    bad = len(corrupt.keys() & set(names))
    return f"{len(names)} image{'s' * (len(names) != 1)}" + (f", {bad} of which do not decode," if bad else "")


def _refuse_corrupt(what, corrupt, count):
    first = "; ".join(f"{pictures.shown(name)}: {reason}" for name, reason in sorted(corrupt.items())[:NAMED])
    checks.refuse(
        f"Images of {what}",
        expected="files that decode",
        received=f"{len(corrupt)} of {count} that do not ({first}{'; ...' if len(corrupt) > NAMED else ''})",
        remedy="repair or remove them",
    )


def find(name: str, root: str) -> pictures.Listing:
    """The images below `root`, at least one. Raises `InputError` where there is none, or no such folder."""
    require_path("folder", name, root)
    found = pictures.listing(root)
    if not found.names:
        checks.refuse(
            f"--dataset={name}",
            expected="images in it or below it: files whose names end in .jpg, .png, .webp, .tif and the like",
            received="; ".join(["none", *(line.removeprefix("warning: ") for line in found.lines())]),
            remedy="put images into it or name another folder",
        )
    return found


def _split(names, fraction, decodes):
    """{"train": names, "test": names}: a file is in test if the hash of its path says so, whatever others there are.

    Those with the lowest hashes are in test up to the first that decodes, and those with the highest in train.
    """
    hashes = {n: int(hashlib.sha256(n.encode("utf-8", "surrogateescape")).hexdigest()[:8], 16) for n in names}
    ranked = sorted(names, key=hashes.get)
    lowest = next((i for i, name in enumerate(ranked) if decodes(name)), 0)
    highest = next((i for i in range(len(ranked) - 1, lowest, -1) if decodes(ranked[i])), lowest + 1)
    test = {n for n in ranked[lowest:highest] if hashes[n] < fraction * 2**32} | set(ranked[: lowest + 1])
    return {"train": [n for n in names if n not in test], "test": [n for n in names if n in test]}


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
                received=f"{pictures.shown(first[0])} of {_by(first[1])} and {pictures.shown(file)} of "
                f"{_by(size)} pixels (height x width)",
                remedy="pass --image_size=64, or another side; each image is then cropped and resized",
            )
    if first is None:
        _refuse_corrupt(name, corrupt, len(looked_at))
    height, width = (side, side) if side else first[1]
    return height, width, channels or (3 if colour else 1)
