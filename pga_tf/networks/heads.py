"""Last layers. They compute and return float32 under any precision policy."""

import math

import keras
import tensorflow as tf

from pga_tf.core import laws
from pga_tf.networks.plan import Plan

LOG_VARIANCE_START = 2.0 * math.log(0.1)  # The PGA paper's posteriors start near a standard deviation of 0.1.
LOG_VARIANCE_LIMIT = 40.0  # exp(+-20) = 4.9e8 and its inverse: their squares and fourth powers are finite.


class GaussianHead(keras.layers.Layer):
    """Features `[B, F]` to (mean, stddev), each `[B, latent_dim]`; stddev = exp(log_variance / 2) > 0.

    Mean and log variance are dense; the bias of the latter starts at 2 log 0.1. The log variance is clipped
    to +-LOG_VARIANCE_LIMIT so that nothing overflows.
    """

    def __init__(self, latent_dim: int, name: str | None = None):
        super().__init__(name=name, dtype="float32")
        start = keras.initializers.Constant(LOG_VARIANCE_START)
        self.mean = keras.layers.Dense(latent_dim, dtype="float32", name="mean")
        self.log_variance = keras.layers.Dense(latent_dim, bias_initializer=start, dtype="float32", name="log_variance")

    def build(self, input_shape: tuple[int, ...]) -> None:
        self.mean.build(input_shape)
        self.log_variance.build(input_shape)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        shape = self.mean.compute_output_shape(input_shape)
        return shape, shape

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        log_variance = tf.clip_by_value(self.log_variance(x), -LOG_VARIANCE_LIMIT, LOG_VARIANCE_LIMIT)
        return self.mean(x), tf.exp(0.5 * log_variance)


class OnSphere(keras.layers.Layer):
    """Codes `[B, H_dim]` onto the sphere of radius sqrt(H_dim), where the mean square per dimension is 1."""

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return laws.on_sphere(x)


def code_head(plan: Plan) -> list[keras.layers.Layer]:
    """The encoder's last layer: `[B, F]` to codes `[B, latent_dim]`, or to (mean, stddev) if `plan.stochastic`."""
    if plan.stochastic:
        return GaussianHead(plan.latent_dim, name="head")
    return keras.layers.Dense(plan.latent_dim, use_bias=not plan.code_norm, dtype="float32", name="head")
