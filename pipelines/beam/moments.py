"""Moments of features over Apache Beam: what a Frechet distance needs of a set too large for one machine."""

import json
import pathlib

import apache_beam as beam
import numpy as np
from apache_beam.options.pipeline_options import PipelineOptions

from pga_tf.core import files
from pga_tf.evaluation import features as features_lib
from pga_tf.evaluation.moments import Moments
from pipelines import examples as examples_lib
from pipelines.beam.combine import SumFn
from pipelines.components.artifacts import SCHEMA


class MomentsFn(SumFn):
    """Combines batches of features `[N, D]` to `Moments`, in float64.

    Number, sum and sum of f f^T are kept as number, mean and sum of (f - mean)(f - mean)^T, which say the same and do
    not cancel where the mean is large beside the spread.
    """

    def __init__(self, dimensions):
        self.dimensions = dimensions

    def create_accumulator(self):
        return Moments(self.dimensions)


class Extract(beam.DoFn):
    """Batches of encoded images to their features; each worker loads the network once."""

    def __init__(self, features, inception_path, shape, crop):
        self.features, self.inception_path, self.shape, self.crop = features, inception_path, shape, crop

    def setup(self):
        self.extract = features_lib.load(self.features, inception_path=self.inception_path).extractor()

    def process(self, batch):
        yield self.extract(np.stack([examples_lib.decode(encoded, self.shape, crop=self.crop) for encoded in batch]))


def feature_moments(
    examples: str,
    schema: str,
    moments: str,
    split: str,
    features: str,
    inception_path: str,
    image_size: int,
    crop: int,
    beam_args: list,
) -> dict:
    """Writes `moments/moments.npz`: count, mean `[D]` and scatter `[D, D]` of the features of a split's images.

    Images are made as Transform makes them; all of them must decode. `features`: as in `pga_tf.evaluate`.
    """
    made = json.loads((pathlib.Path(schema) / SCHEMA).read_text())
    side = image_size or crop
    shape = (side or made["height"], side or made["width"], made["channels"])
    blank = np.zeros((1, *shape), np.uint8)
    dimensions = features_lib.load(features, inception_path=inception_path).extractor()(blank).shape[1]
    with beam.Pipeline(options=PipelineOptions(beam_args)) as pipeline:
        (
            pipeline
            | "shards" >> beam.Create(examples_lib.shards(examples, split))
            | "spread" >> beam.Reshuffle()
            | "images" >> beam.FlatMap(_encoded, split)
            | "batches" >> beam.BatchElements(min_batch_size=64, max_batch_size=256)
            | "features" >> beam.ParDo(Extract(features, inception_path, shape, crop))
            | "moments" >> beam.CombineGlobally(MomentsFn(dimensions))
            | "write" >> beam.Map(_write, str(pathlib.Path(moments) / "moments.npz"))
        )
    return {"split": split, "dimensions": dimensions}


def _encoded(path, split):
    for record in examples_lib.records(path):
        yield examples_lib.parsed(record, split).encoded


def _write(moments, path):
    with files.replacing(path) as file:
        np.savez(file, count=moments.count, mean=moments.mean, scatter=moments.scatter)
