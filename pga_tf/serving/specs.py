"""What a signature takes and gives, as its server describes it, and arrays checked against that."""

import dataclasses
import math

import numpy as np

from pga_tf.core import checks, grids
from pga_tf.serving import protocol


@dataclasses.dataclass(frozen=True)
class Tensor:
    """`dtype`: NumPy's, object for strings. `shape`: None stands for any size."""

    dtype: np.dtype
    shape: tuple

    def __str__(self):
        name = "string" if self.dtype == object else self.dtype.name
        return f"{name} [{', '.join('B' if size is None else str(size) for size in self.shape)}]"


@dataclasses.dataclass(frozen=True)
class Signature:
    inputs: dict  # name to Tensor
    outputs: dict


def tensors(infos):
    """dict of name to `Tensor`, in the order of names, of a map of `TensorInfo`."""
    return {
        name: Tensor(
            protocol.dtype(info.dtype),
            tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim),
        )
        for name, info in sorted(infos.items())
    }


def row_bytes(tensors):
    """Bytes that one row of all `tensors` takes, strings aside."""
    return sum(math.prod(size or 1 for size in spec.shape[1:]) * spec.dtype.itemsize for spec in tensors.values())


def matched(name, signature, inputs):
    """`inputs` as arrays of the signature's dtypes. Raises `InputError` for anything that it does not take."""
    if inputs.keys() != signature.inputs.keys():
        checks.refuse(
            f"Signature {name}",
            expected=f"inputs {', '.join(sorted(signature.inputs))}",
            received=", ".join(sorted(inputs)) or "none",
            remedy="pass exactly those",
        )
    arrays = {key: _cast(key, inputs[key], spec) for key, spec in signature.inputs.items()}
    lengths = {key: len(array) for key, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        checks.refuse(
            f"Inputs of signature {name}", expected="one length", received=str(lengths), remedy="pair them up"
        )
    return arrays


def _cast(name, value, spec):
    array = np.asarray(value)
    fits = array.ndim == len(spec.shape) and all(w in (None, s) for s, w in zip(array.shape, spec.shape, strict=True))
    if not fits:
        checks.refuse(
            f"Input {name}",
            expected=f"{spec}, B being any number",
            received=f"{array.dtype.name} {list(array.shape)}",
            remedy="crop, resize or reshape it to what the model was trained on; the client does not",
        )
    kinds = "iub" if spec.dtype.kind in "iu" else "iubf"
    if spec.dtype != object and array.size and array.dtype.kind not in kinds:
        checks.refuse(f"Input {name}", expected=str(spec), received=f"{array.dtype.name} values", remedy="convert them")
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which the next line refuses
        array = array.astype(spec.dtype)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        checks.refuse(f"Input {name}", expected="finite values", received="NaN or infinity", remedy="leave them out")
    return array


def require_answer(what, signature, inputs, outputs, start):
    """Raises `InputError` unless `outputs` are what `signature` says, a row for each of `inputs`, and finite.

    `start`: what the first row is counted as.
    """
    rows = len(next(iter(inputs.values())))
    for name, spec in signature.outputs.items():
        array, wanted = outputs[name], (rows, *spec.shape[1:])
        fits = len(array.shape) == len(wanted) and all(w in (None, s) for s, w in zip(array.shape, wanted, strict=True))
        if not fits or (array.dtype == object) != (spec.dtype == object):
            checks.refuse(
                f"{what}: output {name}",
                expected=f"{spec}, B being {rows}",
                received=f"{array.dtype.name} {list(array.shape)}",
                remedy="look into the server's log; what answers may be no export of this package",
            )
        with np.errstate(over="ignore"):
            finite = spec.dtype.kind != "f" or np.isfinite(array.astype(spec.dtype))
        if not np.all(finite):
            row = int(np.argwhere(~finite)[0][0])
            checks.refuse(
                f"{what}: output {name}",
                expected="finite numbers",
                received=f"NaN or infinity, first in row {start + row}",
                remedy="leave that input out if it is an extreme one; if not, the model is damaged: export it again",
            )


def unit(name, values):
    """`values`, if they are in [0, 1], or are points in the plane, which may lie anywhere. Raises `InputError`."""
    array = np.asarray(values)
    points = grids.is_points(array.shape[1:])
    if array.size and array.dtype.kind in "iuf" and not points and not (array.min() >= 0 and array.max() <= 1):
        checks.refuse(
            f"Input {name}",
            expected="values in [0, 1]",
            received=f"values in [{array.min():g}, {array.max():g}]",
            remedy="divide 8-bit pixels by 255",
        )
    return array
