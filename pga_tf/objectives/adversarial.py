"""Losses of a critic and of the generator against it, as functions of the critic's logits.

Symbols: T(x) the critic's logit, D = sigmoid(T), x a real example, y = G(u) a generated one, sp(t) = log(1 + e^t).
Which network a loss trains is decided where the logits come from. TF-GAN computes what it computes rightly.

| kind           | critic                              | generator         | paper                         |
|----------------|-------------------------------------|-------------------|-------------------------------|
| minimax        | sp(-T(x)) + sp(T(y))                | -sp(T(y))         | Goodfellow et al. 2014, Eq. 1 |
| non_saturating | the same                            | sp(-T(y))         | the same, section 3           |
| least_squares  | 1/2 (D(x) - 1)^2 + 1/2 D(y)^2       | 1/2 (D(y) - 1)^2  | Mao et al. 2017, Eq. 9        |
| wasserstein    | T(y) - T(x)                         | -T(y)             | Arjovsky et al. 2017, Eq. 3   |
| hinge          | relu(1 - T(x)) + relu(1 + T(y))     | -T(y)             | Miyato et al. 2018, Eqs. 16-17 |

least_squares: Lucic et al., whose numbers this is for, feed D into the squares; Mao et al. feed T.
"""

import tensorflow as tf

from pga_tf.core import checks, tfgan
from pga_tf.objectives import shapes
from pga_tf.settings.objectives import ADVERSARIAL_LOSSES


def critic_loss(kind: str, real_logits: tf.Tensor, generated_logits: tf.Tensor) -> tf.Tensor:
    """What the critic descends on, by the table above.

    Args:
      kind: out of `ADVERSARIAL_LOSSES`. real_logits, generated_logits: T(x) and T(y), `[B]` each.

    Returns:
      `[B]`, float32: nats for the first two kinds, the critic's units (or their squares) for the others.
      Raises `InputError` for another kind, or unequal shapes.
    """
    checks.require_member("Adversarial loss", kind, ADVERSARIAL_LOSSES)
    shapes.require_same_shape("T(x)", real_logits, "T(y)", generated_logits)
    real, generated = tf.cast(real_logits, tf.float32), tf.cast(generated_logits, tf.float32)
    losses = tfgan.losses()
    if kind in ("minimax", "non_saturating"):
        return losses.minimax_discriminator_loss(real, generated, label_smoothing=0.0, **_unreduced())
    if kind == "least_squares":
        return losses.least_squares_discriminator_loss(tf.sigmoid(real), tf.sigmoid(generated), **_unreduced())
    if kind == "wasserstein":
        return losses.wasserstein_discriminator_loss(real, generated, **_unreduced())
    return losses.wasserstein_hinge_discriminator_loss(real, generated, **_unreduced())


def generator_loss(kind: str, generated_logits: tf.Tensor) -> tf.Tensor:
    """What the generator descends on, by the table above.

    Args:
      kind: out of `ADVERSARIAL_LOSSES`. generated_logits: T(y), `[B]`.

    Returns:
      `[B]`, float32, units as in `critic_loss`. Raises `InputError` for another kind.
    """
    checks.require_member("Adversarial loss", kind, ADVERSARIAL_LOSSES)
    generated = tf.cast(generated_logits, tf.float32)
    losses = tfgan.losses()
    if kind == "minimax":
        # Not TF-GAN's, which adds the critic's loss of a real example of logit 1: -sp(T(y)) - 0.3133.
        return -tf.math.softplus(generated)
    if kind == "non_saturating":
        return losses.modified_generator_loss(generated, label_smoothing=0.0, **_unreduced())
    if kind == "least_squares":
        return losses.least_squares_generator_loss(tf.sigmoid(generated), **_unreduced())
    return losses.wasserstein_generator_loss(generated, **_unreduced())


def _unreduced():
    """One value per example, and no entry in TensorFlow 1's collection of losses, which a function would keep."""
    return {"reduction": tf.compat.v1.losses.Reduction.NONE, "loss_collection": None}
