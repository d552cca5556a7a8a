"""How images are brought to the input of a feature network. Scores of two ways are not comparable."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf


class Resize(NamedTuple):
    """`apply`: function of float32 images `[B, H, W, C]` in [0, 255] and (height, width). `told`: the card's words."""

    apply: Callable[[tf.Tensor, Sequence[int]], tf.Tensor]
    told: str


def antialiased(images: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Bicubic, antialiased where images shrink, and clipped to [0, 255], which bicubic overshoots."""
    return tf.clip_by_value(tf.image.resize(images, size, method="bicubic", antialias=True), 0.0, 255.0)


def legacy(images: tf.Tensor, size: Sequence[int]) -> tf.Tensor:
    """Bilinear as the 2015 graph of Inception does it at its own node, which TensorFlow 1 called the default.

    Output pixel i is read at i * in / out: half a pixel off, nothing is averaged where images shrink, and the last rows
    and columns are repeated where they grow.
    """
    return tf.raw_ops.ResizeBilinear(images=images, size=size, align_corners=False, half_pixel_centers=False)


RESIZES = {
    "antialiased": Resize(antialiased, "bicubic, antialiased"),
    "legacy": Resize(legacy, "bilinear at i * in / out, not antialiased, as the 2015 graph of Inception does it"),
}
