"""Statistics of features on Apache Beam: what Evaluator needs of real images that are many for one process."""

import pathlib
import tempfile

import apache_beam as beam
import numpy as np

from pga_tf import data
from pga_tf.core import files
from pga_tf.evaluation import features as features_lib
from pga_tf.evaluation import statistics
from pga_tf.evaluation.moments import Moments
from pga_tf.runs import scoring
from pga_tf.settings.data import DataOptions
from pipelines.beam import options
from pipelines.beam.combine import SumFn
from pipelines.components import artifacts
from pipelines.components import evaluator as evaluator_lib

BLOCK = 10 * scoring.BATCH  # images that a worker takes at once: whole batches, the same as in one process
MOMENTS = "moments.npz"


def evaluator(beam_args):
    """`pipelines.components.evaluator.evaluator` with the features of real images taken on a Beam runner.

    They get where it looks for them, `cache_dir`, which every worker must see; so must the feature network's file.
    """

    def step(transformed: str, features: str, inception_path: str, cache_dir: str, **others) -> dict:
        dataset, cache = artifacts.dataset(transformed), statistics.Cache(cache_dir)
        source, network = (
            data.load(DataOptions(dataset=dataset)),
            features_lib.load(features, inception_path=inception_path),
        )
        network.require_images(source.image_shape)
        pathlib.Path(cache_dir).mkdir(parents=True, exist_ok=True)
        for split in source.counts:
            key, _ = scoring.real_identity(source, split, 0, network)
            cache.get(
                key,
                lambda split=split: collect(source, split, network, (features, inception_path), cache_dir, beam_args),
            )
        given = {"features": features, "inception_path": inception_path, "cache_dir": cache_dir}
        return evaluator_lib.evaluator(transformed=transformed, **given, **others)

    return step


def collect(source, split, network, named, scratch, beam_args):
    """`pga_tf.evaluation.statistics.collect` of a split of a `Source` that `npz:` loads.

    Args:
      named: by what a worker loads `network` again, the arguments of `pga_tf.evaluation.features.load`.
      scratch: folder that every worker sees. beam_args: options of the runner, a list of texts.

    Raises:
      InputError: images that are all the same.
    """
    first = source.examples(split, 1)
    if not any((images != first).any() for images in scoring.real_images(source, split)):
        statistics.refuse_constant("real images", source.counts[split])
    dimensions = network.dimensions or int(np.prod(source.image_shape))
    with tempfile.TemporaryDirectory(prefix=".features.", dir=scratch) as folder:
        with beam.Pipeline(options=options.parsed(beam_args)) as pipeline:
            (
                pipeline
                | "blocks" >> beam.Create(range(0, source.counts[split], BLOCK))
                | "spread" >> beam.Reshuffle()
                | "features" >> beam.ParDo(Extract(source.name, split, *named, folder))
                | "moments" >> beam.CombineGlobally(MomentsFn(dimensions))
                | "write" >> beam.Map(_write, folder)
            )
        with np.load(pathlib.Path(folder, MOMENTS)) as stored:
            moments = Moments.of_arrays(stored)
        kept = [np.load(path) for path in sorted(pathlib.Path(folder).glob("*.npy"))]
    return statistics.Statistics(moments, np.concatenate(kept)[: statistics.NEIGHBOURS])


class Extract(beam.DoFn):
    """The features `[n, D]` of the images from a number on; each worker loads data and network once.

    Those that are compared pair by pair are also written to `folder`.
    """

    def __init__(self, dataset, split, features, inception_path, folder):
        self.dataset, self.split, self.folder = dataset, split, folder
        self.features, self.inception_path = features, inception_path

    def setup(self):
        self.reader = data.load(DataOptions(dataset=self.dataset)).readers[self.split]
        self.extract = features_lib.load(self.features, inception_path=self.inception_path).extractor()

    def process(self, first):
        features = self.extract(self.reader.rows(first, first + BLOCK))
        if first < statistics.NEIGHBOURS:
            with files.replacing(pathlib.Path(self.folder, f"{first:012d}.npy")) as file:
                np.save(file, features)
        yield features


class MomentsFn(SumFn):
    """Combines batches of features `[N, D]` to `Moments`, in float64.

    Number, sum and sum of f f^T are kept as number, mean and sum of (f - mean)(f - mean)^T, which say the same and do
    not cancel where the mean is large beside the spread.
    """

    def __init__(self, dimensions):
        self.dimensions = dimensions

    def create_accumulator(self):
        return Moments(self.dimensions)


def _write(moments, folder):
    with files.replacing(pathlib.Path(folder, MOMENTS)) as file:
        np.savez(file, **moments.arrays())
