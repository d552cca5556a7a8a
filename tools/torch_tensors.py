"""Reads the tensors of a `.pth` file in torch's format before 1.6, without torch and without running what it says.

Such a file is five pickles (a magic number, the format's version, the machine's facts, the state dict, the keys of its
storages) and the storages' bytes. A pickle may name any function of any module to be called as it is read; here four
names are known, none of which is torch's own, and every other is refused.
"""

import collections
import io
import pickle
import struct

import numpy as np

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
STORAGES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}
View = collections.namedtuple("View", ("storage", "offset", "shape", "strides"))
Storage = collections.namedtuple("Storage", ("dtype", "key", "length"))


def load(content):
    """dict of name to array, of the bytes of a `.pth` that holds a state dict.

    Raises `pickle.UnpicklingError` for a file that names anything else than tensors or whose parts do not fit together.
    """
    file = io.BytesIO(content)
    magic, version, machine = (_Reader(file).load() for _ in range(3))
    if (magic, version) != (MAGIC, VERSION) or not machine["little_endian"]:
        raise pickle.UnpicklingError(f"expected torch's format {VERSION}, little endian, received {version}, {machine}")
    views, keys = _Reader(file).load(), _Reader(file).load()
    dtypes = {view.storage.key: view.storage.dtype for view in views.values()}
    stored = {key: _storage(file, dtypes[key]) for key in keys}
    return {name: _array(name, view, stored[view.storage.key]) for name, view in views.items()}


class _Reader(pickle.Unpickler):
    def find_class(self, module, name):
        if (module, name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: View(storage, offset, shape, strides)
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"expected a file of tensors alone, received one that names {module}.{name}")

    def persistent_load(self, pid):
        kind, dtype, key, _, length, part = pid
        if kind != "storage" or part is not None or dtype not in STORAGES.values():
            raise pickle.UnpicklingError(f"expected whole storages, received {pid}")
        return Storage(dtype, key, length)


def _storage(file, dtype):
    header = file.read(8)
    (length,) = struct.unpack("<q", header) if len(header) == 8 else (-1,)
    content = file.read(length * dtype.itemsize) if length >= 0 else b""
    if length < 0 or len(content) != length * dtype.itemsize:
        raise pickle.UnpicklingError("expected as many bytes as the file announces, received a file that is cut short")
    return np.frombuffer(content, dtype)


def _array(name, view, stored):
    steps = [(size - 1) * stride for size, stride in zip(view.shape, view.strides, strict=True)]
    if min([view.offset, *view.shape, *view.strides]) < 0 or view.offset + sum(steps) >= len(stored):
        raise pickle.UnpicklingError(f"{name}: expected a part of {len(stored)} numbers, received {view}")
    strides = [stride * stored.itemsize for stride in view.strides]
    return np.lib.stride_tricks.as_strided(stored[view.offset :], view.shape, strides).copy()
