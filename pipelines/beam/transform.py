"""Transform on Apache Beam: the same array as the component writes, its images decoded by workers."""

import os
import pathlib

import numpy as np

from pipelines import examples as examples_lib
from pipelines.beam import engine
from pipelines.components import transform as component


def transform(beam_args):
    """`pipelines.components.transform.transform` on a Beam runner with the options `beam_args`, a list of texts.

    Workers decode shards of examples; this process puts their images in order.
    """

    def step(examples: str, schema: str, transformed: str, image_size: int, crop: int, resize: str) -> dict:
        shape = component.shape_of(schema, image_size, crop)
        shards = examples_lib.shares(os.path.abspath(examples))
        with engine.scratch(transformed) as folder:
            with engine.pipeline(beam_args) as pipeline:
                engine.each(pipeline, shards, _decode, folder, shape, crop, resize)
            return component.join(transformed, [_decoded(folder, *shard) for shard in shards], shape)

    return step


def _places(folder, split, path):
    """Where the pixels of a shard of examples lie, and what belongs to them."""
    name = f"{split}-{pathlib.Path(path).name}"
    return folder / f"{name}.pixels", folder / f"{name}.npz"


def _decode(shard, folder, shape, crop, resize):
    pixels, facts = _places(folder, *shard)
    with engine.placing(pixels, folder) as own:
        made = component.decode(*shard, own, shape, crop=crop, resize=resize)
    with engine.placing(facts, folder) as own, open(own, "wb") as file:
        np.savez(file, index=made.index, left_out=made.left_out)


def _decoded(folder, split, path):
    pixels, facts = _places(folder, split, path)
    with np.load(facts) as stored:
        return component.Decoded(split, str(pixels), stored["index"], int(stored["left_out"]))
