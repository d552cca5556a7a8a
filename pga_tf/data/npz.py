"""`npz:FILE`: the user's own array, `images` in an .npz or the whole of an .npy; or the shards of such in a folder."""

import hashlib
import math
import os
import pathlib
import zipfile

import numpy as np

from pga_tf.core import array_files, checks, memory, photo, ranges, shards
from pga_tf.data import order, random_access
from pga_tf.data.arrays import from_arrays, held_out
from pga_tf.data.source import Identity, Source, digest
from pga_tf.settings.data import REMEDY_OF_NPZ, DataOptions, require_path

CHUNK = 4096  # images looked at together, so that a mapped file is never all in memory
MEMBERS = ("images.npy", "test.npy")
LOOKED_AT = 100  # images of an .npy by which it is known again


def load(name: str, argument: str, options: DataOptions) -> Source:
    """Images `[N, H, W, C]` or `[N, H, W]`, C 1 or 3, kept as uint8 or float32.

    uint8, or float in [0, 1] or [-1, 1], of which values a little outside are clipped; with `options.value_range` any
    real numbers, clipped to it. What is clipped is counted in the source's notes. A second array `test`, bool `[N]`, in
    an .npz says which images are held out; without it `options` decide. Beyond `random_access.LIMIT_BYTES` an array
    stays on disk, mapped: an .npy, or in an .npz that is not compressed (np.savez, not np.savez_compressed). So do
    shards in a folder, as `sample` writes them.

    Raises:
      InputError: a missing or unreadable file, another rank, channels or dtype, NaN, values out of range, or an array
        that takes more memory than there is.
    """
    images, test, identity = _read(name, argument)
    if images.ndim == 3:
        images = images[..., None]
    _require_images(name, images, options.range())
    value_range, notes = _range(name, images, options.range())
    if test is None:
        train, test = held_out(len(images), options, name=name)
    else:
        _require_test(name, test, len(images))
        train, test = np.flatnonzero(~test), np.flatnonzero(test)
    splits = {"train": train, "test": test}
    return from_arrays(name, images, splits, options, value_range=value_range, identity=identity, notes=notes)


def _read(name, path):
    """(images, which of them are held out or None, their `Identity`)."""
    require_path("npz", name, path)
    if os.path.isdir(path):
        return _read_shards(name, pathlib.Path(path))
    try:
        arrays = array_files.read(path, ("images", "test"), map_beyond=random_access.LIMIT_BYTES)
        return arrays["images"], arrays.get("test"), _identity(path, arrays["images"])
    except checks.InputError:
        raise
    except Exception as error:  # NumPy and zipfile answer damaged files with errors of many types
        return checks.refuse(
            f"--dataset={name}",
            expected="an .npz or .npy file of numbers",
            received=str(error) or type(error).__name__,
            remedy=REMEDY_OF_NPZ,
        )


def _read_shards(name, folder):
    """As `_read`, of a folder of shards that is whole."""
    card = shards.read_whole(folder, f"--dataset={name}")
    paths = [card.path(folder, shard) for shard in range(card.count)]
    shape = (card.num_samples, *card.image_shape)
    if math.prod(shape) > random_access.LIMIT_BYTES and not any(array_files.is_compressed(p, "images") for p in paths):
        images = random_access.Parts(paths, card.shard_size, shape, np.dtype(np.uint8))
    else:
        remedy = "write the shards without --compress, and they are not read as a whole"
        memory.require(str(folder), math.prod(shape), remedy=remedy)
        images = np.empty(shape, np.uint8)
        for shard, path in enumerate(paths):
            images[slice(*card.bounds(shard))] = array_files.read(path, ("images",))["images"]
    described = [entry for path in paths for entry in _checksums(path)]
    return images, None, Identity(len(images), digest(described), os.path.abspath(folder))


def _checksums(path):
    with zipfile.ZipFile(path) as archive:
        return [(m.filename, m.file_size, m.CRC) for m in archive.infolist() if m.filename in MEMBERS]


def _identity(path, images):
    """Of an .npz by its checksums; of an .npy, which has none, by shape, type and some of its images."""
    count = len(images) if images.ndim else 0
    if zipfile.is_zipfile(path):
        described = _checksums(path)
    else:
        some = np.ascontiguousarray(images[order.spread(count, LOOKED_AT)]) if count else np.zeros(0)
        described = [images.dtype.str, images.shape, hashlib.sha256(some).hexdigest()]
    return Identity(count, digest(described), os.path.abspath(path))


def of_array(images: np.ndarray, name: str = "images") -> Source:
    """A `Source` with one split, "all", of an array from anywhere.

    Args:
      images: `[N, H, W]` or `[N, H, W, 1 or 3]`, uint8, or float in [0, 1] or [-1, 1]. name: what errors call it.

    Raises `InputError` for another array.
    """
    images = np.asarray(images)
    images = images[..., None] if images.ndim == 3 else images
    _require_images(name, images, None)
    value_range, notes = _range(name, images, None)
    return from_arrays(name, images, {"all": slice(None)}, DataOptions(), value_range=value_range, notes=notes)


def _require_test(name, test, count):
    if test.dtype != bool or test.shape != (count,) or test.all() or not test.any():
        checks.refuse(
            f"Array test of {name}",
            expected=f"bool [{count}] with images on either side",
            received=f"{test.dtype} {list(test.shape)}, {int(np.sum(test != 0))} of them true",
            remedy="leave it out to have images held out by --test_fraction",
        )


def _require_images(name, images, value_range):
    what = f"Array images of {name}"
    shape = tuple(images.shape)
    if images.ndim != 4 or shape[3] not in (1, 3) or 0 in shape:
        first = len(shape) == 4 and shape[1] in (1, 3)
        checks.refuse(
            what,
            expected="shape [N, H, W], or [N, H, W, C] with 1 or 3 channels",
            received=f"shape {list(shape)}",
            remedy="np.moveaxis(images, 1, -1) puts channels last" if first else "reshape it or drop channels",
        )
    if images.dtype == np.uint8 or images.dtype.kind == "f" or (value_range and images.dtype.kind in "iub"):
        return
    if images.dtype.kind in "iub":
        low, high = (int(reduce(images)) for reduce in (np.min, np.max))
        checks.refuse(
            what,
            expected="uint8 in [0, 255], float in [0, 1] or [-1, 1], or --value_range",
            received=f"dtype {images.dtype} with values in [{low}, {high}]",
            remedy=f"pass --value_range={photo.likely_range(low, high)}, or the range that all such images share; or "
            "convert it, for instance with images.astype(np.uint8) if its values are 0 to 255",
        )
    checks.refuse(
        what, expected="real numbers", received=f"dtype {images.dtype}", remedy="convert it to uint8 or float32"
    )


def _range(name, images, asked):
    """(range of the values, notes): `asked`, or what the values say themselves."""
    if images.dtype == np.uint8 and not asked:
        return ranges.UINT8, ()
    low, high = _extremes(name, images)
    tolerance = array_files.TOLERANCE
    within = lambda least, most: least - tolerance <= low and high <= most + tolerance
    found = asked or ((0.0, 1.0) if within(0, 1) else (-1.0, 1.0))
    if not asked and not within(*found):
        checks.refuse(
            f"Array images of {name}",
            expected="float values in [0, 1] or [-1, 1], or --value_range",
            received=f"values in [{low:g}, {high:g}]",
            remedy=f"scale them, store uint8 in [0, 255], or pass --value_range={photo.likely_range(low, high)}",
        )
    if found[0] <= low and high <= found[1]:
        return found, ()
    outside = sum(int(((part < found[0]) | (part > found[1])).any((1, 2, 3)).sum()) for _, part in _parts(images))
    bounds = f"values outside [{found[0]:g}, {found[1]:g}]"
    return found, (f"warning: {bounds} were clipped in {outside} images; they reach from {low:.9g} to {high:.9g}",)


def _parts(images):
    return ((start, images[start : start + CHUNK]) for start in range(0, len(images), CHUNK))


def _extremes(name, images):
    low, high = np.inf, -np.inf
    for start, part in _parts(images):
        finite = np.isfinite(part).all(axis=(1, 2, 3))
        if not finite.all():
            checks.refuse(
                f"Array images of {name}",
                expected="finite values",
                received=f"NaN or infinity, first in image {start + int(np.argmin(finite))}",
                remedy="leave such images out",
            )
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    return low, high
