"""The gate before a version is published: what was written must give what the Python model gives.

It runs as a script in a fresh process, `python -I gate.py FOLDER EXPECTED.npz TOLERANCE`, and refuses to see Keras or
this package: TensorFlow Serving has neither. Prints one JSON line: signature to largest difference.
Import nothing but NumPy and TensorFlow here.
"""

import json
import sys

import numpy as np

BATCHES = (1, 3, 64)
ROWS = max(BATCHES)  # of every array that is expected
PNG = "png_bytes"  # what the output of pictures is called: REST encodes binary tensors under such names alone
HALF_LEVEL = 0.5 / 255.0  # what rounding to 256 levels may change a pixel in [0, 1]


class Difference(Exception):
    """The exported model gives something else."""


def check(folder, expected, tolerance):
    """Compares each signature of the SavedModel in `folder` with `expected`, in batches of `BATCHES`.

    A batch is rows of the largest one in another order, so that a row which depended on its neighbours would differ.

    Args:
      expected: dict of "signature/in/NAME" and "signature/out/NAME" to arrays of `ROWS` rows; for pictures, what they
        show, in [0, 1].
      tolerance: of the largest difference, over max(1, largest value expected).

    Returns:
      dict of signature to that ratio. Raises `Difference` for a ratio above the tolerance, or for other signatures.
    """
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)
    names = {key.split("/")[0] for key in expected}
    offered = set(loaded.signatures) - {"serving_default"}
    if offered != names or "serving_default" not in loaded.signatures:
        raise Difference(f"expected the signatures {sorted(names)} and serving_default, received {sorted(offered)}")
    found = {}
    for name in sorted(names):
        arrays = {side: _side(expected, name, side) for side in ("in", "out")}
        for batch in BATCHES:
            rows = np.random.default_rng(batch).permutation(ROWS)[:batch]
            given = {key: tf.constant(value[rows]) for key, value in arrays["in"].items()}
            returned = loaded.signatures[name](**given)
            if returned.keys() != arrays["out"].keys():
                raise Difference(f"{name}: expected outputs {sorted(arrays['out'])}, received {sorted(returned)}")
            for key, value in arrays["out"].items():
                received = _decoded(returned[key]) if returned[key].dtype == tf.string else returned[key].numpy()
                ratio = _ratio(name, key, batch, received, value[rows], HALF_LEVEL if key == PNG else 0.0)
                if not ratio <= tolerance:
                    raise Difference(
                        f"{name}: expected {key} of the Python model to {tolerance:g} for a batch of {batch}, "
                        f"received a difference of {ratio:.3g}"
                    )
                found[name] = max(found.get(name, 0.0), ratio)
    return found


def _side(expected, name, side):
    start = f"{name}/{side}/"
    return {key.removeprefix(start): value for key, value in expected.items() if key.startswith(start)}


def _decoded(pictures):
    """PNG files `[B]` as images `[B, H, W, C]` in [0, 1]."""
    import tensorflow as tf

    return np.stack([tf.io.decode_png(picture).numpy() / 255.0 for picture in pictures])


def _ratio(name, key, batch, received, value, allowed):
    """Largest difference beyond `allowed`, over max(1, largest value)."""
    if received.shape != value.shape:
        raise Difference(
            f"{name}: expected {key} of shape {value.shape} for a batch of {batch}, received {received.shape}"
        )
    difference = np.max(np.abs(received - value)) - allowed  # NaN stays NaN, and is no number within a tolerance
    return float(difference if np.isnan(difference) else max(difference, 0.0)) / max(1.0, float(np.max(np.abs(value))))


def main(folder, expected, tolerance):
    for module in ("keras", "tf_keras", "pga_tf"):
        sys.modules[module] = None  # an import of it fails
    try:
        with np.load(expected, allow_pickle=False) as arrays:
            print(json.dumps(check(folder, dict(arrays), float(tolerance))))
    except Difference as error:
        print(error, file=sys.stderr)
        return 3
    except Exception as error:  # whatever TensorFlow raises for a damaged folder: the last line tells it
        print(f"{type(error).__name__}: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
