"""Transform: crops and resizes once, to the array that training reads."""

import json
import pathlib
import tempfile

import numpy as np

from pga_tf.core import checks, files
from pga_tf.data.prepare import prepared_shape
from pga_tf.settings.data import DataOptions
from pipelines import examples as examples_lib
from pipelines.components.artifacts import IMAGES, SCHEMA


def transform(examples: str, schema: str, transformed: str, image_size: int, crop: int, resize: str) -> dict:
    """Writes `transformed/images.npz` for `--dataset=npz:FILE`: uint8 `images` `[N, H, W, C]` and bool `test` `[N]`.

    Pictures become what `folder:PATH` makes of them (upright, on white, centre crop, resize), in their source's
    order, so that training on a source that needs neither crop nor resize sees the same bytes in the same order as
    `pga_tf.train` would. Corrupt ones, where the schema allows any, are left out. Images pass through one by one, and
    the steps that read a large array map it, so that data may be larger than memory; the disk holds them twice here.

    Args:
      image_size, crop, resize: as in `pga_tf.data.DataOptions`; colour is the schema's.

    Raises:
      InputError: no image of a split can be decoded.
    """
    made = json.loads((pathlib.Path(schema) / SCHEMA).read_text())
    stored = (made["height"], made["width"], made["channels"])
    shape = prepared_shape(stored, DataOptions(image_size=image_size, crop=crop), name="the examples")
    test, left_out = [], 0
    with tempfile.TemporaryFile(dir=transformed) as pixels:
        for item in examples_lib.in_order(examples):
            try:
                image = examples_lib.decode(item.encoded, shape, crop=crop, resize=resize)
            except Exception:  # PIL answers damaged files with errors of many types; StatisticsGen has named them
                left_out += 1
                continue
            pixels.write(image.tobytes())
            test.append(item.split == "eval")
        if not 0 < sum(test) < len(test):
            checks.refuse(
                "Images after Transform",
                expected="at least one of each split",
                received=f"{len(test) - sum(test)} to train and {sum(test)} to test on",
                remedy="add images, or change --test_fraction",
            )
        pixels.flush()
        images = np.memmap(pixels, np.uint8, "r", shape=(len(test), *shape))
        with files.replacing(pathlib.Path(transformed) / IMAGES) as file:
            np.savez(file, images=images, test=np.array(test))
    sides = "x".join(map(str, shape))
    return {"images": len(test), "shape": sides, "held out": sum(test), "left out as corrupt": left_out}
