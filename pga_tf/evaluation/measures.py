"""One evaluation: from a model as callables, or from a stream of images, to a dict of plain numbers and pictures.

The dict is what `evaluation.json` holds and what the page is drawn from.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from pga_tf.evaluation import latent, neighbours, reconstruction, scores, statistics
from pga_tf.evaluation.frechet import frechet_distance
from pga_tf.evaluation.kernel import kernel_distance

CHUNK = 1000  # images drawn at a time
SHOWN = 100  # samples in the grid
RESTORED = 5000  # held-out images whose reconstructions are measured
LATENT = 5000  # held-out codes whose law is looked at
SHOWN_DIRECTIONS = 16
RESAMPLING = 0.1  # of the codes' standard deviation, for encoders without a posterior of their own


@dataclasses.dataclass(frozen=True)
class Subject:
    """An autoencoder with a prior, as functions of arrays. Codes are float32 `[N, H_dim]`, images as stored.

    `sample(seed, start, count)` images; `prior(count)` codes; `encode(images)`; `decode(codes, source)`;
    `recode(codes, source)`, h(z) for codes of source "data" or "prior"; `posterior_stddev(images)` or None;
    `log_det(codes)`: (exact, bound), each `[N]` in nats, or None where the latent space is too large;
    `second_posterior(codes)`: (mean, stddev) by which a prior with an encoder of its own codes them, or None.
    """

    sample: Callable
    prior: Callable
    encode: Callable
    decode: Callable
    recode: Callable
    posterior_stddev: Callable | None
    log_det: Callable | None
    second_posterior: Callable | None = None


def of_images(batches, extract, real, *, advance):
    """Scores of a finite stream of images: (scores, first images). One set: the error is bootstrapped."""
    first = []

    def watched():
        for images in batches:
            if sum(map(len, first)) < SHOWN:
                first.append(images)
            advance(len(images))
            yield images

    generated = statistics.collect(watched(), extract, what="images to score")
    summary = scores.over_seeds([scores.score(real, generated)])
    _bootstrap(summary, real, generated)
    return summary, generated, np.concatenate(first)[:SHOWN]


def of_samples(subject, extract, real, *, count, seeds, advance):
    """Scores of `count` samples for each seed: (scores over seeds, statistics and images of the first seed)."""
    runs, first, shown = [], None, None
    for seed in seeds:
        batches = _drawn(lambda start, n, seed=seed: subject.sample(seed, start, n), count, advance)
        generated = statistics.collect(batches, extract, what="samples")
        runs.append(scores.score(real, generated, seed=seed))
        if first is None:
            first, shown = generated, subject.sample(seed, 0, min(SHOWN, count))
    summary = scores.over_seeds(runs)
    if len(runs) == 1:
        _bootstrap(summary, real, first)
    return summary, first, shown


def _bootstrap(summary, real, generated):
    error, draws = scores.bootstrap_frechet(real, generated)
    if error is not None:
        summary["frechet"] |= {"error": error, "error_kind": f"bootstrap, {draws} draws"}
    _, error = kernel_distance(real.features, generated.features)
    if np.isfinite(error):
        summary["kernel"] |= {"error": error, "error_kind": "standard error over blocks"}


def _drawn(draw, count, advance):
    for start in range(0, count, CHUNK):
        images = draw(start, min(CHUNK, count - start))
        advance(len(images))
        yield images


def gap(subject, extract, real, images, floor, *, advance):
    """Where the distance to real images comes from: the same Frechet distance at each step away from them.

    Args:
      real: statistics of held-out images. images: array of training images, from which reconstructions start.
      floor: statistics of those images, or None where they are the real ones. All sets have as many images.

    Returns:
      dict: `training_images` (the floor: no model), `reconstructions` g(f(x)), `resampled` (noise around f(x)),
      `samples`; `resampling`, which noise; `latent_error_data` and `latent_error_prior`, mean (h(z) - z)^2.
    """
    rng = np.random.default_rng(0)
    codes = _mapped(subject.encode, images)
    if subject.posterior_stddev is not None:
        stddev, kind = _mapped(subject.posterior_stddev, images), "a draw from the posterior"
    else:
        stddev, kind = RESAMPLING * codes.std(axis=0), f"a Gaussian of {RESAMPLING} of each dimension's deviation"
    noisy = codes + stddev * rng.standard_normal(codes.shape, np.float32)

    def distance(draw, what):
        batches = _drawn(draw, len(images), advance)
        return frechet_distance(real.moments, statistics.collect(batches, extract, what=what).moments)

    prior = subject.prior(min(LATENT, len(codes)))
    recoded = {
        name: _mapped(lambda z, name=name: subject.recode(z, name), z)
        for name, z in (("data", codes[:LATENT]), ("prior", prior))
    }
    return {
        "training_images": frechet_distance(real.moments, floor.moments) if floor else None,
        "reconstructions": distance(lambda i, n: subject.decode(codes[i : i + n], "data"), "reconstructions"),
        "resampled": distance(lambda i, n: subject.decode(noisy[i : i + n].astype(np.float32), "data"), "resamples"),
        "samples": distance(lambda i, n: subject.sample(0, i, n), "samples"),
        "images": len(images),
        "resampling": kind,
        "latent_error_data": latent.latent_error(codes[:LATENT], recoded["data"]),
        "latent_error_prior": latent.latent_error(prior, recoded["prior"]),
    }


def _mapped(function, values):
    return np.concatenate([function(values[i : i + CHUNK]) for i in range(0, len(values), CHUNK)])


def restored(subject, images):
    """Reconstruction errors of held-out images, uint8; None for points."""
    if images.dtype != np.uint8:
        return None
    images = images[:RESTORED]
    outputs = _mapped(lambda x: subject.decode(subject.encode(x), "data"), images)
    return reconstruction.reconstruction_errors(images, outputs) | {"images": len(images)}


def latent_health(subject, images):
    """What the codes of held-out images look like beside the prior: (dict of plain values, images along directions).

    Of a stochastic encoder the aggregated codes are draws from q(z|x), one for each image; active units and directions
    go by the means.
    """
    images = images[:LATENT]
    means = codes = _mapped(subject.encode, images)
    if subject.posterior_stddev is not None:
        stddev = _mapped(subject.posterior_stddev, images)
        codes = means + stddev * np.random.default_rng(1).standard_normal(means.shape, np.float32)
    prior = subject.prior(len(codes))
    order, variances, paths = latent.directions(means, lambda z: _mapped(lambda c: subject.decode(c, "data"), z))
    health = {
        "codes": len(codes),
        "singular_values": latent.singular_values(codes).tolist(),
        "singular_values_prior": latent.singular_values(prior).tolist(),
        "singular_values_normal": latent.singular_values(
            np.random.default_rng(0).standard_normal(codes.shape)
        ).tolist(),
        "active_units": latent.active_units(means),
        "aggregated": "draws from the posterior" if subject.posterior_stddev is not None else "codes",
        "latent_dim": codes.shape[1],
        "mmd": latent.mmd(codes, prior),
        "direction_order": order.tolist(),
        "direction_variances": variances.tolist(),
    }
    if subject.posterior_stddev is not None:
        variance = np.square(stddev)
        counts, edges = np.histogram(np.clip(variance, 0.0, 1.5), bins=30, range=(0.0, 1.5))
        health["posterior_variance"] = {"counts": counts.tolist(), "edges": edges.tolist()}
        health["posterior_variance_mean"] = variance.mean(axis=0).tolist()
    if subject.second_posterior is not None:
        mean, stddev = subject.second_posterior(codes)
        second = mean + stddev * np.random.default_rng(2).standard_normal(mean.shape, np.float32)
        health["singular_values_second"] = latent.singular_values(second).tolist()
    if subject.log_det is not None:
        exact, bound = subject.log_det(means[:32])
        health["log_det_exact"], health["log_det_bound"] = float(np.mean(exact)), float(np.mean(bound))
    return health, paths[:SHOWN_DIRECTIONS]


def memory(generated, held_out, training, shown, images_at, *, count=10):
    """Nearest training neighbours of samples in feature space: (dict, images `[count, 2, H, W, C]`: sample, neighbour).

    Args:
      generated, held_out, training: features `[N, D]`. shown: images of the first rows of `generated`.
      images_at: function of indices into `training` to those images.
    """
    count = min(count, len(shown))
    index, distance = neighbours.nearest(generated[:count], training)
    facts = {
        "ratio": neighbours.memorisation_ratio(generated, held_out, training),
        "training_images": len(training),
        "distances": distance.tolist(),
    }
    return facts, np.stack([shown[:count], images_at(index)], axis=1)
