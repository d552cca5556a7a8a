"""Gaussian posteriors q(z|x) as TFP distributions, and what they tell of a model's health."""

import tensorflow as tf
import tensorflow_probability as tfp

from pga_tf.objectives import gaussian

ACTIVE_VARIANCE = 1e-2  # Burda et al., 2016, section 2.1: a unit is active if its mean varies more than this


def diagonal_gaussian(mean: tf.Tensor, stddev: tf.Tensor) -> tfp.distributions.MultivariateNormalDiag:
    """N(mean, diag stddev^2): `[B, H_dim]` each, to a distribution with batch `[B]` and event `[H_dim]`."""
    return tfp.distributions.MultivariateNormalDiag(loc=mean, scale_diag=stddev)


def spread(codes: tf.Tensor) -> dict[str, tf.Tensor]:
    """How codes `[B, H_dim]` of no posterior lie: root mean square, variance of each dimension, active units."""
    variance = tf.math.reduce_variance(codes, axis=0)
    return {
        "code_rms": tf.sqrt(tf.reduce_mean(tf.square(codes))),
        "code_variance": variance,
        "active_units": tf.reduce_sum(tf.cast(variance > ACTIVE_VARIANCE, tf.float32)),
    }


def diagnostics(posterior: tfp.distributions.Distribution) -> dict[str, tf.Tensor]:
    """Posterior health over a batch: scalars, and one vector over latent dimensions.

    Returns:
      `posterior_stddev`: mean of sigma_phi. `kl_per_dimension` `[H_dim]`: mean over the batch, nats.
      `active_units`: how many latent means vary over the batch with a variance above `ACTIVE_VARIANCE`.
    """
    mean, stddev = posterior.mean(), posterior.stddev()
    active = tf.math.reduce_variance(mean, axis=0) > ACTIVE_VARIANCE
    return {
        "posterior_stddev": tf.reduce_mean(stddev),
        "kl_per_dimension": tf.reduce_mean(gaussian.kl_standard_normal(mean, stddev), axis=0),
        "active_units": tf.reduce_sum(tf.cast(active, tf.float32)),
    }
