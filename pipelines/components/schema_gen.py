"""SchemaGen: what the images are to be like, as JSON."""

import json
import math
import pathlib

from pga_tf.core import checks, files
from pga_tf.data.prepare import CHANNELS
from pipelines.components.artifacts import SCHEMA, STATISTICS


def _whole(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


SIDE = (lambda value: value is None or (_whole(value) and value > 0), "null or a number of pixels above 0")
SHARE = (lambda value: _number(value) and 0 <= value <= 1, "a number from 0 to 1")
# What a schema says: (test of a value, what passes it) by key.
KEYS = {
    "height": SIDE,
    "width": SIDE,
    "channels": (lambda value: _whole(value) and value in (1, 3), "1 or 3"),
    "colour": (lambda value: value in ("auto", *CHANNELS), "auto, " + " or ".join(CHANNELS)),
    "least_side": (lambda value: _whole(value) and value >= 0, "a number of pixels, 0 or above"),
    "low": (_number, "a number"),
    "high": (_number, "a number"),
    "least_span": SHARE,
    "max_corrupt_share": SHARE,
    "max_duplicate_share": SHARE,
    "max_drift": SHARE,
}


def schema_gen(
    statistics: str,
    schema: str,
    image_size: int,
    crop: int,
    colour: str,
    max_corrupt: float,
    max_duplicates: float,
    max_drift: float,
    given: str,
) -> dict:
    """Writes `schema/schema.json`, from the statistics and what is done to images, or from the file `given`.

    Its keys: `height` and `width` of every image in pixels, null where Transform makes them equal; `channels` 1 or 3
    for training, and `colour`, "auto" where no image may have more, "grey" or "rgb" where Transform converts;
    `least_side`, of the crop, in pixels; `low` and `high`, the range of stored values, and `least_span`, the part of it
    that they must fill; `max_corrupt_share` and `max_duplicate_share` of all images; `max_drift`, how far the mean and
    the standard deviation of pixels may be from those of the previous data, as a part of the range.

    Args:
      image_size, crop, colour: as in `pga_tf.data.DataOptions`.
      given: path of a schema to hold the data to instead, for instance an earlier one, or "".

    Raises:
      InputError: `given` is no schema.
    """
    if given:
        made = read_given(given)
    else:
        shapes = json.loads((pathlib.Path(statistics) / STATISTICS).read_text())["shapes"]
        # The commonest, and of equally common ones the first.
        commonest = max(shapes, key=shapes.get, default="0x0x1").split("x")
        side = image_size or crop
        made = {
            "height": None if side else int(commonest[0]),
            "width": None if side else int(commonest[1]),
            "channels": CHANNELS.get(colour) or (3 if any(shape.endswith("x3") for shape in shapes) else 1),
            "colour": colour,
            "least_side": crop,
            "low": 0,
            "high": 255,
            "least_span": 0.5,
            "max_corrupt_share": max_corrupt,
            "max_duplicate_share": max_duplicates,
            "max_drift": max_drift,
        }
    files.write_json(pathlib.Path(schema) / SCHEMA, made)
    return made


def read_given(path: str) -> dict:
    """The schema in the file `path`. Raises `InputError` for one that cannot be read, or lacks or mistakes a key."""
    start = "start from a schema.json that SchemaGen wrote"
    try:
        made = json.loads(pathlib.Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        received = (error.strerror if isinstance(error, OSError) else None) or f"{type(error).__name__}: {error}"
        checks.refuse(f"--schema={path}", expected="a schema.json", received=received, remedy=f"correct it, or {start}")
    if not isinstance(made, dict) or made.keys() != KEYS.keys():
        checks.refuse(
            f"--schema={path}",
            expected="the keys " + ", ".join(sorted(KEYS)),
            received=(", ".join(sorted(made)) or "none") if isinstance(made, dict) else type(made).__name__,
            remedy=start,
        )
    for key, (passes, what) in KEYS.items():
        if not passes(made[key]):
            _refuse(path, key, what, made[key], start)
    if (made["height"] is None) != (made["width"] is None):
        _refuse(path, "width", "null where height is, and a number where it is one", made["width"], start)
    if made["low"] >= made["high"]:
        _refuse(path, "high", f"more than low, which is {made['low']}", made["high"], start)
    return made


def _refuse(path, key, expected, received, remedy):
    checks.refuse(f"--schema={path}: {key}", expected=expected, received=json.dumps(received)[:80], remedy=remedy)
