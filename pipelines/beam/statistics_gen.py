"""StatisticsGen on Apache Beam: the same statistics as the component counts, counted by workers."""

import itertools
import json
import os

import apache_beam as beam

from pga_tf.core import files
from pipelines import examples as examples_lib
from pipelines import image_statistics
from pipelines.beam import engine
from pipelines.components import statistics_gen as component

# Keys, numbers because hashes of texts differ between processes: images whose hash of pixels begins with one of so many
# hexadecimal digits are looked at for copies by one worker.
DIGITS = range(16)
SUMMARY = len(DIGITS)


def statistics_gen(beam_args):
    """`pipelines.components.statistics_gen.statistics_gen` on a Beam runner with the options `beam_args`.

    No worker holds more than the hashes and names of one shard's images, or of a sixteenth of all.
    """

    def step(examples: str, statistics: str) -> dict:
        shards = examples_lib.shares(os.path.abspath(examples))
        with engine.scratch(statistics) as folder:
            with engine.pipeline(beam_args) as pipeline:
                facts = engine.each(pipeline, shards, _facts)
                facts | beam.GroupByKey() | beam.Map(_sum, folder)
            result = json.loads(_place(folder, SUMMARY).read_text())
            for digit in DIGITS:
                copies = json.loads(_place(folder, digit).read_text())
                result["duplicates"] += copies["duplicates"]
                result["duplicate_images"] += copies["duplicate_images"]
        result["duplicate_images"] = sorted(result["duplicate_images"])[: image_statistics.NAMED]
        return component.write(statistics, result)

    return step


def _place(folder, key):
    return folder / f"{key}.json"


def _facts(shard):
    """(SUMMARY, `Summary`) of a shard, and (digit, [(hash of pixels, title)] of images whose hash begins with it)."""
    split, path = shard
    summary, hashes = image_statistics.Summary(keep_hashes=False), {digit: [] for digit in DIGITS}
    for item in examples_lib.items(split, path):
        one = image_statistics.facts(item)
        summary.add(one)
        if not one.corrupt:
            hashes[int(one.pixels[0], 16)].append((one.pixels, one.title))
    yield SUMMARY, summary
    yield from hashes.items()


def _sum(group, folder):
    """Writes what the shards say of one key."""
    key, found = group
    if key == SUMMARY:
        whole = image_statistics.Summary(keep_hashes=False)
        for summary in found:
            whole.merge(summary)
        files.write_json(_place(folder, key), whole.result(duplicates=(0, [])))
        return
    whole = image_statistics.Summary()
    for pixels, title in itertools.chain.from_iterable(found):
        whole.copies.setdefault(pixels, []).append(title)
    duplicates, groups = whole.groups()
    files.write_json(_place(folder, key), {"duplicates": duplicates, "duplicate_images": groups})
