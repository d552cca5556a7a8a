"""Residual networks of SN-GAN's CIFAR shape, as the PGA paper's appendix C uses them, 512 filters wide.

The authors' code settles what the paper leaves open: the encoder's head reads the flattened map (no pooling),
norms sit in the blocks of both networks, the decoder starts from 4F channels, and its blocks fill in zeros where they
double the size (`--unpooling=corner`). The default repeats pixels, as SN-GAN does.
"""

import functools
import math
from collections.abc import Callable, Sequence

import keras
import tensorflow as tf
from keras import layers

from pga_tf.networks.heads import code_head
from pga_tf.networks.plan import NETWORKS, Architecture, Plan, relu, unit
from pga_tf.networks.sources import SourceLayer, build_layers, call_layers, output_shape


def _conv(filters, kernel_size=3, **kwargs):
    return layers.Conv2D(filters, kernel_size, padding="same", **kwargs)


class Residual(SourceLayer):
    """shortcut(x) + branch(x), of two lists of layers; a shortcut without layers is x itself."""

    def __init__(
        self, branch: Sequence[keras.layers.Layer], shortcut: Sequence[keras.layers.Layer], *, name: str | None = None
    ):
        super().__init__(name=name)
        self._parts = lambda: (branch, shortcut)  # hidden from Keras, which would keep layers that are replaced

    def replace(self, function: Callable) -> None:
        branch, shortcut = ([function(layer) for layer in part] for part in self._parts())
        self._parts = lambda: (branch, shortcut)

    def build(self, input_shape: tuple[int, ...]) -> None:
        branch, shortcut = self._parts()
        self.branch, self.shortcut = self.adopt("branch", branch), self.adopt("shortcut", shortcut)
        build_layers(self.branch, input_shape)
        build_layers(self.shortcut, input_shape)

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return output_shape(self.branch, input_shape)

    def call(self, x: tf.Tensor, sources: Sequence[str] = ("data",), training: bool = False) -> tf.Tensor:
        shortcut = call_layers(self.shortcut, x, sources, training)
        return shortcut + call_layers(self.branch, x, sources, training)


class CornerUnpooling(layers.Layer):
    """`[B, H, W, C]` to `[B, 2H, 2W, C]`: each pixel in the upper left corner of a block of 2x2, beside zeros."""

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        batch, height, width, channels = input_shape
        return (batch, 2 * height, 2 * width, channels)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(tf.pad(x, [[0, 0], [0, 0], [0, 0], [0, 3 * x.shape[-1]]]), 2)


class ResidualBlock(Residual):
    """shortcut(x) + branch(x), `[B, H, W, C]` to `[B, H', W', filters]`.

    H' = 2H with scale "up", H / 2 with "down", H with None.

    The branch is norm, ReLU, conv 3x3, norm, ReLU, conv 3x3; a network's `first` block leaves out its leading
    norm and ReLU. The shortcut is a conv 1x1 where the size or the number of channels changes; it runs at the
    smaller of the two sizes where that gives the same values as at the larger one. `unpooling`: as in `Plan`.
    """

    def __init__(
        self,
        filters: int,
        *,
        channels: int,
        norm: Callable | None,
        scale: str | None = None,
        unpooling: str = "repeat",
        first: bool = False,
        name: str | None = None,
    ):
        unpool = {"repeat": functools.partial(layers.UpSampling2D, 2), "corner": CornerUnpooling}[unpooling]
        up = [unpool()] if scale == "up" else []
        down = [layers.AveragePooling2D(2)] if scale == "down" else []
        start = [] if first else [*([norm(name="norm")] if norm else []), relu()]
        convs = [*unit(_conv, norm, relu, "conv_1", filters=filters), _conv(filters, name="conv_2")]
        project = _conv(filters, 1, name="shortcut")
        # The bias reaches the zeros of an unpooled map too.
        project = [*up, *down, project] if unpooling == "corner" else [*down, project, *up]
        super().__init__([*start, *up, *convs, *down], project if scale or channels != filters else [], name=name)


def encoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Two blocks down, two plain ones, all F wide, ReLU, and the head on the flattened (H/4, W/4, F)."""
    return [*_trunk(plan, norm), layers.Flatten(), code_head(plan)]


def critic(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """The encoder's blocks, summed over positions before the head (Miyato et al., table 4)."""
    return [*_trunk(plan, norm), SumPooling(name="sum"), code_head(plan)]


class SumPooling(layers.Layer):
    """`[B, H, W, C]` to `[B, C]`, the sum over positions in float32."""

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return (input_shape[0], input_shape[-1])

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return tf.reduce_sum(tf.cast(x, tf.float32), axis=[1, 2])


def _trunk(plan, norm):
    width, channels = plan.filters, plan.image_shape[-1]
    return [
        ResidualBlock(width, channels=channels, norm=norm, scale="down", first=True, name="block_1"),
        ResidualBlock(width, channels=width, norm=norm, scale="down", name="block_2"),
        ResidualBlock(width, channels=width, norm=norm, name="block_3"),
        ResidualBlock(width, channels=width, norm=norm, name="block_4"),
        relu(),
    ]


def decoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """A dense layer to (H/8, W/8, 4F), three blocks up, F wide, ReLU, and a conv 3x3 to C."""
    width = plan.filters
    grid = (*plan.grid(8), 4 * width)
    up = {"norm": norm, "scale": "up", "unpooling": plan.unpooling}
    return [
        layers.Dense(math.prod(grid), dtype="float32", name="dense"),
        layers.Reshape(grid),
        ResidualBlock(width, channels=4 * width, name="block_1", **up),
        ResidualBlock(width, channels=width, name="block_2", **up),
        ResidualBlock(width, channels=width, name="block_3", **up),
        relu(),
        _conv(plan.image_shape[-1], dtype="float32", name="conv"),
    ]


NETWORKS.register("resnet_32")(Architecture(encoder, decoder, filters=512, multiple=8, critic=critic, unpools=True))
