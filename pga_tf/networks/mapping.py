"""Small networks on codes."""

import keras
import tensorflow as tf

from pga_tf.networks.sources import call_layers
from pga_tf.networks.spectral import normalised


class MLP(keras.layers.Layer):
    """`depth` layers of `width` with ReLU, the input joined to the last of them, then a linear head.

    Args:
      inputs, outputs: dimensions. join: whether the input is concatenated to the last hidden layer (Dai and Wipf).
      spectral: whether kernels are divided by their spectral norms; the power iteration moves with `training=True`.
    """

    def __init__(self, inputs, outputs, *, width, depth, join, name, spectral=False):
        super().__init__(name=name)
        self.join = join
        made = [keras.layers.Dense(width, name=f"dense_{i + 1}") for i in range(depth)]
        made.append(keras.layers.Dense(outputs, name="head", dtype="float32"))
        *self.hidden, self.head = map(normalised, made) if spectral else made
        for layer, size in zip(self.hidden, [inputs, *[width] * (depth - 1)], strict=True):
            layer.build((None, size))
        self.head.build((None, width + inputs if join else width))
        self.built = True

    def call(self, codes, training=False):
        x = codes
        for layer in self.hidden:
            x = tf.nn.relu(call_layers([layer], x, ("data",), training))
        x = tf.concat([tf.cast(x, codes.dtype), codes], axis=1) if self.join else x
        return call_layers([self.head], x, ("data",), training)
