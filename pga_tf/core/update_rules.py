"""Keras's optimisers, whose weights can wait for all gradients of a step at no cost.

Adam and SGD move each weight by one kernel of TensorFlow's, in place of Keras's several passes over it. Same formulas,
slots and configuration; only Adam's last bits are others: the kernel takes 1 - beta of the rounded beta. RMSprop moves
weights as Keras does, for without momentum it lacks a slot that its kernel wants.
"""

from collections.abc import Sequence

import keras
import tensorflow as tf


class Waiting(keras.optimizers.Optimizer):
    """A part of the optimisers below: `apply(..., after=one)` moves no weight before `one`, a scalar 1, is there.

    The rate is multiplied by it, which costs nothing; every weight's move needs the rate.
    """

    _after = None

    def apply(
        self,
        grads: Sequence[tf.Tensor],
        trainable_variables: Sequence[keras.Variable] | None = None,
        *,
        after: tf.Tensor | None = None,
    ) -> None:
        """As Keras's, all weights after `after`."""
        self._after = after
        try:
            super().apply(grads, trainable_variables)
        finally:
            self._after = None

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable | keras.Variable, learning_rate: tf.Tensor
    ) -> None:
        """As Keras's, by `move`."""
        variable = variable.value if isinstance(variable, keras.Variable) else variable
        rate = tf.cast(learning_rate, variable.dtype)
        if self._after is not None:
            rate *= tf.cast(self._after, variable.dtype)
        self.move(variable, tf.cast(gradient, variable.dtype), rate)

    def move(self, variable: tf.Variable, gradient: tf.Tensor, rate: tf.Tensor) -> None:
        """Moves one weight and its slots; all of the weight's dtype."""
        super().update_step(gradient, variable, rate)


@keras.saving.register_keras_serializable("pga_tf")
class Adam(Waiting, keras.optimizers.Adam):
    """`keras.optimizers.Adam`, and all that it takes."""

    def move(self, variable, gradient, rate):
        if self.amsgrad:
            super().move(variable, gradient, rate)
            return
        number = self._get_variable_index(variable)
        beta_1, beta_2, epsilon = (tf.cast(x, variable.dtype) for x in (self.beta_1, self.beta_2, self.epsilon))
        updates = tf.cast(self.iterations.value + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[number].value.handle,
            v=self._velocities[number].value.handle,
            beta1_power=tf.pow(beta_1, updates),
            beta2_power=tf.pow(beta_2, updates),
            lr=rate,
            beta1=beta_1,
            beta2=beta_2,
            epsilon=epsilon,
            grad=gradient,
        )


@keras.saving.register_keras_serializable("pga_tf")
class SGD(Waiting, keras.optimizers.SGD):
    """`keras.optimizers.SGD`, and all that it takes."""

    def move(self, variable, gradient, rate):
        if not self.momentum:
            tf.raw_ops.ResourceApplyGradientDescent(var=variable.handle, alpha=rate, delta=gradient)
            return
        tf.raw_ops.ResourceApplyKerasMomentum(
            var=variable.handle,
            accum=self.momentums[self._get_variable_index(variable)].value.handle,
            lr=rate,
            grad=gradient,
            momentum=tf.cast(self.momentum, variable.dtype),
            use_nesterov=self.nesterov,
        )


@keras.saving.register_keras_serializable("pga_tf")
class RMSprop(Waiting, keras.optimizers.RMSprop):
    """`keras.optimizers.RMSprop`, and all that it takes."""


def get(optimizer: str | dict | keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """As `keras.optimizers.get`, but that "adam", "sgd" and "rmsprop" stand for those above."""
    ours = {"adam": Adam, "sgd": SGD, "rmsprop": RMSprop}
    if isinstance(optimizer, str) and optimizer.lower() in ours:
        return ours[optimizer.lower()]()
    return keras.optimizers.get(optimizer)
