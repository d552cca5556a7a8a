"""The first `warmup_steps` steps train L_r alone, and the step after them every loss."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.methods import METHODS
from tests.methods import builders


def _autoencoder_step(model, x):
    """One step of SGD at 0.05 on the mean squared error of g(f(x)), written out by hand."""
    with tf.GradientTape() as tape:
        codes = model.encoder(x, training=True)
        x_hat = model.decoder(codes[0] if isinstance(codes, tuple) else codes, training=True)
        loss = tf.reduce_mean(tf.square(x_hat - x))
    for variable, gradient in zip(
        model.trainable_variables, tape.gradient(loss, model.trainable_variables), strict=True
    ):
        if gradient is not None:  # the head of the standard deviation has no part in L_r
            variable.assign_sub(0.05 * gradient)


@pytest.mark.parametrize("method", ["lpga", "vpga", "lvpga"])
def test_warm_up_trains_l_r_alone_and_the_step_after_it_everything(method):
    fields = [field.name for field in dataclasses.fields(METHODS.get(method).Options)]
    on = builders.build(
        method,
        warmup_steps=2,
        **{name: 0.5 for name in fields if name.startswith("weight_") and name != "weight_reconstruction"},
    )
    plain = builders.build(method)
    for step in range(3):
        x = builders.images(on, seed=step)
        logs = on.train_step(x)
        _autoencoder_step(plain, x)
        differences = [np.abs(a - b).max() for a, b in zip(builders.weights(on), builders.weights(plain), strict=True)]
        if step < 2:
            assert max(differences) < 1e-6
            np.testing.assert_array_equal(logs["loss"], logs["L_r"])  # running means of equal values
        else:
            assert max(differences) > 1e-3
            assert logs["loss"] != logs["L_r"]
