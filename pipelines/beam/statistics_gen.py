"""StatisticsGen on Apache Beam: the same statistics as the component counts, counted by workers."""

import collections
import itertools
import json
import os
import pathlib

import apache_beam as beam

from pga_tf.core import files
from pipelines import examples as examples_lib
from pipelines import image_statistics
from pipelines.beam import engine
from pipelines.components import statistics_gen as component

SUMMARY = -1  # key of the sums; the others are the first digits of hashes of pixels
DIGITS = 2  # hexadecimal: images that share them are looked at for copies by one worker


def statistics_gen(beam_args):
    """`pipelines.components.statistics_gen.statistics_gen` on a Beam runner with the options `beam_args`.

    No worker holds the hashes of more images than those of one shard.
    """

    def step(examples: str, statistics: str) -> dict:
        shards = examples_lib.shares(os.path.abspath(examples))
        with engine.scratch(statistics) as folder:
            with engine.pipeline(beam_args) as pipeline:
                facts = engine.each(pipeline, shards, _facts)
                facts | beam.GroupByKey() | beam.Map(_sum, folder)
            result = json.loads((folder / "summary.json").read_text())
            for path in folder.glob("copies-*.json"):
                copies = json.loads(path.read_text())
                result["duplicates"] += copies["duplicates"]
                result["duplicate_images"] += copies["duplicate_images"]
        result["duplicate_images"] = sorted(result["duplicate_images"])[: image_statistics.NAMED]
        return component.write(statistics, result)

    return step


def _facts(shard):
    """(SUMMARY, `Summary`) of a shard, and (first digits, [(hash of pixels, title)] of images whose hash has them)."""
    split, path = shard
    summary, hashes = image_statistics.Summary(keep_hashes=False), collections.defaultdict(list)
    for item in examples_lib.items(split, path):
        one = image_statistics.facts(item)
        summary.add(one)
        if not one.corrupt:
            hashes[int(one.pixels[:DIGITS], 16)].append((one.pixels, one.title))
    yield SUMMARY, summary
    yield from hashes.items()


def _sum(group, folder):
    """Writes what the shards say of one key."""
    key, found = group  # a number: hashes of texts differ between processes, and some runners group by them
    if key == SUMMARY:
        whole = image_statistics.Summary(keep_hashes=False)
        for summary in found:
            whole.merge(summary)
        files.write_json(pathlib.Path(folder, "summary.json"), whole.result(duplicates=(0, [])))
        return
    whole = image_statistics.Summary()
    for pixels, title in itertools.chain.from_iterable(found):
        whole.copies.setdefault(pixels, []).append(title)
    duplicates, groups = whole.groups()
    values = {"duplicates": duplicates, "duplicate_images": groups}
    files.write_json(pathlib.Path(folder, f"copies-{key}.json"), values)
