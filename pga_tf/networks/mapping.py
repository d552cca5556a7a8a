"""Small networks on codes."""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

from pga_tf.networks.sources import SourceLayer, call_layers
from pga_tf.networks.spectral import normalised


class MLP(SourceLayer):
    """`depth` layers of `width` with ReLU, the input joined to the last of them, then a linear head.

    Args:
      inputs, outputs: dimensions. join: whether the input is joined to the last hidden layer (Dai and Wipf).
      norm: a factory of normalisation layers behind each hidden layer, or None.
      spectral: whether kernels are divided by their spectral norms; the power iteration moves with `training=True`.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        depth: int,
        join: bool = False,
        norm: Callable | None = None,
        spectral: bool = False,
        name: str | None,
    ):
        super().__init__(name=name)
        self.join, self.inputs = join, inputs
        made = [keras.layers.Dense(width, name=f"dense_{i + 1}") for i in range(depth)]
        made.append(keras.layers.Dense(outputs, name="head", dtype="float32"))
        *self.hidden, self.head = map(normalised, made) if spectral else made
        self.norms = [norm(name=f"norm_{i + 1}") for i in range(depth)] if norm else []
        for layer, size in zip(self.hidden, [inputs, *[width] * (depth - 1)], strict=True):
            layer.build((None, size))
        for layer in self.norms:
            layer.build((None, width))
        self.head.build((None, width + inputs if join else width))
        self.built = True

    def call(self, codes: tf.Tensor, sources: Sequence[str] = ("data",), training: bool = False) -> tf.Tensor:
        x = codes
        for i, layer in enumerate(self.hidden):
            x = tf.nn.relu(call_layers([layer, *self.norms[i : i + 1]], x, sources, training))
        x = tf.concat([tf.cast(x, codes.dtype), codes], axis=1) if self.join else x
        return call_layers([self.head], x, sources, training)
