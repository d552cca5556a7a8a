"""`npz:FILE`: the user's own array, `images` in an .npz or the whole of an .npy."""

import os
import struct
import zipfile

import numpy as np

from pga_tf.core import checks, ranges
from pga_tf.data import memory
from pga_tf.data.arrays import from_arrays, held_out
from pga_tf.data.options import DataOptions
from pga_tf.data.source import Source

CHUNK = 4096  # images looked at together, so that a mapped file is never all in memory


def load(name: str, argument: str, options: DataOptions) -> Source:
    """Images `[N, H, W, C]` or `[N, H, W]`, C 1 or 3: uint8, or float in [0, 1] or [-1, 1], kept as float32.

    A second array `test`, bool `[N]`, in an .npz says which images are held out; without it `options` decide.
    Beyond `memory.LIMIT_BYTES` an array of uint8 or float32 stays on disk, mapped: an .npy, or in an .npz that is not
    compressed (np.savez, not np.savez_compressed).

    Raises:
      InputError: a missing or unreadable file, another rank, channels or dtype, NaN, or values out of range.
    """
    images, test = _read(name, argument)
    if images.ndim == 3:
        images = images[..., None]
    _require_images(name, images)
    value_range = ranges.UINT8 if images.dtype == np.uint8 else _float_range(name, images)
    if images.dtype not in (np.uint8, np.float32):
        images = np.asarray(images, np.float32)
    if not isinstance(images, np.memmap) or images.nbytes <= memory.LIMIT_BYTES:
        images = np.asarray(images)
    if test is None:
        train, test = held_out(len(images), options, name=name)
    else:
        _require_test(name, test, len(images))
        train, test = np.flatnonzero(~test), np.flatnonzero(test)
    return from_arrays(name, images, {"train": train, "test": test}, options, value_range=value_range)


def _read(name, path):
    """(images, which of them are held out or None)."""
    if not os.path.isfile(path):
        _refuse_file(name, expected="a file", received=f"no file {path}")
    try:
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded, None
        with loaded:
            if "images" not in loaded.files:
                held = ", ".join(loaded.files) or "none"
                _refuse_file(name, expected="an array called images", received=f"arrays {held}")
            return _member(path, loaded, "images"), loaded["test"] if "test" in loaded.files else None
    except checks.InputError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        return _refuse_file(name, expected="an .npz or .npy file of numbers", received=str(error))


HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
SIGNATURE_TO_LENGTHS, LENGTHS = 26, "<HH"  # of a ZIP member's own header: name and extra field, which end it


def of_array(images: np.ndarray, name: str = "images") -> Source:
    """A `Source` with one split, "all", of an array from anywhere.

    Args:
      images: `[N, H, W]` or `[N, H, W, 1 or 3]`, uint8, or float in [0, 1] or [-1, 1]. name: what errors call it.

    Raises `InputError` for another array.
    """
    images = np.asarray(images)
    images = images[..., None] if images.ndim == 3 else images
    _require_images(name, images)
    value_range = ranges.UINT8 if images.dtype == np.uint8 else _float_range(name, images)
    images = images if images.dtype == np.uint8 else images.astype(np.float32)
    return from_arrays(name, images, {"all": slice(None)}, DataOptions(), value_range=value_range)


def _member(path, archive, name):
    """An array of an .npz, mapped if it is large and lies there as it is."""
    member = archive.zip.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED or member.file_size <= memory.LIMIT_BYTES:
        return archive[name]
    with archive.zip.open(member) as file:
        read_header = HEADERS.get(np.lib.format.read_magic(file))
        shape, fortran, dtype = read_header(file) if read_header else ((), False, np.dtype(object))
        start = file.tell()
    if dtype.hasobject:
        return archive[name]  # NumPy's own words on what it does not read
    with open(path, "rb") as file:
        file.seek(member.header_offset + SIGNATURE_TO_LENGTHS)
        lengths = struct.unpack(LENGTHS, file.read(struct.calcsize(LENGTHS)))
        start += file.tell() + sum(lengths)
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def _refuse_file(name, *, expected, received):
    remedy = "correct the path, or write the file with np.savez(FILE, images=images)"
    checks.refuse(f"--dataset={name}", expected=expected, received=received, remedy=remedy)


def _require_test(name, test, count):
    if test.dtype != bool or test.shape != (count,) or test.all() or not test.any():
        checks.refuse(
            f"Array test of {name}",
            expected=f"bool [{count}] with images on either side",
            received=f"{test.dtype} {list(test.shape)}, {int(np.sum(test != 0))} of them true",
            remedy="leave it out to have images held out by --test_fraction",
        )


def _require_images(name, images):
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
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        checks.refuse(
            what,
            expected="uint8 in [0, 255], or float in [0, 1] or [-1, 1]",
            received=f"dtype {images.dtype}",
            remedy="convert it, for instance with images.astype(np.uint8) if its values are 0 to 255",
        )


def _float_range(name, images):
    low, high = np.inf, -np.inf
    for start in range(0, len(images), CHUNK):
        part = images[start : start + CHUNK]
        finite = np.isfinite(part).all(axis=(1, 2, 3))
        if not finite.all():
            checks.refuse(
                f"Array images of {name}",
                expected="finite values",
                received=f"NaN or infinity, first in image {start + int(np.argmin(finite))}",
                remedy="leave such images out",
            )
        low, high = min(low, float(part.min())), max(high, float(part.max()))
    if low < -1 or high > 1:
        checks.refuse(
            f"Array images of {name}",
            expected="float values in [0, 1] or [-1, 1]",
            received=f"values in [{low:g}, {high:g}]",
            remedy="scale them, or store uint8 in [0, 255]",
        )
    return (0.0, 1.0) if low >= 0 else (-1.0, 1.0)
