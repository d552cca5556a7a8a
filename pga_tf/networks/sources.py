"""Where a network's inputs come from, the layers that care, and the container that tells them.

One call may hold several segments, one after another along axis 0 and all of one size: `sources` names where
each of them comes from. Only normalisation treats them differently.
"""

from collections.abc import Callable, Sequence

import keras
import tensorflow as tf

ENCODER_SOURCES = ("data", "reconstructions", "perturbed", "samples")
"""Images: of the data set; g(f(x)); g of a perturbed code; g(z) with z from the prior."""

DECODER_SOURCES = ("data", "perturbed", "prior")
"""Codes: f(x); the same with noise added; drawn from the prior."""

CRITIC_SOURCES = ("data", "generated")
"""What a critic judges: what is real to it, and what is made. No batch statistic is ever over both."""


class SourceLayer(keras.layers.Layer):
    """A layer whose `call(x, sources, training)` depends on where its input comes from, or keeps state."""

    def adopt(self, name: str | None, layers: Sequence[keras.layers.Layer]) -> list[keras.layers.Layer]:
        """Returns `layers` as a list, and keeps each as an attribute: tf.train.Checkpoint sees no lists."""
        for k, layer in enumerate(layers):
            setattr(self, f"{name}_{k}", layer)
        return list(layers)

    def replace(self, function: Callable) -> None:
        """Replaces each layer that this one holds by `function` of it, before anything is built. Most hold none."""


def build_layers(layers: Sequence[keras.layers.Layer], input_shape: tuple[int, ...]) -> None:
    """Makes the weights of `layers`, each on the output shape of the one before."""
    for layer in layers:
        layer.build(input_shape)
        input_shape = layer.compute_output_shape(input_shape)


def output_shape(layers: Sequence[keras.layers.Layer], input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape that `layers` in order make of `input_shape`."""
    for layer in layers:
        input_shape = layer.compute_output_shape(input_shape)
    return input_shape


def call_layers(
    layers: Sequence[keras.layers.Layer], x: tf.Tensor, sources: Sequence[str], training: bool
) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
    """Calls `layers` in order; the `SourceLayer`s among them are also given `sources` and `training`."""
    for layer in layers:
        x = layer(x, sources=sources, training=training) if isinstance(layer, SourceLayer) else layer(x)
    return x


class Stack(SourceLayer):
    """A network: layers called in order.

    Args:
      layers: Keras layers.
      known_sources: names that `sources` may hold.

    `stack(x, sources=("data",), training=False)` takes `[S * B, ...]`: S segments of B, one for each source.
    Raises `ValueError` for an unknown source, or a batch that does not divide into the segments. The input is
    not cast: under mixed precision the first layer decides in which precision codes and images are read.
    """

    def __init__(self, layers: Sequence[keras.layers.Layer], *, known_sources: Sequence[str], name: str | None = None):
        super().__init__(name=name, autocast=False)
        self.sublayers = self.adopt("layer", layers)
        self.known_sources = tuple(known_sources)

    def build(self, input_shape: tuple[int, ...]) -> None:
        build_layers(self.sublayers, input_shape)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape(self.sublayers, input_shape)

    def call(self, x: tf.Tensor, sources: Sequence[str] = ("data",), training: bool = False) -> tf.Tensor:
        self._check(x, sources)
        return call_layers(self.sublayers, x, sources, training)

    def _check(self, x, sources):
        unknown = [s for s in sources if s not in self.known_sources]
        if isinstance(sources, str) or unknown or not sources:
            raise ValueError(
                f"{self.name}: expected sources to be a tuple of names out of "
                f"{', '.join(self.known_sources)}, received {sources!r}."
            )
        if x.shape[0] is not None and x.shape[0] % len(sources):
            raise ValueError(
                f"{self.name}: expected a batch of {len(sources)} equal segments, one for each of {sources}, "
                f"received {x.shape[0]} examples."
            )
