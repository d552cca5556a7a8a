"""TF-GAN's leaf modules load, give right values, and leave TensorFlow as it was."""

import numpy as np
import tensorflow as tf

from pga_tf.core import tfgan


def test_losses_give_hand_values():
    losses = tfgan.losses()
    real, fake = tf.constant([[0.5], [2.0]]), tf.constant([[-0.5], [1.0]])
    none = tf.compat.v1.losses.Reduction.NONE
    critic = losses.wasserstein_hinge_discriminator_loss(real, fake, reduction=none)
    np.testing.assert_allclose(critic, [[0.5 + 0.5], [0.0 + 2.0]])
    np.testing.assert_allclose(losses.wasserstein_hinge_generator_loss(fake, reduction=none), [[0.5], [-1.0]])


def test_tensorflow_is_left_untouched():
    tfgan.metrics()
    assert not hasattr(tf, "estimator")
