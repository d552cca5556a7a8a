"""The weights of a packed run: one file, weights.npz, in the place of checkpoints, optimisers and averages.

It has an array for each variable of the model, under the name that checkpoints have for it. Kernels may be there in
fewer bits: as bfloat16, whose bits are held as uint16, or as int8, with an array NAME/scale beside it.
"""

import os

import numpy as np
import tensorflow as tf

from pga_tf.core import array_files, checks, files
from pga_tf.methods.method import Method
from pga_tf.networks import stored
from pga_tf.settings.export import KINDS

REMEDY = "put the file back from a copy, or pack the run again"


def _variables(model):
    """All that the model itself consists of, by name: its step, weights and statistics."""
    return {name: v for name, v in model.state_between_steps().items() if name.startswith("model/")}


def write(path: str | os.PathLike, model: Method, optimize: str = KINDS[0]) -> None:
    """Writes the weights that `model` has at its step; `optimize`, of `KINDS`: how its kernels are stored."""
    variables, arrays = _variables(model), {}
    kept = None if optimize == KINDS[0] else stored.Stored(variables.values(), optimize, (model,))
    for name, variable in variables.items():
        values, *scale = kept.parts(variable) if kept and kept.replaces(variable) else [variable]
        arrays[name] = np.asarray(tf.bitcast(values, tf.uint16) if values.dtype == tf.bfloat16 else values)
        arrays |= {f"{name}/scale": np.asarray(one) for one in scale}
    with files.replacing(path) as file:
        np.savez_compressed(file, **arrays)


def read(path: str | os.PathLike, model: Method) -> int:
    """Gives `model` the weights of a file of `write`, all or none, and returns their step.

    Raises `InputError` for a file that is not whole, or of other networks.
    """
    variables = _variables(model)
    try:
        arrays = array_files.read(path, [*variables, *(f"{name}/scale" for name in variables)])
        values = {name: _restored(arrays[name], arrays.get(f"{name}/scale")) for name in variables}
        for name, variable in variables.items():
            if values[name].shape != tuple(variable.shape):
                raise ValueError(f"{name} of shape {list(values[name].shape)}, not {list(variable.shape)}")
            if not np.isfinite(values[name]).all():
                raise ValueError(f"{name} with values that are no finite numbers")
    except (checks.InputError, MemoryError):
        raise
    except Exception as error:  # what NumPy and zipfile raise for damaged bytes has no end
        received = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        checks.refuse(
            str(path), expected="the weights of the networks of its config.flags", received=received, remedy=REMEDY
        )
    for name, variable in variables.items():
        variable.assign(values[name])
    return int(np.asarray(model.step))


def _restored(values, scale):
    if values.dtype == np.uint16:
        return stored.restored([tf.bitcast(values, tf.bfloat16)]).numpy()
    return values if scale is None else stored.restored([values, scale]).numpy()
