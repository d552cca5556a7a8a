"""Transform: crops and resizes once, to the array that training reads."""

import dataclasses
import json
import os
import pathlib
import tempfile
import zipfile

import numpy as np

from pga_tf.core import checks, files
from pga_tf.data.prepare import prepared_shape
from pga_tf.settings.data import DataOptions
from pipelines import examples as examples_lib
from pipelines.components.artifacts import IMAGES, SCHEMA

BUFFER = 2**23  # bytes of images that are put in order at a time


@dataclasses.dataclass(frozen=True)
class Decoded:
    """The images of a shard that could be decoded.

    Attributes:
      split: "train" or "eval". pixels: path of a file of uint8 `[n, H, W, C]` and nothing else.
      index: places of the images in their source, int64 `[n]`, ascending. left_out: how many more are corrupt.
    """

    split: str
    pixels: str
    index: np.ndarray
    left_out: int


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
    shape = shape_of(schema, image_size, crop)
    with tempfile.TemporaryDirectory(prefix=".decoded.", dir=transformed) as folder:
        parts = []
        for split, path in examples_lib.shares(examples):
            pixels = os.path.join(folder, str(len(parts)))
            parts.append(decode(split, path, pixels, shape, crop=crop, resize=resize))
        return join(transformed, parts, shape)


def shape_of(schema: str, image_size: int, crop: int) -> tuple[int, int, int]:
    """(H, W, C) of the images that `transform` makes of those that a schema describes; it raises as `DataOptions`."""
    made = json.loads((pathlib.Path(schema) / SCHEMA).read_text())
    stored = (made["height"], made["width"], made["channels"])
    return prepared_shape(stored, DataOptions(image_size=image_size, crop=crop), name="the examples")


def decode(split: str, path: str, pixels: str, shape: tuple[int, int, int], *, crop: int, resize: str) -> Decoded:
    """Writes the images of one shard of examples, `path`, to the file `pixels`: as `Decoded`. Others as `transform`."""
    index, left_out = [], 0
    with open(pixels, "wb") as file:
        for item in examples_lib.items(split, path):
            try:
                image = examples_lib.decode(item.encoded, shape, crop=crop, resize=resize)
            except Exception:  # PIL answers damaged files with errors of many types; StatisticsGen has named them
                left_out += 1
                continue
            file.write(image.tobytes())
            index.append(item.index)
    return Decoded(split, pixels, np.array(index, np.int64), left_out)


def join(transformed: str, parts: list[Decoded], shape: tuple[int, int, int]) -> dict:
    """Writes the images `[H, W, C]` of all shards, in their source's order, as `transform` says: its figures."""
    counts = [len(part.index) for part in parts]
    order = np.argsort(np.concatenate([part.index for part in parts]), kind="stable")
    number = np.repeat(np.arange(len(parts)), counts)[order]
    row = np.concatenate([np.arange(count) for count in counts])[order]
    test = np.array([part.split == "eval" for part in parts])[number]
    held_out, left_out = int(test.sum()), sum(part.left_out for part in parts)
    if not 0 < held_out < len(test):
        checks.refuse(
            "Images after Transform",
            expected="at least one of each split",
            received=f"{len(test) - held_out} to train and {held_out} to test on",
            remedy="add images, or change --test_fraction",
        )
    stored = [
        np.memmap(part.pixels, np.uint8, "r", shape=(count, *shape)) if count else None
        for part, count in zip(parts, counts, strict=True)
    ]
    blocks = range(0, len(test), max(BUFFER // int(np.prod(shape)), 1))
    with files.replacing(pathlib.Path(transformed) / IMAGES) as file, zipfile.ZipFile(file, "w") as archive:
        # What np.savez writes of an array, without the array.
        with archive.open("images.npy", "w", force_zip64=True) as entry:
            header = {"descr": "|u1", "fortran_order": False, "shape": (len(test), *shape)}
            np.lib.format.write_array_header_1_0(entry, header)
            for start in blocks:
                here = slice(start, start + blocks.step)
                block = np.empty((len(test[here]), *shape), np.uint8)
                for part in np.unique(number[here]):
                    block[number[here] == part] = stored[part][row[here][number[here] == part]]
                entry.write(block)
        with archive.open("test.npy", "w", force_zip64=True) as entry:
            np.lib.format.write_array(entry, test)
    sides = "x".join(map(str, shape))
    return {"images": len(test), "shape": sides, "held out": held_out, "left out as corrupt": left_out}
