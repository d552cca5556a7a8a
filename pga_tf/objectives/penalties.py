"""Regularisers of deterministic autoencoders (Ghosh et al., From Variational to Deterministic Autoencoders, 2020).

Symbols: decoder g, code z of H_dim dimensions.
"""

import tensorflow as tf


def squared_weights(kernels):
    """|theta|^2, RAE-L2's L_REG: the sum of squares of a list of kernels, a scalar."""
    return tf.add_n([tf.reduce_sum(tf.square(tf.convert_to_tensor(kernel))) for kernel in kernels])


def with_squared_jacobian(decode, z, probe):
    """(g(z), an unbiased estimate of |dg/dz|_F^2), RAE-GP's L_REG, by one projection (Hutchinson).

    E|J' v|^2 = |J|_F^2 for v ~ N(0, I), which costs one backward pass where J itself would cost one for each pixel.

    Args:
      decode: callable of codes. z: `[B, H_dim]`. probe: v, of the shape of g(z), `[B, H, W, C]`.

    Returns:
      images of `probe`'s shape, and `[B]`, squared pixel units per squared latent unit.
    """
    with tf.GradientTape() as tape:
        tape.watch(z)
        images = decode(z)
        projected = tf.reduce_sum(images * probe)
    return images, tf.reduce_sum(tf.square(tape.gradient(projected, z)), axis=1)
