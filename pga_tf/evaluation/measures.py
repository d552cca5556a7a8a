"""What is measured of a model as callables, or of a stream of images: dicts of plain numbers, and pictures.

The dicts are what `evaluation.json` holds and what the page is drawn from.
"""

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from pga_tf.core import streams
from pga_tf.evaluation import latent, neighbours, posterior, reconstruction, scores, statistics
from pga_tf.evaluation.frechet import frechet_distance

CHUNK = 1000  # images drawn at a time
SHOWN = 100  # samples in the grid
RESTORED = 5000  # held-out images whose reconstructions are measured
LATENT = 5000  # held-out codes whose law is looked at
SHOWN_DIRECTIONS = 16  # rows of pictures, of all or evenly spread over more of them
RESAMPLING = 0.1  # of the codes' standard deviation, for encoders without a posterior of their own


@dataclasses.dataclass(frozen=True)
class Subject:
    """A decoder with a prior, as functions of arrays. Codes are float32 `[N, H_dim]`, images as stored.

    `sample(seed, start, count)` images; `prior(count)` codes that are no sample's; `decode(codes, source)`.
    None where there is no encoder, and then what needs one is left out: `encode(images)`;
    `recode(codes, source)`, h(z) for codes of source "data" or "prior"; `posterior_stddev(images)`, also None for
    deterministic encoders; `log_det(codes)`: (exact, bound), each `[N]` in nats, also None where the latent space is
    too large; `second_posterior(codes)`: (mean, stddev) by which a prior with an encoder of its own codes them, also
    None for others; `posterior_precision(codes)`: I + J'J / gamma of a VAE's decoder, `[N, H_dim, H_dim]`, also None
    where no bound with a Gaussian likelihood is trained.
    """

    sample: Callable
    prior: Callable
    encode: Callable | None
    decode: Callable
    recode: Callable | None
    posterior_stddev: Callable | None
    log_det: Callable | None
    second_posterior: Callable | None = None
    posterior_precision: Callable | None = None


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A set of N images that was looked at: `digests` uint64 `[N]`, and the first as images.

    `statistics` are those of all features, None where there are no features.
    """

    statistics: statistics.Statistics | None
    digests: np.ndarray
    shown: np.ndarray


def of_images(
    batches: Iterable[np.ndarray],
    extract: Callable[[np.ndarray], np.ndarray],
    real: statistics.Statistics,
    *,
    advance: Callable[[int], None],
) -> tuple[dict, Drawn]:
    """Scores of a finite stream of images, which is one set: (scores with errors, the `Drawn` set)."""
    drawn = _draw(batches, extract, "images to score", advance)
    return scores.of_one_set(real, drawn.statistics), drawn


def of_samples(
    subject: Subject,
    extract: Callable[[np.ndarray], np.ndarray] | None,
    real: statistics.Statistics | None,
    *,
    count: int,
    seeds: Sequence[int],
    advance: Callable[[int], None],
) -> tuple[dict, Drawn]:
    """Scores of `count` samples for each seed: (scores with errors, the `Drawn` set of the first seed).

    Without features, that is `extract` None, only the first seed is drawn, and there are no scores.
    """
    runs, first = [], None
    for seed in seeds:
        batches = _chunks(lambda start, n, seed=seed: subject.sample(seed, start, n), count)
        drawn = _draw(batches, extract, "samples", advance)
        first = first or drawn
        if extract is None:
            return {}, first
        if len(seeds) == 1:
            return scores.of_one_set(real, drawn.statistics), first
        runs.append(scores.score(real, drawn.statistics))
    return scores.over_seeds(runs), first


def _draw(batches, extract, what, advance):
    digests, shown = [], []

    def watched():
        for images in batches:
            digests.append(neighbours.digests(images))
            if sum(map(len, shown)) < SHOWN:
                shown.append(images)
            advance(len(images))
            yield images

    if extract is None:
        found = None
        for _ in watched():
            pass
    else:
        found = statistics.collect(watched(), extract, what=what)
    return Drawn(found, np.concatenate(digests), np.concatenate(shown)[:SHOWN])


def _chunks(draw, count):
    return (draw(start, min(CHUNK, count - start)) for start in range(0, count, CHUNK))


def gap(
    subject: Subject,
    extract: Callable[[np.ndarray], np.ndarray] | None,
    real: statistics.Statistics | None,
    batches: Iterable[np.ndarray],
    floor: statistics.Statistics | None,
    *,
    samples: Drawn | None = None,
    advance: Callable[[int], None],
) -> dict:
    """Where the distance to real images comes from: the same Frechet distance at each step away from them.

    Args:
      real: statistics of held-out images. batches: of training images, from which reconstructions start; of them only
        codes are kept. floor: statistics of those images, or None where they are the real ones. All sets have as many
        images. samples: those of seed 0 where they were drawn already, which serve if they are as many.

    Returns:
      dict: `training_images` (the floor: no model), `reconstructions` g(f(x)), `resampled` (noise around f(x)),
      `samples`; `resampling`, which noise; `latent_error_data` and `latent_error_prior`, mean (h(z) - z)^2. None for
      what there is not: without an encoder, that is all but the floor and the samples; without features, that is
      `extract` None, all distances.
    """

    def distance(draw, what):
        if extract is None:
            return None
        found = _draw(_chunks(draw, count), extract, what, advance)
        return frechet_distance(real.moments, found.statistics.moments)

    def of_samples():
        if samples is None or samples.statistics is None or samples.statistics.moments.count != count:
            return distance(lambda i, n: subject.sample(0, i, n), "samples")
        advance(count)
        return frechet_distance(real.moments, samples.statistics.moments)

    count, codes, stddev = 0, [], []
    for images in batches:
        count += len(images)
        if subject.encode is not None:
            codes.append(subject.encode(images))
        if subject.posterior_stddev is not None:
            stddev.append(subject.posterior_stddev(images))
    found = {
        "images": count,
        "training_images": frechet_distance(real.moments, floor.moments) if floor else None,
        "samples": of_samples(),
    }
    found |= dict.fromkeys(("reconstructions", "resampled", "resampling", "latent_error_data", "latent_error_prior"))
    if subject.encode is None:
        return found
    codes = np.concatenate(codes)
    if stddev:
        stddev, kind = np.concatenate(stddev), "a draw from the posterior"
    else:
        stddev, kind = RESAMPLING * codes.std(axis=0), f"a Gaussian of {RESAMPLING} of each dimension's deviation"
    noisy = codes + stddev * streams.generator("evaluation/resampling").standard_normal(codes.shape, np.float32)
    noisy = noisy.astype(np.float32)
    found |= {
        "reconstructions": distance(lambda i, n: subject.decode(codes[i : i + n], "data"), "reconstructions"),
        "resampled": distance(lambda i, n: subject.decode(noisy[i : i + n], "data"), "resamples"),
        "resampling": kind,
    }
    if subject.recode is not None:
        for source, z in (("data", codes[:LATENT]), ("prior", subject.prior(min(LATENT, len(codes))))):
            found[f"latent_error_{source}"] = latent.latent_error(z, _recoded(subject, z, source))
    return found


def _recoded(subject, codes, source):
    return _mapped(lambda z: subject.recode(z, source), codes)


def _mapped(function, values):
    return np.concatenate([function(values[i : i + CHUNK]) for i in range(0, len(values), CHUNK)])


def restored(subject: Subject, images: np.ndarray) -> dict | None:
    """Reconstruction errors of held-out images, uint8; None for points, and without an encoder."""
    if images.dtype != np.uint8 or subject.encode is None:
        return None
    images = images[:RESTORED]
    outputs = _mapped(lambda x: subject.decode(subject.encode(x), "data"), images)
    return reconstruction.reconstruction_errors(images, outputs) | {"images": len(images)}


def latent_health(subject: Subject, images: np.ndarray) -> tuple[dict | None, np.ndarray | None]:
    """What the codes of held-out images look like beside the prior: (dict of plain values, images along directions).

    Of a stochastic encoder the aggregated codes are draws from q(z|x), one for each image; active units and directions
    go by the means. `mmd` is between aggregated codes and prior, `mmd_codes` between means f(x) and prior, `mmd_mapped`
    between h(f(x)) and h of the prior's codes, which for perceptual methods Theorem 1 of the paper asks to be 0. (None,
    None) without an encoder.
    """
    if subject.encode is None:
        return None, None
    images = images[:LATENT]
    means = codes = _mapped(subject.encode, images)
    if subject.posterior_stddev is not None:
        stddev = _mapped(subject.posterior_stddev, images)
        codes = means + stddev * streams.generator("evaluation/posterior").standard_normal(means.shape, np.float32)
    prior = subject.prior(len(codes))
    order, variances, paths = latent.directions(means, lambda z: _mapped(lambda c: subject.decode(c, "data"), z))
    normal = streams.generator("evaluation/normal").standard_normal(codes.shape)
    health = {
        "codes": len(codes),
        "singular_values": latent.singular_values(codes).tolist(),
        "singular_values_prior": latent.singular_values(prior).tolist(),
        "singular_values_normal": latent.singular_values(normal).tolist(),
        "active_units": latent.active_units(means),
        "aggregated": "draws from the posterior" if subject.posterior_stddev is not None else "codes",
        "latent_dim": codes.shape[1],
        "mmd": (mmd := latent.mmd(codes, prior)),
        "mmd_codes": mmd if codes is means else latent.mmd(means, prior),
        "direction_order": order.tolist(),
        "direction_variances": variances.tolist(),
    }
    if subject.recode is not None:
        health["mmd_mapped"] = latent.mmd(_recoded(subject, means, "data"), _recoded(subject, prior, "prior"))
    if subject.posterior_stddev is not None:
        variance = np.square(stddev)
        counts, edges = np.histogram(np.clip(variance, 0.0, 1.5), bins=30, range=(0.0, 1.5))
        health["posterior_variance"] = {"counts": counts.tolist(), "edges": edges.tolist()}
        health["posterior_variance_mean"] = variance.mean(axis=0).tolist()
        health["r_hat"] = posterior.r_hat(variance.mean(axis=0))
    if subject.second_posterior is not None:
        mean, stddev = subject.second_posterior(codes)
        noise = streams.generator("evaluation/second_posterior").standard_normal(mean.shape, np.float32)
        health["singular_values_second"] = latent.singular_values(mean + stddev * noise).tolist()
    if subject.log_det is not None:
        exact, bound = subject.log_det(means[:32])
        health["log_det_exact"], health["log_det_bound"] = float(np.mean(exact)), float(np.mean(bound))
    return health, paths[:SHOWN_DIRECTIONS]


def of_posterior(subject: Subject, images: np.ndarray) -> tuple[dict | None, np.ndarray | None]:
    """What the posterior tells at held-out images: (dict of plain values, images of draws), of `evaluation.posterior`.

    The draws are around the code of the first image, as rows of `SHOWN_DIRECTIONS` dimensions, of which the dict's
    `draws` tells. They are left out, None, for points. The optimum is looked at where there is one to be had, and
    `left_out` says why it is not. (None, None) without a posterior.
    """
    if subject.posterior_stddev is None:
        return None, None
    images = images[: posterior.IMAGES]
    means = subject.encode(images)
    variances = np.square(subject.posterior_stddev(images).astype(np.float64))
    found = {"images": len(images), "left_out": None}
    if subject.posterior_precision is None:
        found["left_out"] = "no bound with a Gaussian likelihood is trained"
    elif means.shape[1] > posterior.LARGEST:
        found["left_out"] = f"not looked at beyond {posterior.LARGEST} latent dimensions"
    else:
        found |= posterior.against_optimum(variances, subject.posterior_precision(means))
    if images.dtype != np.uint8:
        return found, None
    order, caused, along = posterior.draws(means[0], variances[0], lambda z: subject.decode(z, "data"))
    rows = np.unique(np.linspace(0, len(order) - 1, min(len(order), SHOWN_DIRECTIONS)).round().astype(int))
    found["draws"] = {
        "direction_order": order.tolist(),
        "posterior_variances": variances[0][order].tolist(),
        "image_variances": caused.tolist(),
        "shown": rows.tolist(),
    }
    return found, along[rows]
