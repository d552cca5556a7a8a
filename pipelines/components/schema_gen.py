"""SchemaGen: what the images are to be like, as JSON."""

import json
import pathlib

from pga_tf.core import checks, files
from pga_tf.data.prepare import CHANNELS
from pipelines.components.artifacts import SCHEMA, STATISTICS

KEYS = {
    "height", "width", "channels", "colour", "least_side", "low", "high", "least_span", "max_corrupt_share",
    "max_duplicate_share", "max_drift",
}  # fmt: skip


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
        made = _read_given(given)
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


def _read_given(path):
    try:
        made = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        checks.refuse(f"--schema={path}", expected="a schema.json", received=str(error), remedy="correct the path")
    if not isinstance(made, dict) or made.keys() != KEYS:
        checks.refuse(
            f"--schema={path}",
            expected="the keys " + ", ".join(sorted(KEYS)),
            received=(", ".join(sorted(made)) or "none") if isinstance(made, dict) else type(made).__name__,
            remedy="start from a schema.json that SchemaGen wrote",
        )
    return made
