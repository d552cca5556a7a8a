"""ExampleGen on Apache Beam: the same files as the component writes, read by workers.

The folders must be ones that every worker sees: a local disk for the DirectRunner, a shared one for a cluster.
"""

import contextlib
import json
import os
import shutil
import uuid

import apache_beam as beam

from pga_tf.core import files, photo, pictures
from pga_tf.settings.data import DataOptions
from pipelines import examples as examples_lib
from pipelines import sources
from pipelines.beam import engine
from pipelines.components import example_gen as component

REMARKS = "remarks.json"


def example_gen(beam_args):
    """`pipelines.components.example_gen.example_gen` on a Beam runner with the options `beam_args`, a list of texts.

    Each part of the dataset becomes shards of its own; those of all parts are put one behind the other. No worker holds
    more than an image, and 64 characters for each of one shard; the disk holds the images twice meanwhile.
    """

    def step(examples: str, dataset: str, test_fraction: float, shards: int, value_range: str = "") -> dict:
        asked = DataOptions(dataset=dataset, value_range=value_range).range()
        target = os.path.abspath(examples)
        with contextlib.ExitStack() as stack:
            component.open_shards(target, shards, stack)  # one that gets no image is there too
        with engine.scratch(examples) as folder:
            with engine.pipeline(beam_args) as pipeline:
                parts = engine.each(pipeline, sources.parts(dataset), _read, folder, test_fraction, shards, asked)
                parts | beam.GroupByKey() | beam.Map(_join, folder, target, shards)
            counts, distinct = dict.fromkeys(examples_lib.SPLITS, 0), 0
            for shard in range(shards):
                joined = json.loads(_place(folder, shard).read_text())
                distinct += joined["distinct"]
                counts = {split: count + joined["counts"][split] for split, count in counts.items()}
            remarks = pictures.Remarks()
            for path in folder.glob(f"*/{REMARKS}"):
                for name, facts in json.loads(path.read_text()):
                    remarks.add(name, photo.Picture(None, **facts))
        return component.close(examples, dataset, counts, sum(counts.values()) - distinct, remarks)

    return step


def _place(folder, shard):
    return folder / f"shard-{shard:05d}.json"


def _read(part, folder, test_fraction, shards, value_range):
    """(shard, (first image, folder of the part, {split: images}, hashes of them)) of each shard of a part."""
    own, remarks = folder / uuid.uuid4().hex, []
    counts = [dict.fromkeys(examples_lib.SPLITS, 0) for _ in range(shards)]
    digests = [[] for _ in range(shards)]
    with contextlib.ExitStack() as stack:
        writers = component.open_shards(str(own), shards, stack)
        for item in sources.read(part):
            item, shape, digest, picture = examples_lib.normalised(item, value_range)
            split, shard = examples_lib.placed(item, digest, test_fraction=test_fraction, shards=shards)
            writers[split][shard].write(examples_lib.serialised(item, shape, digest))
            counts[shard][split] += 1
            digests[shard].append(digest)
            if picture and picture.facts():
                remarks.append((item.title, picture.facts()))
    files.write_json(own / REMARKS, remarks)
    for shard in range(shards):
        yield shard, (part["first"], own, counts[shard], digests[shard])


def _join(parts, folder, target, shards):
    """Writes one shard of each split, in the source's order. Equal images are in shards of one number."""
    shard, parts = parts
    parts, distinct = sorted(parts, key=lambda part: part[0]), set()
    counts = dict.fromkeys(examples_lib.SPLITS, 0)
    for _, _, counted, digests in parts:
        distinct.update(digests)
        counts = {split: count + counted[split] for split, count in counts.items()}
    for split in examples_lib.SPLITS:
        placed = engine.placing(examples_lib.shard(target, split, shard, shards), folder)
        with placed as path, open(path, "wb") as joined:
            # A file of records is one record after another, with nothing before, between and after them.
            for _, own, counted, _ in parts:
                if counted[split]:
                    with open(examples_lib.shard(own, split, shard, shards), "rb") as file:
                        shutil.copyfileobj(file, joined)
    files.write_json(_place(folder, shard), {"counts": counts, "distinct": len(distinct)})
