"""Small networks on codes."""

import keras
import tensorflow as tf


class MLP(keras.layers.Layer):
    """`depth` layers of `width` with ReLU, the input joined to the last of them, then a linear head.

    Args:
      inputs, outputs: dimensions. join: whether the input is concatenated to the last hidden layer (Dai and Wipf).
    """

    def __init__(self, inputs, outputs, *, width, depth, join, name):
        super().__init__(name=name)
        self.join = join
        self.hidden = [keras.layers.Dense(width, activation="relu", name=f"dense_{i + 1}") for i in range(depth)]
        self.head = keras.layers.Dense(outputs, name="head", dtype="float32")
        for layer, size in zip(self.hidden, [inputs, *[width] * (depth - 1)], strict=True):
            layer.build((None, size))
        self.head.build((None, width + inputs if join else width))
        self.built = True

    def call(self, codes):
        x = codes
        for layer in self.hidden:
            x = layer(x)
        return self.head(tf.concat([tf.cast(x, codes.dtype), codes], axis=1) if self.join else x)
