"""How far the codes of a batch are from a prior's draws: of a batch as a whole, not of an example.

Symbols: codes z_i and draws p_i of the prior, B of each. Every estimate but `moment_gap` comes as rows `[B]` whose mean
it is, so that rows of a global batch can be shared out among replicas.
"""

import tensorflow as tf

from pga_tf.objectives import shapes

# Tolstikhin et al., released code: the kernel is the sum of C / (C + d^2) over C = scale * 2 H_dim.
IMQ_SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


def imq_mmd(z: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """Unbiased estimate of MMD^2 under the *sum* of 7 inverse multiquadratic kernels; Tolstikhin et al., 2018.

    1/(B(B-1)) sum_{i != j} [k(z_i, z_j) + k(p_i, p_j)] - 2/B^2 sum_{ij} k(z_i, p_j), Algorithm 2, as its rows
    r_i = sum_{j != i} [k(z_i, z_j) + k(p_i, p_j)] / (B-1) - 2/B sum_j k(z_i, p_j).
    `evaluation.latent.mmd` has the mean of the kernels, and so a seventh of it.

    Args:
      z, p: `[B, H_dim]`, B at least 2; p drawn from N(0, I).

    Returns:
      `[B]`, without unit; the mean is 0 in expectation for one law, and may fall below. Raises `InputError` on unequal
      shapes.
    """
    shapes.require_same_shape("z", z, "p", p)
    count = tf.cast(tf.shape(z)[0], z.dtype)
    k_zz, k_pp = (tf.linalg.set_diag(k, tf.zeros_like(k[0])) for k in (_imq(z, z), _imq(p, p)))
    within = tf.reduce_sum(k_zz + k_pp, axis=1) / (count - 1.0)
    return within - 2.0 * tf.reduce_mean(_imq(z, p), axis=1)


def _imq(a, b):
    """sum_C C / (C + |a_i - b_j|^2): `[B, B]`."""
    squares = tf.reduce_sum(tf.square(a), axis=1)[:, tf.newaxis] + tf.reduce_sum(tf.square(b), axis=1)
    squares -= 2.0 * tf.linalg.matmul(a, b, transpose_b=True)
    constants = [scale * 2.0 * a.shape[1] for scale in IMQ_SCALES]
    return tf.add_n([c / (c + squares) for c in constants])


def sliced_wasserstein(z: tf.Tensor, p: tf.Tensor, directions: tf.Tensor) -> tf.Tensor:
    """mean over directions u of mean_i (sort(u'z)_i - sort(u'p)_i)^2; Kolouri et al., 2018, Eq. 14.

    The squared 2-Wasserstein distance of the two samples, seen along each direction. Row i is of the i-th in order.

    Args:
      z, p: `[B, H_dim]`. directions: `[L, H_dim]` of any length above 0; they are scaled to unit length.

    Returns:
      `[B]`, squared latent units. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("z", z, "p", p)
    unit = tf.math.l2_normalize(directions, axis=1)
    along_z, along_p = (tf.sort(tf.linalg.matmul(x, unit, transpose_b=True), axis=0) for x in (z, p))
    return tf.reduce_mean(tf.square(along_z - along_p), axis=1)


def moment_gap(z: tf.Tensor) -> tf.Tensor:
    """mean_d m_d^2 + mean_de (S_de - I_de)^2, the mean m and covariance S of codes against those of N(0, I).

    Args:
      z: `[B, H_dim]`, B at least 2.

    Returns:
      scalar, without unit.
    """
    centred = z - tf.reduce_mean(z, axis=0)
    covariance = tf.linalg.matmul(centred, centred, transpose_a=True) / (tf.cast(tf.shape(z)[0], z.dtype) - 1.0)
    gap = covariance - tf.eye(z.shape[1], dtype=z.dtype)
    return tf.reduce_mean(tf.square(tf.reduce_mean(z, axis=0))) + tf.reduce_mean(tf.square(gap))
