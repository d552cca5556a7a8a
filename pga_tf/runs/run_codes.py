"""Codes of a run's images, which priors are fitted to and judged by."""

import numpy as np
import tensorflow as tf

from pga_tf.core import interfaces, streams

BATCH = 250


def of_split(draw, source, split, limit):
    """Codes of a split's images, drawn from q(z|x) where the encoder is stochastic: `[N, H_dim]`."""
    sample = tf.function(sampler(draw.model, 0, f"codes/{split}"), autograph=False, reduce_retracing=True)
    parts, held, reader = [], 0, source.ordered(split, BATCH)
    for i, images in enumerate(reader.as_numpy_iterator()):
        parts.append(sample(draw.in_range(images, source.value_range), tf.constant(i, tf.int64)).numpy())
        held += len(images)
        if limit and held >= limit:
            break
    return np.concatenate(parts)[: limit or None]


def sampler(model, seed, use):
    """A function of images in the model's range and a step to codes, noise keyed by (seed, use, step)."""

    def codes_of(images, step):
        if not isinstance(model, interfaces.HasPosterior):
            return tf.stop_gradient(model.encode(images))
        posterior = model.posterior(images)
        noise = streams.normal([tf.shape(images)[0], model.latent_dim], use, seed=seed, step=step)
        return tf.stop_gradient(posterior.mean() + posterior.stddev() * noise)

    return codes_of
