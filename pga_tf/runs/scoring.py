"""Between a run and `pga_tf.evaluation`, which sees arrays and callables alone: models and sources as such."""

import hashlib

import numpy as np
import tensorflow as tf

from pga_tf.core import checks, grids, interfaces, ranges, signals, streams
from pga_tf.evaluation import features, protocol, scores, statistics
from pga_tf.evaluation.measures import Subject
from pga_tf.methods import METHODS, jacobian, posteriors

BATCH = 250
POINTS = (-1.0, 1.0)  # the range of points as scores see them
FEWEST = 10  # images that in-training scores want on the real side


def subject(draw):
    """The model and prior of a `Drawing` as a `Subject`: images are uint8, points float32 in `POINTS`."""
    model = draw.model
    value_range = POINTS if grids.is_points(model.image_shape) else ranges.UINT8
    scored = lambda images: as_scored(draw, images)

    def compiled(function):
        """`function` of arrays `[N, ...]`, in batches."""
        graph = tf.function(function, autograph=False, reduce_retracing=True)
        return lambda values: np.concatenate(
            [graph(tf.constant(values[i : i + BATCH])).numpy() for i in range(0, len(values), BATCH)]
        )

    prior_source = draw.prior.DECODED_AS
    shared = {
        "sample": lambda seed, start, count: scored(draw.samples(count, seed, start)),
        "prior": lambda count: draw.codes(streams.choosing_seeds(count, "look")),
        "decode": lambda codes, source: scored(draw.decode(codes, prior_source if source == "prior" else source)),
        "second_posterior": None,
    }
    if hasattr(draw.prior, "posterior"):
        shared["second_posterior"] = lambda codes: tuple(m.numpy() for m in draw.prior.posterior(tf.constant(codes)))
    if not draw.encodes:
        return Subject(**shared, encode=None, recode=None, posterior_stddev=None, log_det=None)

    recode = {
        source: compiled(lambda codes, source=source: jacobian.h(model, codes, source)) for source in ("data", "prior")
    }
    stddev = None
    if isinstance(model, interfaces.HasPosterior):
        stddev = compiled(
            lambda images: model.posterior(ranges.rescale(images, value_range, model.image_range)).stddev()
        )
    precision = None
    if stddev and isinstance(model, interfaces.HasLikelihood) and model.likelihood_variance() is not None:

        def precision(codes):
            decode, variance = lambda z: model.decode(z, source="data"), model.likelihood_variance()
            return posteriors.optimal_precision(decode, tf.constant(codes), variance).numpy()

    log_det = None
    if model.latent_dim <= jacobian.LARGEST_EXACT:
        scale = getattr(model.options, "perturbation_scale", 1e-2)

        def log_det(codes):
            bound = jacobian.log_det_bound(model, tf.constant(codes), scale=scale, kind="sphere")
            return jacobian.log_det_exact(model, tf.constant(codes)).numpy(), bound.numpy()

    return Subject(
        **shared,
        encode=lambda images: draw.encode(images, value_range),
        recode=lambda codes, source: recode[prior_source if source == "prior" else source](codes),
        posterior_stddev=stddev,
        log_det=log_det,
        posterior_precision=precision,
    )


def as_scored(draw, images):
    """What a `Drawing` drew as scores see it: uint8 images as they are, points in `POINTS`."""
    if not grids.is_points(images.shape[1:]):
        return images
    return ranges.rescale(images, draw.model.image_range, POINTS).numpy()


def quantised(images, source):
    """Images as stored in `source`, as scores see them: uint8, or points in `POINTS`."""
    if grids.is_points(source.image_shape):
        return ranges.rescale(images, source.value_range, POINTS).numpy()
    if images.dtype == np.uint8:
        return np.asarray(images)
    return ranges.to_uint8(images, source.value_range).numpy()


def real_images(source, split, count=0):
    """A split's images as scores see them, in batches; with `count`, a fixed choice of as many of them."""
    if count and count < source.counts[split]:
        for images in source.readers[split].chosen(count, BATCH):
            yield quantised(images, source)
        return
    for images in source.ordered(split, BATCH).as_numpy_iterator():
        yield quantised(images, source)


def labelled_codes(source, subject, count):
    """Codes of the first `count` test images whose labels are known: (codes `[N, H_dim]`, labels `[N]`, names) or None.

    None without labels, without an encoder, and for codes that span no plane.
    """
    if source.labels is None or subject.encode is None:
        return None
    labels = source.labels.read("test", count)
    known = labels >= 0
    if known.sum() < 2:
        return None
    codes = subject.encode(quantised(source.examples("test", count), source)[known])
    return (codes, labels[known], source.labels.names) if codes.shape[1] > 1 else None


def images_at(source, split, indices):
    """The images at ascending `indices` of a split's stored order, as scores see them, in batches."""
    start = 0
    for images in real_images(source, split):
        here = indices[np.searchsorted(indices, start) : np.searchsorted(indices, start + len(images))]
        if len(here):
            yield images[here - start]
        start += len(images)
        if start > indices[-1]:
            return


def real_statistics(source, split, count, network, extract, cache, *, advance, skip):
    """(statistics of a split's images, what the card says of them). A second call reads them from `cache`.

    The statistics are None without a network. `advance`, `skip`: called with how many images were looked at, and with
    how many a cache held.
    """
    key, entry = real_identity(source, split, count, network)
    if network is None:
        return None, entry
    built = []

    def build():
        built.append(True)
        return statistics.collect(watched(real_images(source, split, count), advance), extract, what="real images")

    found = cache.get(key, build)
    if not built:
        skip(entry["count"])
    return found, entry


def watched(batches, advance):
    """Yields batches, and calls `advance` with the length of each once it has been dealt with."""
    for images in batches:
        yield images
        advance(len(images))


def real_identity(source, split, count, network):
    """(key under which the statistics of a split's images are cached, what the card says of the images).

    The hash is over the images themselves, so that a folder whose content changed is another set. Without a network
    there are no such statistics, and the key is None.
    """
    digest, held = hashlib.sha256(), 0
    for images in real_images(source, split, count):
        digest.update(np.ascontiguousarray(images))
        held += len(images)
    entry = {"dataset": source.name, "split": split, "count": held, "image_shape": list(source.image_shape)}
    entry["sha256"] = digest.hexdigest()[:16]
    if split != "train" and not source.held_out:
        entry["trained_on"] = True
    if network is None:
        return None, entry
    key = {"features": network.card(), "sha256": digest.hexdigest(), "keep": statistics.NEIGHBOURS}
    return protocol.plain(key | {"versions": protocol.versions()}), entry


def in_training(config, source):
    """The score that `--evaluate_every` asks for: (function of a `Drawing` to a dict of floats, its protocol card).

    A cheap protocol, to steer a run by and not to report: `evaluate_samples` draws against every second image of the
    test split. Neither these draws nor the other images have had a say in which checkpoint is kept when it is scored.
    Raises `InputError` if there are no features for such images, or too few test images.
    """
    run, prior = config.run, METHODS.get(config.run.method).prior_of(config.method)
    name = run.evaluate_features or features.default(
        source.name, source.image_shape, inception_path=run.evaluate_inception_path
    )
    network = features.load(name, inception_path=run.evaluate_inception_path)
    if network is None:
        flag = "--evaluate_features"
        missing = features.missing(source.name, source.image_shape, flag)
        checks.refuse(
            flag, expected="features to score by", received="none", remedy=f"leave --evaluate_every out, or {missing}"
        )
    network.require_images(source.image_shape, np.float32 if grids.is_points(source.image_shape) else np.uint8)
    available = source.counts["test"] // 2
    if available < FEWEST:
        checks.refuse(
            "--evaluate_every",
            expected=f"a test split of at least {2 * FEWEST} images",
            received=source.counts["test"],
            remedy="leave it out, or hold more images out by --test_fraction",
        )
    extract, count = network.extractor(), min(run.evaluate_samples, available)
    wanted = 2 * np.unique(np.linspace(0, available - 1, count).astype(int))
    digest = hashlib.sha256()

    def held_out():
        for images in images_at(source, "test", wanted):
            digest.update(np.ascontiguousarray(images))
            yield images

    real = statistics.collect(held_out(), extract, what="held-out images")
    card = protocol.card(
        network,
        real={
            "dataset": source.name,
            "split": "every second image of test",
            "count": len(wanted),
            "image_shape": list(source.image_shape),
            "sha256": digest.hexdigest()[:16],
        }
        | ({} if source.held_out else {"trained_on": True}),
        generated={
            "count": run.evaluate_samples,
            "seeds": "of draws to steer by",
            "prior": prior,
        },
    )

    def score(draw):
        seeds = streams.choosing_seeds(run.evaluate_samples, "steer")

        def batches():
            for i in range(0, len(seeds), BATCH):
                signals.give_way()
                yield as_scored(draw, draw.samples_of(seeds[i : i + BATCH]))

        return scores.score(real, statistics.collect(batches(), extract, what="samples"))

    return score, card


def batch_norm_statistics(config, draw):
    """What the card says of batch norm: which statistics samples were drawn with."""
    source = draw.model.STATISTICS[draw.prior.DECODED_AS]
    kinds = {"none": "no batch norm", "shared": "running, one set", "per_source": f"running, of {source} codes"}
    if draw.protocol.norm_batch:
        together = f"of the samples themselves, {draw.protocol.norm_batch:,} at a time"
        kinds |= {"shared": together, "per_source": together}
    codes = "; codes: running, one set" if getattr(config.method, "latent_batch_norm", False) else ""
    return kinds[config.network.batch_norm] + codes


PIXEL_ERRORS = ("pixel_error", "L_r", "L_rec")  # what methods call the squared error of a pixel


def training_curves(directory, method_options):
    """Pixel error and, where it is trained, gamma against steps (Dai and Wipf, 2019, figure 3), from metrics.jsonl.

    Returns:
      dict of label to (steps, values), both as square roots of squared errors in the range that the model trains in;
      a learned gamma tends to the pixel error, and both tend to 0.
    """
    curves = {}
    for name in PIXEL_ERRORS:
        steps, errors = directory.read_curve(name)
        if steps:
            curves["root mean squared pixel error"] = (steps, [max(error, 0.0) ** 0.5 for error in errors])
    steps, values = directory.read_curve("gamma")
    if steps and method_options.likelihood == "learned_gamma":
        curves["gamma"] = (steps, values)
    return curves


LIKELIHOOD = 500  # codes that log p is taken over: that of a flow takes a derivative for each dimension


def log_p(prior, codes):
    """Mean log p(z) of the first codes of `[N, H_dim]` under a prior, nats; None where it has no density."""
    if not hasattr(prior, "log_prob"):
        return None
    values = [prior.log_prob(tf.constant(codes[i : i + 100])) for i in range(0, min(len(codes), LIKELIHOOD), 100)]
    return float(np.mean(np.concatenate(values)))
