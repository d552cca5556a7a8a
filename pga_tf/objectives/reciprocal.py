"""The reciprocal distribution, by which Eq. 7 of the PGA paper is a likelihood (Zhang et al., ICML 2020, Eq. 15).

d^H = |z_hat - h(z + delta)|^H is taken to have the density 1 / (y (log b - log a)) on [a, b]. TFP has no such
distribution; it is log-uniform: Uniform(log a, log b) pushed through Exp. d^H itself leaves the range of floats for any
useful H, so its density is taken at log d^H, where it is the base distribution's less the bijector's log-determinant.
"""

import math
import typing

import tensorflow as tf

from pga_tf.objectives import pga, shapes

if typing.TYPE_CHECKING:
    import tensorflow_probability as tfp

LARGEST_LOG = -0.5 * math.log(pga.SMALLEST_MOVE)  # of d; its smallest is as far below 1 as this is above


def reciprocal(log_low: tf.Tensor, log_high: tf.Tensor) -> "tfp.distributions.TransformedDistribution":
    """The reciprocal distribution on [e^log_low, e^log_high], as a TFP distribution.

    `log_prob` is -inf outside the support and NaN at y <= 0. The bounds enter only as an additive constant.
    """
    import tensorflow_probability as tfp  # a second to load

    return tfp.distributions.TransformedDistribution(
        tfp.distributions.Uniform(log_low, log_high), tfp.bijectors.Exp(), name="Reciprocal"
    )


def nll(log_distance: tf.Tensor, dimensions: int) -> tf.Tensor:
    """- log p(d^H), Eq. 15: H log d plus a constant, whose gradient is that of Eq. 7.

    Args:
      log_distance: `[B]`, log d, within `LARGEST_LOG` of 0. dimensions: H, the latent size.

    Returns:
      `[B]`, nats.
    """
    log_distance = tf.convert_to_tensor(log_distance)
    limit = tf.constant(dimensions * LARGEST_LOG * (1.0 + 1e-6), log_distance.dtype)
    law, log_power = reciprocal(-limit, limit), dimensions * log_distance
    return law.bijector.forward_log_det_jacobian(log_power, event_ndims=0) - law.distribution.log_prob(log_power)


def volume_nll(h_perturbed: tf.Tensor, h: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """Eq. 7 as a ratio of likelihoods: - log p(|h(z + delta) - h(z)|^H) + log p(|delta|^H).

    Arguments and value are those of `pga.volume_nll`, in nats, and so is what raises; |delta| must be within
    `LARGEST_LOG` of 1 on a logarithmic scale.
    """
    shapes.require_same_shape("h_perturbed", h_perturbed, "h", h)
    shapes.require_same_shape("h", h, "delta", delta)
    smallest = tf.cast(pga.SMALLEST_MOVE, h.dtype)
    squares = (tf.reduce_sum(tf.square(difference), axis=1) for difference in (h_perturbed - h, delta))
    moved, distance = (nll(0.5 * tf.math.log(tf.maximum(square, smallest)), h.shape[1]) for square in squares)
    return moved - distance
