"""The reciprocal distribution, by which Eq. 7 of the PGA paper becomes a likelihood (Eq. 15).

d^H = |z_hat - h(z + delta)|^H is taken to have the density 1 / (y (log b - log a)) on [a, b]. TFP has no such
distribution; it is log-uniform: Uniform(log a, log b) pushed through Exp.
"""

import tensorflow as tf
import tensorflow_probability as tfp


def reciprocal(low, high):
    """The reciprocal distribution on `[low, high]`, 0 < low < high, as a TFP distribution.

    `log_prob` is -inf outside the support and NaN at y <= 0. The bounds enter only as an additive constant.
    """
    log_low, log_high = tf.math.log(low), tf.math.log(high)
    return tfp.distributions.TransformedDistribution(
        tfp.distributions.Uniform(log_low, log_high), tfp.bijectors.Exp(), name="Reciprocal"
    )


def reciprocal_nll(distance, dimensions, low, high):
    """- log p(d^H), Eq. 15: H log d plus a constant, whose gradient is that of Eq. 7.

    Args:
      distance: `[B]`, d = |h(z + delta) - h(z)| > 0, with low <= d^H <= high.
      dimensions: H, the latent size.

    Returns:
      `[B]`, nats.
    """
    return -reciprocal(low, high).log_prob(distance**dimensions)
