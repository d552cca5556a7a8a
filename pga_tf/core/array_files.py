"""Arrays in .npy and .npz files, whose headers are held against the file and against memory, not believed."""

import contextlib
import math
import os
import struct
import zipfile
from collections.abc import Sequence

import numpy as np

from pga_tf.core import memory

TOLERANCE = 1e-3  # by so much single precision, or a resize, may leave [0, 1] and [-1, 1]
HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
# NumPy parses headers as Python. Until 3.11.8 and 3.12.1 that fails now and then while another thread parses too
# ("recursion depth mismatch", python/cpython#106905), whatever the file holds.
ATTEMPTS = 5
SIGNATURE_TO_LENGTHS, LENGTHS = 26, "<HH"  # of a ZIP member's own header: name and extra field, which end it


def read(path: str | os.PathLike, names: Sequence[str], *, map_beyond: float = math.inf) -> dict[str, np.ndarray]:
    """The arrays of an .npz file that are called one of `names`; of an .npy file its array, by the first of `names`.

    Those of more than `map_beyond` bytes that lie in the file as they are (.npy, or .npz that is not compressed) are
    mapped. It raises ValueError without the first name in an .npz, `InputError` for an array larger than memory, and
    for damaged files, which NumPy and zipfile answer with errors of many types, any of these.
    """
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(SystemError):
            return _read(path, names, map_beyond)
    return _read(path, names, map_beyond)


def _read(path, names, map_beyond):
    loaded = np.load(path, mmap_mode="r", allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        if loaded.nbytes <= map_beyond:
            _require_memory(path, loaded.nbytes)
            loaded = np.array(loaded)
        return {names[0]: loaded}
    with loaded:
        if names[0] not in loaded.files:
            raise ValueError(f"arrays {', '.join(loaded.files) or 'none'}, and none called {names[0]}")
        return {name: _member(path, loaded, name, map_beyond) for name in names if name in loaded.files}


def header(path: str | os.PathLike, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """(shape, dtype) of the array `name` of an .npz file, held against the bytes that are there; raises as `read`."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(SystemError):
            return _header(path, name)
    return _header(path, name)


def _header(path, name):
    with zipfile.ZipFile(path) as archive:
        return _described(archive, name)[:2]


def is_compressed(path: str | os.PathLike, name: str) -> bool:
    """Whether the array `name` of an .npz file does not lie in it as it is; raises as `read`."""
    with zipfile.ZipFile(path) as archive:
        return archive.getinfo(f"{name}.npy").compress_type != zipfile.ZIP_STORED


def _described(archive, name):
    """(shape, dtype, whether in Fortran's order, bytes of the header) of an array of a `ZipFile`."""
    member = archive.getinfo(f"{name}.npy")
    with archive.open(member) as file:
        read_header = HEADERS.get(np.lib.format.read_magic(file))
        shape, fortran, dtype = read_header(file) if read_header else ((), False, np.dtype(object))
        start = file.tell()
    size, held = math.prod(shape) * dtype.itemsize, member.file_size - start
    if not dtype.hasobject and size != held:
        raise ValueError(f"array {name} of {size:,} bytes by its header, and {held:,} in the file")
    return shape, dtype, fortran, start


def _member(path, archive, name, map_beyond):
    member = archive.zip.getinfo(f"{name}.npy")
    shape, dtype, fortran, start = _described(archive.zip, name)
    if dtype.hasobject:
        return archive[name]  # NumPy's own words on what it does not read
    size = math.prod(shape) * dtype.itemsize
    if member.compress_type != zipfile.ZIP_STORED or size <= map_beyond:
        _require_memory(path, size)
        return archive[name]
    with open(path, "rb") as file:
        file.seek(member.header_offset + SIGNATURE_TO_LENGTHS)
        lengths = struct.unpack(LENGTHS, file.read(struct.calcsize(LENGTHS)))
        start += file.tell() + sum(lengths)
    return np.memmap(path, dtype, "r", start, shape, "F" if fortran else "C")


def _require_memory(path, size):
    remedy = "write it in parts, or for training with np.save or np.savez, from which it is not read as a whole"
    memory.require(str(path), size, remedy=remedy)
