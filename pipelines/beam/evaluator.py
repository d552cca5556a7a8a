"""Evaluator's features of real images on Apache Beam, for images that are many for one process."""

import dataclasses
import functools
import os
import pathlib

import numpy as np

from pga_tf import data
from pga_tf.core import checks
from pga_tf.evaluation import features as features_lib
from pga_tf.evaluation import statistics
from pga_tf.evaluation.moments import Moments
from pga_tf.runs import scoring
from pga_tf.settings.data import DataOptions
from pipelines.beam import engine
from pipelines.components import artifacts
from pipelines.components import evaluator as component


def evaluator(beam_args):
    """`pipelines.components.evaluator.evaluator` with the features of real images taken on a Beam runner.

    They get where it looks for them, `cache_dir`, which every worker must see; so must the feature network's file.
    """

    def step(transformed: str, features: str, inception_path: str, cache_dir: str, **others) -> dict:
        source = data.load(DataOptions(dataset=artifacts.dataset(transformed)))
        network, cache = features_lib.load(features, inception_path=inception_path), statistics.Cache(cache_dir)
        network.require_images(source.image_shape)
        pathlib.Path(cache_dir).mkdir(parents=True, exist_ok=True)
        named = Named.of(source, network, features, inception_path)
        for split in source.counts:
            key, _ = scoring.real_identity(source, split, 0, network)
            cache.get(key, lambda split=split: collect(source, split, named, cache_dir, beam_args))
        _loaded.cache_clear()  # of a runner in this process
        given = {"features": features, "inception_path": inception_path, "cache_dir": cache_dir}
        return component.evaluator(transformed=transformed, **given, **others)

    return step


@dataclasses.dataclass(frozen=True)
class Named:
    """By what a worker loads images and network, and knows that they are those that are meant."""

    images: str  # absolute path of an .npz
    digest: str
    features: str
    inception_path: str
    sha256: str

    @classmethod
    def of(cls, source, network, features, inception_path):
        """Of a `Source` that `npz:` loaded, and of a `FeatureNetwork` with the arguments that it was loaded by."""
        features = os.path.abspath(features) if features.endswith(".keras") else features
        inception_path = inception_path and os.path.abspath(inception_path)
        return cls(source.identity.path, source.identity.digest, features, inception_path, network.sha256)


def collect(source, split, named, folder, beam_args):
    """`pga_tf.evaluation.statistics.collect` of a split of a `Source`, the same bits on machines alike.

    Args:
      named: the `Named` of the source. folder: one that every worker sees.
      beam_args: options of the runner, a list of texts.

    Raises:
      InputError: images that are all the same, or workers that see others.
    """
    first, count = source.examples(split, 1), source.counts[split]
    if not any((images != first).any() for images in scoring.real_images(source, split)):
        statistics.refuse_constant("real images", count)
    with engine.scratch(folder) as scratch:
        with engine.pipeline(beam_args) as pipeline:
            engine.each(pipeline, range(0, count, statistics.PART), _extract, split, named, scratch)
        moments, kept = None, []
        for start in range(0, count, statistics.PART):
            with np.load(_place(scratch, start)) as stored:
                part = Moments.of_arrays(stored)
                moments = (moments or Moments(len(part.mean))).merge(part)
                if start < statistics.NEIGHBOURS:
                    kept.append(stored["features"])
    return statistics.Statistics(moments, np.concatenate(kept)[: statistics.NEIGHBOURS])


def _place(folder, start):
    return folder / f"{start:012d}.npz"


@functools.lru_cache(maxsize=1)
def _loaded(named):
    """(`Source`, function of images to features); a worker that goes through many parts loads them once."""
    source = data.load(DataOptions(dataset=f"npz:{named.images}"))
    network = features_lib.load(named.features, inception_path=named.inception_path)
    for what, expected, received in (
        (named.images, named.digest, source.identity.digest),
        (f"Feature network {named.features}", named.sha256, network.sha256),
    ):
        if received != expected:
            checks.refuse(
                what,
                expected=f"the file with digest {expected[:12]} on every worker",
                received=received[:12],
                remedy="give all workers one file system",
            )
    return source, network.extractor()


def _extract(start, split, named, folder):
    """Writes the features of the images of a part that begins at `start`: moments, and those to be compared by pairs.

    Batches are those of one process, a whole number of them in a part.
    """
    source, extract = _loaded(named)
    stop = min(start + statistics.PART, source.counts[split])
    moments, kept = None, []
    for first in range(start, stop, scoring.BATCH):
        images = source.readers[split].rows(first, min(first + scoring.BATCH, stop))
        found = extract(scoring.quantised(images, source))
        moments = (moments or Moments(found.shape[1], first=start)).add(found)
        if start < statistics.NEIGHBOURS:
            kept.append(found)
    with engine.placing(_place(folder, start), folder) as own, open(own, "wb") as file:
        np.savez(file, features=np.concatenate(kept) if kept else 0, **moments.arrays())
