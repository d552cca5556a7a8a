"""Penalties on the slopes of networks: of RAE's decoders, and of critics.

Symbols: decoder g, code z of H_dim dimensions; critic T, a callable of examples `[B, ...]` to logits `[B]` or `[B, 1]`,
x real, y generated.

A critic's penalties are differentiated again, by its weights; they are float32 whatever the critic computes in. One
backward pass of the *sum* of logits stands for the gradient of each by its own example. So no example may enter
another's logit: batch norm in training mode would make every value wrong, without a sign of it. And what a critic is
made of needs right second derivatives, which `tf.nn.moments` has not, nor `keras.layers.LayerNormalization` over it.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from pga_tf.core import replicas
from pga_tf.objectives import shapes

SMALLEST_SQUARE = 1e-4  # under the root of a slope, whose own slope at 0 is infinite; compare_gan's


def squared_weights(kernels: Sequence[keras.Variable]) -> tf.Tensor:
    """|theta|^2, the L_REG of RAE-L2 (Ghosh et al. 2020): the sum of squares of a list of kernels, a scalar."""
    return tf.add_n([tf.reduce_sum(tf.square(tf.convert_to_tensor(kernel))) for kernel in kernels])


def with_squared_jacobian(decode: Callable, z: tf.Tensor, probe: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(g(z), an unbiased estimate of |dg/dz|_F^2), the L_REG of RAE-GP (Ghosh et al. 2020), by one projection.

    E|J' v|^2 = |J|_F^2 for v ~ N(0, I) (Hutchinson), which costs one backward pass where J itself would cost one for
    each pixel.

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


def wgan_gp(critic: Callable, real: tf.Tensor, generated: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """(sqrt(SMALLEST_SQUARE + |grad T(x + a (y - x))|^2) - 1)^2, Gulrajani et al. 2017, Eq. 3, without its lambda.

    Args:
      critic: T. real, generated: x and y, `[B, ...]`, the same range for both. shares: a, `[B]`, of U(0, 1).

    Returns:
      `[B]`, squared deviations from slope 1, in logits per unit of x. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("x", real, "y", generated)
    real, generated = _single(real), _single(generated)
    a = tf.reshape(tf.cast(shares, real.dtype), [-1] + [1] * (real.shape.rank - 1))
    slope = tf.sqrt(SMALLEST_SQUARE + _squared_slope(critic, real + a * (generated - real)))
    return tf.square(slope - 1.0)


def dragan(critic: Callable, real: tf.Tensor, noise: tf.Tensor, shares: tf.Tensor) -> tf.Tensor:
    """`wgan_gp` with y = x + 1/2 std(x) v: the slope around real examples, of Kodali et al. 2017 as compare_gan has it.

    std(x) is one number, over all entries of all examples of the global batch, so two replicas see that of one.

    Args:
      critic: T, the logit; or D = sigmoid(T), whose slope compare_gan v1 penalises, and with it the two-stage paper.
      real: x, `[B, ...]`. noise: v, of x's shape, and shares: a, `[B]`; both of U(0, 1).

    Returns:
      `[B]`, as `wgan_gp`. Raises `InputError` on unequal shapes.
    """
    shapes.require_same_shape("x", real, "v", noise)
    real = _single(real)
    mean = tf.reduce_mean(replicas.batch_mean(real))
    variance = tf.reduce_mean(replicas.batch_mean(tf.square(real - mean)))
    return wgan_gp(critic, real, real + 0.5 * tf.sqrt(variance) * tf.cast(noise, real.dtype), shares)


def r1(critic: Callable, real: tf.Tensor) -> tf.Tensor:
    """|grad T(x)|^2, Mescheder et al. 2018, Eq. 9, without its gamma / 2.

    Args:
      critic: T. real: x, `[B, ...]`.

    Returns:
      `[B]`, squared logits per squared unit of x.
    """
    return _squared_slope(critic, _single(real))


def _squared_slope(critic, x):
    """|grad T(x)|^2 `[B]` of each example by itself."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = critic(x)
    gradient = tape.gradient(logits, x)
    if gradient is None:
        raise ValueError("Penalised critic: no gradient reaches its input. Expected logits that depend on it.")
    return tf.reduce_sum(tf.square(gradient), axis=list(range(1, x.shape.rank)))


def _single(x):
    """`x` as float32 at least: a critic in bfloat16 casts by itself, and its gradient comes back through that cast."""
    x = tf.convert_to_tensor(x)
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)
