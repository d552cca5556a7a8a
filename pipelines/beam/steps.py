"""ExampleGen and StatisticsGen on Apache Beam: the same files as the components write, read and counted by workers.

The folders must be ones that every worker sees: a local disk for the DirectRunner, a shared one for a cluster.
"""

import json
import os
import pathlib
import uuid

import apache_beam as beam
import tensorflow as tf

from pga_tf.core import photo, pictures
from pga_tf.settings.data import DataOptions
from pipelines import examples as examples_lib
from pipelines import image_statistics, sources
from pipelines.beam import options
from pipelines.beam.combine import SumFn
from pipelines.components import example_gen as example_gen_lib
from pipelines.components import statistics_gen as statistics_gen_lib


def example_gen(beam_args):
    """`pipelines.components.example_gen.example_gen` on a Beam runner with the options `beam_args`, a list of texts."""

    def step(examples: str, dataset: str, test_fraction: float, shards: int, value_range: str = "") -> dict:
        for split in examples_lib.SPLITS:
            for index in range(shards):
                path = examples_lib.shard(examples, split, index, shards)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()  # a shard that gets no image is there too
        asked = DataOptions(dataset=dataset, value_range=value_range).range()
        with beam.Pipeline(options=options.parsed(beam_args)) as pipeline:
            read = (
                pipeline
                | "parts" >> beam.Create(sources.parts(dataset))
                | "spread" >> beam.Reshuffle()
                | "read" >> beam.FlatMap(_read, test_fraction=test_fraction, shards=shards, value_range=asked)
            )
            placed = read | "placed" >> beam.FlatMapTuple(lambda place, entry, remark: [(place, entry)])
            remarked = (
                read
                | "remarks" >> beam.FlatMapTuple(lambda place, entry, remark: [remark] if remark else [])
                | "all remarks" >> beam.combiners.ToList()
                | "remarks named" >> beam.Map(lambda remarks: (REMARKS, remarks))
            )
            written = placed | "shards" >> beam.GroupByKey() | "write" >> beam.Map(_write, examples, shards)
            counts = written | "by split" >> beam.CombinePerKey(sum)
            distinct = (
                placed
                | "hashes" >> beam.MapTuple(lambda _, entry: entry[1])
                | beam.Distinct()
                | "distinct" >> beam.combiners.Count.Globally()
                | "named" >> beam.Map(lambda count: ("distinct", count))
            )
            _gather(examples, counts, distinct, remarked)
        found = dict(_gathered(examples))
        counts = {split: found.get(split, 0) for split in examples_lib.SPLITS}
        remarks = pictures.Remarks()
        for name, facts in found[REMARKS]:
            remarks.add(name, photo.Picture(None, **facts))
        return example_gen_lib.close(examples, dataset, counts, sum(counts.values()) - found["distinct"], remarks)

    return step


REMARKS = "remarks"


def _read(part, *, test_fraction, shards, value_range):
    """((split, shard), (index, hash, record), (name, what was made of it) or None) of every image of a part."""
    for item in sources.read(part):
        item, shape, digest, picture = examples_lib.normalised(item, value_range)
        place = examples_lib.placed(item, digest, test_fraction=test_fraction, shards=shards)
        remark = (item.title, picture.facts()) if picture and picture.facts() else None
        yield place, (item.index, digest, examples_lib.serialised(item, shape, digest)), remark


def _write(placed, folder, shards):
    """Writes one shard in the source's order: (split, number of images)."""
    (split, index), entries = placed
    path, entries = examples_lib.shard(folder, split, index, shards), sorted(entries)
    # Runners repeat work and race with themselves; whoever comes last puts the same file there.
    own = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with tf.io.TFRecordWriter(str(own)) as writer:
        for _, _, record in entries:
            writer.write(record)
    os.replace(own, path)
    return split, len(entries)


def statistics_gen(beam_args):
    """`pipelines.components.statistics_gen.statistics_gen` on a Beam runner with the options `beam_args`."""

    def step(examples: str, statistics: str) -> dict:
        shards = [(split, path) for split in examples_lib.SPLITS for path in examples_lib.shards(examples, split)]
        with beam.Pipeline(options=options.parsed(beam_args)) as pipeline:
            facts = (
                pipeline
                | "shards" >> beam.Create(shards)
                | "spread" >> beam.Reshuffle()
                | "facts" >> beam.FlatMapTuple(_facts)
            )
            summary = (
                facts
                | "sum" >> beam.CombineGlobally(SummaryFn())
                | "as values" >> beam.Map(lambda summary: ("summary", summary.result(duplicates=(0, []))))
            )
            copies = (
                facts
                | "decoded" >> beam.Filter(lambda one: not one.corrupt)
                | "by pixels" >> beam.Map(lambda one: (one.pixels, one.title))
                | "equal" >> beam.GroupByKey()
                | "titles" >> beam.MapTuple(lambda _, titles: sorted(titles))
                | "several" >> beam.Filter(lambda titles: len(titles) > 1)
            )
            repeated = (
                copies
                | "repeats" >> beam.Map(lambda titles: len(titles) - 1)
                | "number" >> beam.CombineGlobally(sum)
                | "number named" >> beam.Map(lambda number: ("duplicates", number))
            )
            groups = (
                copies
                | "first" >> beam.combiners.Top.Smallest(image_statistics.NAMED)
                | "groups named" >> beam.Map(lambda groups: ("duplicate_images", groups))
            )
            _gather(statistics, summary, repeated, groups)
        found = dict(_gathered(statistics))
        return statistics_gen_lib.write(statistics, found.pop("summary") | found)

    return step


def _facts(split, path):
    for record in examples_lib.records(path):
        yield image_statistics.facts(examples_lib.parsed(record, split))


class SummaryFn(SumFn):
    """Sums `Facts` to a `Summary`; copies are found by grouping, so that no worker holds every hash."""

    def create_accumulator(self):
        return image_statistics.Summary(keep_hashes=False)


RESULTS = ".results"


def _gather(folder, *collections):
    """Writes (name, value) pairs to a file in `folder`, from where the process that started the work reads them."""
    pairs = collections | "all" >> beam.Flatten() | "as JSON" >> beam.Map(json.dumps)
    return pairs | "results" >> beam.io.WriteToText(str(pathlib.Path(folder) / RESULTS))


def _gathered(folder):
    for path in sorted(pathlib.Path(folder).glob(f"{RESULTS}-*")):
        for line in path.read_text().splitlines():
            yield json.loads(line)
        path.unlink()
