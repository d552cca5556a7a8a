"""The losses of perceptual generative autoencoders (Zhang et al., ICML 2020).

Symbols: encoder f, decoder g, h = f o g, code z = f(x) of H_dim dimensions, perturbation delta. Every function
returns one value per example, `[B]`, summed over dimensions as the paper writes it. Which parameters a loss
trains is decided where the tensors come from: see `pga_tf.methods`.
"""

import tensorflow as tf

from pga_tf.core import checks
from pga_tf.objectives import shapes
from pga_tf.settings.objectives import PIXEL_LOSSES

SMALLEST_MOVE = 1e-20  # of |h(z + delta) - h(z)|^2; far below float32's resolution of codes of any useful size


def _half_squared_distance(name_a, a, name_b, b):
    shapes.require_same_shape(name_a, a, name_b, b)
    return 0.5 * tf.reduce_sum(tf.square(a - b), axis=list(range(1, len(a.shape))))


def reconstruction(x: tf.Tensor, x_hat: tf.Tensor, kind: str = "l2") -> tf.Tensor:
    """L_r = 1/2 |x_hat - x|^2, Eq. 1, or another norm of d = x_hat - x, which the paper allows for.

    Args:
      x, x_hat: `[B, H, W, C]`, the same range for both.
      kind: out of `PIXEL_LOSSES`: "l2", 1/2 d^2; "l1", 1/2 |d|; "huber", 1/2 d^2 where |d| < 1, else |d| - 1/2.

    Returns:
      `[B]`, summed over pixels and channels: squared pixel units, pixel units for "l1". Raises `InputError` on unequal
      shapes, and on another kind.
    """
    if kind == "l2":
        return _half_squared_distance("x", x, "x_hat", x_hat)
    checks.require_member("Pixel loss", kind, PIXEL_LOSSES)
    shapes.require_same_shape("x", x, "x_hat", x_hat)
    size = tf.abs(x_hat - x)
    each = 0.5 * size if kind == "l1" else tf.where(size < 1.0, 0.5 * tf.square(size), size - 0.5)
    return tf.reduce_sum(each, axis=list(range(1, len(x.shape))))


def latent_reconstruction(z: tf.Tensor, z_hat: tf.Tensor) -> tf.Tensor:
    """L_lr = 1/2 |h(z) - z|^2, Eqs. 2 and 3, for z from N(0, I) or from the data codes H.

    Args:
      z, z_hat: `[B, H_dim]`, codes and h(z).

    Returns:
      `[B]`, summed over latent dimensions. Raises `InputError` on unequal shapes.
    """
    return _half_squared_distance("z", z, "z_hat", z_hat)


def code_nll(z: tf.Tensor) -> tf.Tensor:
    """L_nll^phi = 1/2 |z|^2, Eq. 6: - log N(z; 0, I) without its constant, in nats.

    Args:
      z: `[B, H_dim]`, data codes f(x).

    Returns:
      `[B]`, summed over latent dimensions.
    """
    return 0.5 * tf.reduce_sum(tf.square(z), axis=1)


def volume_nll(h_perturbed: tf.Tensor, h: tf.Tensor, delta: tf.Tensor) -> tf.Tensor:
    """L_nll^theta = H_dim / 2 * log(|h(z + delta) - h(z)|^2 / |delta|^2), Eq. 7.

    Its expectation over delta bounds log|det dh/dz| from above as |delta| -> 0 (Proposition 1).

    Args:
      h_perturbed, h: `[B, H_dim]`, h(z + delta) and h(z).
      delta: `[B, H_dim]`, non-zero; hold it where the perturbation itself is trained (Eq. 16).

    Returns:
      `[B]`, nats. Raises `InputError` on unequal shapes. Where h does not change at all (every unit on its path is
      off) the paper's value is -inf; here it is that of `SMALLEST_MOVE`, and has no gradient.
    """
    shapes.require_same_shape("h_perturbed", h_perturbed, "h", h)
    shapes.require_same_shape("h", h, "delta", delta)
    moved = tf.reduce_sum(tf.square(h_perturbed - h), axis=1)
    distance = tf.reduce_sum(tf.square(delta), axis=1)
    moved = tf.maximum(moved, tf.cast(SMALLEST_MOVE, moved.dtype))
    return 0.5 * h.shape[1] * (tf.math.log(moved) - tf.math.log(distance))


def variational_reconstruction(z_hat: tf.Tensor, h_perturbed: tf.Tensor, sigma: tf.Tensor) -> tf.Tensor:
    """L_vr = 1/2 sum_i ((z_hat - h(z'))_i / sigma_i)^2, Eq. 12: - log N(z_hat; h(z'), sigma^2 I) less constants.

    Args:
      z_hat, h_perturbed: `[B, H_dim]`, h(z) and h(z') with z' = z + sigma_phi(x) * eps.
      sigma: scalar or `[H_dim]`, > 0, proportional to the norm of z and held constant (see `root_mean_square`).

    Returns:
      `[B]`, nats up to a constant. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("z_hat", z_hat, "h_perturbed", h_perturbed)
    return 0.5 * tf.reduce_sum(tf.square((z_hat - h_perturbed) / sigma), axis=1)


def perturbation(noise: tf.Tensor, scale: float, kind: str) -> tf.Tensor:
    """delta ~ S(eps), the perturbation of Eq. 7.

    Args:
      noise: `[B, H_dim]`, draws from N(0, 1).
      scale: root-mean-square size of delta per latent dimension, > 0.
      kind: "gaussian" gives N(0, scale^2 I); "sphere" the uniform distribution on the sphere of radius
        scale * sqrt(H_dim), whose lower variance the paper prefers.

    Returns:
      `[B, H_dim]`. Raises `InputError` on another kind.
    """
    checks.require_member("Perturbation", kind, ["sphere", "gaussian"])
    if kind == "gaussian":
        return scale * noise
    radius = scale * tf.sqrt(tf.cast(tf.shape(noise)[1], noise.dtype))
    return radius * tf.math.l2_normalize(noise, axis=1, epsilon=0.0)


def published_scale(dimensions: int) -> float:
    """2 / D: takes a loss with a 1/2 and a sum over D dimensions to the mean squared difference.

    The published coefficients weigh such per-dimension means, not the sums that the equations write.
    """
    return 2.0 / dimensions
