"""Tensors as clients send them, checked against a signature before anything is allocated for them."""

import base64
import math

import numpy as np
import tensorflow as tf

from pga_tf.serving.local import errors

MAX_ELEMENTS = 2**26  # of one tensor: a few bytes can declare a shape that no machine can hold


def from_proto(name, proto, info, max_batch):
    """The array that `proto` (`TensorProto`) holds, if it is what `info` (`TensorInfo`) asks for."""
    _require_dtype(name, proto.dtype, info)
    if proto.tensor_shape.unknown_rank or any(dim.size < 0 for dim in proto.tensor_shape.dim):
        raise errors.invalid(f'Input "{name}" has no definite shape.')
    shape = [dim.size for dim in proto.tensor_shape.dim]
    _require_shape(name, shape, info, max_batch)
    try:
        return tf.make_ndarray(proto)
    except (ValueError, TypeError) as error:
        raise errors.invalid(f'Input "{name}": its values do not fill its shape {shape}: {error}') from error


def from_json(name, value, info, max_batch):
    """The array that nested JSON lists hold, in the dtype that `info` asks for; binary is {"b64": ...}.

    Numbers beyond the dtype's range are refused: JSON has no infinity, so nobody asked for one.
    """
    dtype = tf.dtypes.as_dtype(info.dtype)
    try:
        array = _strings(value) if dtype == tf.string else _numbers(value, dtype.as_numpy_dtype)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise errors.invalid(f'Input "{name}" is no tensor of {dtype.name}: {error}') from error
    _require_shape(name, list(array.shape), info, max_batch)
    return array


def to_json(name, array):
    """Nested lists of `array`. Bytes are for outputs that end in _bytes, as TensorFlow Serving has it."""
    if array.dtype.kind in "fiub":
        return array.tolist()
    if array.dtype != object:  # bfloat16 and its kin, which NumPy does not know
        return array.astype(np.float32).tolist()
    if name.endswith("_bytes"):
        encode = lambda value: {"b64": base64.b64encode(value).decode()}
    else:
        encode = lambda value: value.decode()
    try:
        flat = [encode(value) for value in array.ravel().tolist()]
    except UnicodeDecodeError as error:
        text = f'Output "{name}" is binary, which JSON carries only if its name ends in "_bytes". Use gRPC.'
        raise errors.invalid(text) from error
    for size in reversed(array.shape[1:]):
        flat = [flat[i : i + size] for i in range(0, len(flat), size)]
    return flat if array.ndim else flat[0]


def _numbers(value, dtype):
    # As objects first: beside one long string NumPy would make each number a string of that length.
    held = set(map(type, np.array(value, object).ravel().tolist()))
    if list in held:
        raise ValueError("expected lists of equal length, at most 64 deep")
    if not held <= {int, float, bool}:
        raise ValueError("expected numbers")
    array = np.asarray(value)
    if array.size and np.issubdtype(dtype, np.integer):
        if held != {int}:
            raise ValueError("expected whole numbers")
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise ValueError(f"expected numbers in [{limits.min}, {limits.max}]")
    with np.errstate(over="ignore"):
        array = array.astype(dtype)
    if not np.isfinite(array).all():
        raise ValueError(f"expected numbers that {np.dtype(dtype).name} can hold")
    return array


def _strings(value):
    if isinstance(value, list):
        parts = [_strings(part) for part in value]
        if len({part.shape for part in parts}) > 1:
            raise ValueError("expected lists of equal length")
        array = np.empty([len(parts), *(parts[0].shape if parts else ())], object)
        for i, part in enumerate(parts):
            array[i] = part if part.ndim else part.item()
        return array
    if isinstance(value, dict) and value.keys() == {"b64"} and isinstance(value["b64"], str):
        return np.array(base64.b64decode(value["b64"], validate=True), object)
    if isinstance(value, str):
        return np.array(value.encode(), object)
    raise ValueError('expected strings or {"b64": ...}')


def _require_dtype(name, dtype, info):
    if dtype != info.dtype:
        wanted = tf.dtypes.as_dtype(info.dtype).name
        try:
            received = tf.dtypes.as_dtype(dtype).name
        except TypeError:
            received = f"type number {dtype}"
        raise errors.invalid(f'Input "{name}": expects {wanted} but {received} is provided.')


def _require_shape(name, shape, info, max_batch):
    wanted = [dim.size for dim in info.tensor_shape.dim]
    if len(shape) != len(wanted) or any(w not in (-1, size) for size, w in zip(shape, wanted, strict=True)):
        raise errors.invalid(f'Input "{name}": expects shape {wanted} (-1: any size) but {shape} is provided.')
    if shape and wanted[0] == -1 and shape[0] > max_batch:
        raise errors.invalid(f"Task size {shape[0]} is larger than maximum input batch size {max_batch}")
    if math.prod(shape) > MAX_ELEMENTS:
        raise errors.invalid(f'Input "{name}" of shape {shape} has more than {MAX_ELEMENTS} elements.')
