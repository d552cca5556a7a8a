"""Between a run and `pga_tf.evaluation`, which sees arrays and callables alone: models and sources as such."""

import hashlib
import itertools

import numpy as np
import tensorflow as tf

from pga_tf.core import checks, grids, ranges
from pga_tf.evaluation import features, protocol, scores, statistics
from pga_tf.evaluation.evaluate import Subject
from pga_tf.methods import latent_map

BATCH = 250


def subject(draw):
    """The model and prior of a `Drawing` as a `Subject`: images are uint8, points float32 in the model's range."""
    model = draw.model
    value_range = scored_range(draw)
    recode = tf.function(
        lambda codes, source: latent_map.h(model, codes, source), autograph=False, reduce_retracing=True
    )
    stddev = None
    if hasattr(model, "posterior"):
        spread = tf.function(lambda x: model.posterior(x).stddev(), autograph=False, reduce_retracing=True)
        stddev = lambda images: spread(draw.in_range(images, value_range)).numpy()
    log_det = None
    if model.latent_dim <= latent_map.LARGEST_EXACT:
        scale = getattr(model.options, "perturbation_scale", 1e-2)

        def log_det(codes):
            bound = latent_map.log_det_bound(model, tf.constant(codes), scale=scale, kind="sphere")
            return latent_map.log_det_exact(model, tf.constant(codes)).numpy(), bound.numpy()

    return Subject(
        sample=lambda seed, start, count: draw.samples(count, seed, start),
        prior=lambda count: draw.codes(count),
        encode=lambda images: draw.encode(images, value_range),
        decode=lambda codes, source: draw.decode(codes, source=source),
        recode=lambda codes, source: recode(tf.constant(codes), source).numpy(),
        posterior_stddev=stddev,
        log_det=log_det,
    )


def scored_range(draw):
    """The pixel range of images as scores see them."""
    points = grids.is_points(draw.samples(1).shape[1:])
    return draw.model.image_range if points else ranges.UINT8


def quantised(images, source, point_range=(-1.0, 1.0)):
    """Images as stored in `source`, as scores see them: uint8, or points in `point_range`."""
    if grids.is_points(source.image_shape):
        return ranges.rescale(images, source.value_range, point_range).numpy()
    if images.dtype == np.uint8:
        return np.asarray(images)
    return ranges.to_uint8(images, source.value_range).numpy()


def real_images(source, split, count=0):
    """A split's images as scores see them, in batches; with `count`, a fixed choice of as many of them."""
    checks.require_member("--split", split, source.readers)
    if count and count < source.counts[split]:
        chosen = source.readers[split].sample(count)
        for start in range(0, len(chosen), BATCH):
            yield quantised(chosen[start : start + BATCH], source)
        return
    for images in source.ordered(split, BATCH).as_numpy_iterator():
        yield quantised(images, source)


def real_statistics(source, split, count, network, extract, cache, *, advance):
    """(statistics of a split's images, what the card says of them). A second call reads them from `cache`.

    The hash is over the images themselves, so that a folder whose content changed is another set.
    """
    digest, held = hashlib.sha256(), 0
    for images in real_images(source, split, count):
        digest.update(np.ascontiguousarray(images))
        held += len(images)
    entry = {"dataset": source.name, "split": split, "count": held, "image_shape": list(source.image_shape)}
    entry["sha256"] = digest.hexdigest()[:16]
    key = {"features": network.card(), "sha256": digest.hexdigest(), "keep": statistics.NEIGHBOURS}
    key |= {"versions": protocol.versions()}

    def build():
        return statistics.collect(real_images(source, split, count), extract, what="real images")

    found = cache.get(protocol.plain(key), build)
    advance(held)
    return found, entry


def in_training(run, source):
    """The score that `--evaluate_every` asks for: a function of a `Drawing` to a dict of floats, by `scores.NAMES`.

    A cheap protocol, to steer a run by and not to report: `evaluate_samples` samples of seed 0 against at most the
    first half of the test split, so that the other half has had no say in which checkpoint is kept.
    Raises `InputError` if the dataset has no default features and none are named.
    """
    name = run.evaluate_features or features.default(source.name, source.image_shape)
    network = features.load(name)
    network.require_images(source.image_shape, np.float32 if grids.is_points(source.image_shape) else np.uint8)
    extract = network.extractor()
    held_out = itertools.islice(
        _rows(real_images(source, "test")), min(run.evaluate_samples, source.counts["test"] // 2)
    )
    real = statistics.collect([np.stack(list(held_out))], extract, what="held-out images")

    def score(draw):
        batches = (
            draw.samples(min(BATCH, run.evaluate_samples - i), start=i) for i in range(0, run.evaluate_samples, BATCH)
        )
        return scores.score(real, statistics.collect(batches, extract, what="samples"))

    return score


def _rows(batches):
    for images in batches:
        yield from images


def batch_norm_statistics(config):
    """What the card says of batch norm: which statistics samples were drawn with."""
    kinds = {"none": "no batch norm", "shared": "running, one set", "per_source": "running, of prior codes"}
    return kinds.get(config.network.batch_norm, config.network.batch_norm)
