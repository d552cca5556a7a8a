"""Gaussian posteriors q(z|x) as TFP distributions, and what they tell of a model's health."""

import typing
from collections.abc import Callable

import tensorflow as tf

from pga_tf.evaluation.posterior import NEAR_ZERO
from pga_tf.objectives import gaussian

if typing.TYPE_CHECKING:
    import tensorflow_probability as tfp

ACTIVE_VARIANCE = 1e-2  # Burda et al., 2016, section 2.1: a unit is active if its mean varies more than this
TOGETHER = 8  # codes whose Jacobians are held at a time


def diagonal_gaussian(mean: tf.Tensor, stddev: tf.Tensor) -> "tfp.distributions.MultivariateNormalDiag":
    """N(mean, diag stddev^2): `[B, H_dim]` each, to a distribution with batch `[B]` and event `[H_dim]`."""
    import tensorflow_probability as tfp  # a second to load

    return tfp.distributions.MultivariateNormalDiag(loc=mean, scale_diag=stddev)


def spread(codes: tf.Tensor) -> dict[str, tf.Tensor]:
    """How codes `[B, H_dim]` of no posterior lie: root mean square, variance of each dimension, active units."""
    variance = tf.math.reduce_variance(codes, axis=0)
    return {
        "code_rms": tf.sqrt(tf.reduce_mean(tf.square(codes))),
        "code_variance": variance,
        "active_units": tf.reduce_sum(tf.cast(variance > ACTIVE_VARIANCE, tf.float32)),
    }


def diagnostics(posterior: "tfp.distributions.Distribution") -> dict[str, tf.Tensor]:
    """Posterior health over a batch: scalars, and one vector over latent dimensions.

    Returns:
      `posterior_stddev`: mean of sigma_phi. `kl_per_dimension` `[H_dim]`: mean over the batch, nats.
      `active_units`: how many latent means vary over the batch with a variance above `ACTIVE_VARIANCE`.
      `r_hat`: how many posterior variances, means over the batch, are nearer to 0 than to 1 (Dai and Wipf, Eq. 9).
    """
    mean, stddev = posterior.mean(), posterior.stddev()
    active = tf.math.reduce_variance(mean, axis=0) > ACTIVE_VARIANCE
    low_noise = tf.reduce_mean(tf.square(stddev), axis=0) < NEAR_ZERO
    return {
        "posterior_stddev": tf.reduce_mean(stddev),
        "kl_per_dimension": tf.reduce_mean(gaussian.kl_standard_normal(mean, stddev), axis=0),
        "active_units": tf.reduce_sum(tf.cast(active, tf.float32)),
        "r_hat": tf.reduce_sum(tf.cast(low_noise, tf.float32)),
    }


def optimal_precision(decode: Callable[[tf.Tensor], tf.Tensor], codes: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """I + J'J / variance at each code, J the Jacobian of `decode`: inverse of the covariance at which a VAE's bound is
    greatest (Dai and Wipf, 2019, supplement, Eq. 73).

    Args:
      decode: codes `[B, H_dim]` to images `[B, H, W, C]`. variance: of a pixel under p(x|z), in squared units of these.

    Returns:
      `[B, H_dim, H_dim]` in the dtype of `codes`, by one forward-mode pass for each dimension.
    """

    @tf.function(autograph=False, reduce_retracing=True)
    def column(codes, tangents):
        with tf.autodiff.ForwardAccumulator(codes, tangents) as accumulator:
            images = tf.cast(decode(codes), codes.dtype)
        return tf.reshape(accumulator.jvp(images), [tf.shape(codes)[0], -1])

    def of_some(codes):
        jacobian = tf.stack([column(codes, tf.broadcast_to(along, tf.shape(codes))) for along in eye], axis=2)
        return eye + tf.matmul(jacobian, jacobian, transpose_a=True) / tf.cast(variance, codes.dtype)

    eye = tf.eye(codes.shape[1], dtype=codes.dtype)
    return tf.concat([of_some(codes[i : i + TOGETHER]) for i in range(0, len(codes), TOGETHER)], axis=0)
