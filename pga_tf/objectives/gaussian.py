"""Likelihoods and divergences of Gaussian (and Bernoulli) autoencoders. Sums over dimensions, in nats."""

import math

import tensorflow as tf

from pga_tf.objectives import shapes

LOG_2_PI = math.log(2.0 * math.pi)


def kl_standard_normal(mean: tf.Tensor, stddev: tf.Tensor) -> tf.Tensor:
    """KL(N(mean, diag stddev^2) || N(0, I)) for each latent dimension.

    1/2 (mean^2 + stddev^2 - log stddev^2 - 1); Kingma and Welling, appendix B; PGA Eq. 12 (L_vkl).

    Args:
      mean, stddev: `[B, H_dim]`, stddev > 0.

    Returns:
      `[B, H_dim]`, nats; sum over axis 1 for the divergence. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("mean", mean, "stddev", stddev)
    return 0.5 * (tf.square(mean) + tf.square(stddev) - 1.0) - tf.math.log(stddev)


def log_standard_normal(z: tf.Tensor) -> tf.Tensor:
    """log N(z; 0, I) = - 1/2 |z|^2 - H_dim / 2 log 2 pi.

    Args:
      z: `[B, H_dim]`.

    Returns:
      `[B]`, nats.
    """
    return -0.5 * tf.reduce_sum(tf.square(z) + LOG_2_PI, axis=1)


def gaussian_nll(x: tf.Tensor, x_hat: tf.Tensor, log_gamma: tf.Tensor) -> tf.Tensor:
    """- log N(x; x_hat, gamma^2 I) = sum[(x - x_hat)^2 / (2 gamma^2) + log gamma + 1/2 log 2 pi].

    Dai and Wipf, 2019, section 4. With gamma learned the value falls below 0 as gamma goes to 0: a density,
    unlike a probability, may exceed 1, and on a manifold its supremum is infinite. That is expected.

    Args:
      x, x_hat: `[B, H, W, C]`, the same range for both.
      log_gamma: scalar, log of the standard deviation in pixel units.

    Returns:
      `[B]`, nats, summed over pixels and channels. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("x", x, "x_hat", x_hat)
    squared = tf.square((x - x_hat) * tf.exp(-log_gamma))
    return tf.reduce_sum(0.5 * squared + log_gamma + 0.5 * LOG_2_PI, axis=list(range(1, len(x.shape))))


def bernoulli_nll(x: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Cross-entropy - sum[x log p + (1 - x) log(1 - p)], p = sigmoid(logits).

    Args:
      x: `[B, H, W, C]` in [0, 1]. logits: the same shape.

    Returns:
      `[B]`, nats, summed over pixels and channels. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("x", x, "logits", logits)
    pixels = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
    return tf.reduce_sum(pixels, axis=list(range(1, len(x.shape))))
