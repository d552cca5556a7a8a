"""Losses of autoencoders with an adversarial critic of interpolations.

Geng et al., Generative Model without Prior Distribution Matching, 2020; it extends ACAI (Berthelot et al., 2019).
Symbols: critic d(x), trained to tell how far from real an image is; x_hat = g(f(x)); x_mu = g(mu f(x1) + (1 - mu)
f(x2)), mu ~ U(0, 0.5). Every function returns one value per example, `[B]`. Which network a loss trains is decided
where the tensors come from: see `pga_tf.methods`.
"""

import tensorflow as tf

from pga_tf.objectives import shapes


def distance_critic(
    d_real: tf.Tensor, d_blend: tf.Tensor, d_mixed: tf.Tensor, mu: tf.Tensor, margin: float, *, weight_real: float = 1.0
) -> tf.Tensor:
    """L_dis = |d(x)|^2 + |d(c x + (1 - c) x_hat) - lambda|^2 + |d(x_mu) - mu - lambda|^2, Geng et al., Eq. 9.

    With `margin` and `weight_real` 0 it is the critic's loss of ACAI (Berthelot et al., Eq. 3).

    Args:
      d_real, d_blend, d_mixed: the critic's outputs `[B]` for x, for the blend of x and x_hat, and for x_mu.
      mu: `[B]` in [0, 0.5]. margin: lambda. weight_real: factor of the first term.

    Returns:
      `[B]`, squared units of the critic. Raises `InputError` on unequal shapes.
    """
    for name, value in (("d(blend)", d_blend), ("d(x_mu)", d_mixed), ("mu", mu)):
        shapes.require_same_shape("d(x)", d_real, name, value)
    return weight_real * tf.square(d_real) + tf.square(d_blend - margin) + tf.square(d_mixed - mu - margin)


def realism(d_decoded: tf.Tensor) -> tf.Tensor:
    """|d(g(.))|^2, the terms of Eq. 10 that w1 (interpolations) and w2 (reconstructions) weigh: `[B]` to `[B]`."""
    return tf.square(d_decoded)


def neighbours(z: tf.Tensor) -> tf.Tensor:
    """The partner of each code, `[B, H_dim]` with B even: that of its neighbour, rows 0 and 1, 2 and 3, ...

    A batch is in random order, and a pair never spans two replicas.
    """
    return tf.reshape(tf.reverse(tf.reshape(z, [-1, 2, z.shape[1]]), axis=[1]), tf.shape(z))


def mixed(z: tf.Tensor, mu: tf.Tensor) -> tf.Tensor:
    """mu z_1 + (1 - mu) z_2 for codes z_1 `[B, H_dim]` and their `neighbours` z_2, with mu `[B]`."""
    return mu[:, tf.newaxis] * z + (1.0 - mu[:, tf.newaxis]) * neighbours(z)
