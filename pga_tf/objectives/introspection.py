"""Losses of autoencoders whose encoder is the critic of what the decoder makes.

Symbols: a made image x' (a reconstruction or a sample), x'' its own reconstruction, KL(x') the divergence of q(z|x')
from N(0, I) in nats; codes z of H_dim dimensions, m_j and v_j their mean and variance over the batch in dimension j.
"""

import tensorflow as tf

from pga_tf.core import replicas
from pga_tf.objectives import shapes

SMALLEST_VARIANCE = 1e-12  # of codes over a batch; below it a dimension is constant, and its KL has no gradient


def squared_distance(x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
    """L_rec = |x - x_hat|^2 of IntroVAE and Soft-IntroVAE, without a 1/2.

    Args:
      x, x_hat: `[B, H, W, C]`, the same range for both.

    Returns:
      `[B]`, squared pixel units, summed over pixels and channels. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("x", x, "x_hat", x_hat)
    return tf.reduce_sum(tf.square(x - x_hat), axis=list(range(1, len(x.shape))))


def exp_elbo(
    reconstruction: tf.Tensor, kl: tf.Tensor, *, scale: float, weight_rec: float, weight_neg: float
) -> tf.Tensor:
    """exp(-2 s (b_rec |x' - x''|^2 + b_neg KL(x'))), what Soft-IntroVAE's encoder lowers; Daniel and Tamar, Eq. 4.

    Args:
      reconstruction, kl: |x' - x''|^2 and KL(x'), `[B]` each. scale: s = 1 / (H W C); without it the value is 0 in
        float32 for any image of a useful size, and so is its gradient.

    Returns:
      `[B]`, in [0, 1]. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("|x' - x''|^2", reconstruction, "KL(x')", kl)
    return tf.exp(-2.0 * scale * (weight_rec * reconstruction + weight_neg * kl))


def mean_hinge(kl: tf.Tensor, margin: float) -> tf.Tensor:
    """[m - mean KL(x')]_+, what IntroVAE's encoder lowers; Huang et al., Eq. 11, of the batch's mean as released.

    Args:
      kl: KL(x'), `[B]`. margin: m, nats.

    Returns:
      `[B]`, nats: the one value over the global batch in every row, 0 with a gradient of 0 where the mean is above m.
    """
    return tf.fill(tf.shape(kl), tf.nn.relu(margin - replicas.batch_mean(kl)))


def batch_kl(codes: tf.Tensor, *, variance_as_stddev: bool = False) -> tf.Tensor:
    """mean_j [(m_j^2 + v_j) / 2 - 1/2 log v_j - 1/2]: AGE's KL of the Gaussian with the batch's moments from N(0, I).

    Args:
      codes: `[B, H_dim]`, B at least 2; the moments are over the global batch, v_j without Bessel's correction.
      variance_as_stddev: as AGE's released code, which puts v_j where the formula has the standard deviation:
        (m_j^2 + v_j^2) / 2 - log v_j - 1/2, with the same minimum at v_j = 1 and another slope elsewhere.

    Returns:
      `[B]`, nats per dimension: the one value in every row.
    """
    mean = replicas.batch_mean(codes)
    variance = replicas.batch_mean(tf.square(codes - mean))
    variance = tf.maximum(variance, SMALLEST_VARIANCE)
    spread = tf.square(variance) if variance_as_stddev else variance
    log_stddev = tf.math.log(variance) * (1.0 if variance_as_stddev else 0.5)
    kl = tf.reduce_mean(0.5 * (tf.square(mean) + spread) - log_stddev - 0.5)
    return tf.fill([tf.shape(codes)[0]], kl)


def cosine_distance(u: tf.Tensor, z: tf.Tensor) -> tf.Tensor:
    """1 - cos(u, z), AGE's reconstruction loss in latent space, for codes `[B, H_dim]`: `[B]`, in [0, 2].

    Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("u", u, "z", z)
    return 1.0 - tf.reduce_sum(tf.math.l2_normalize(u, axis=1) * tf.math.l2_normalize(z, axis=1), axis=1)


def absolute_error(x: tf.Tensor, x_hat: tf.Tensor) -> tf.Tensor:
    """|x - x_hat|_1 as a mean over pixels and channels, AGE's reconstruction loss in data space.

    Args:
      x, x_hat: `[B, H, W, C]`, the same range for both.

    Returns:
      `[B]`, pixel units. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("x", x, "x_hat", x_hat)
    return tf.reduce_mean(tf.abs(x - x_hat), axis=list(range(1, len(x.shape))))
