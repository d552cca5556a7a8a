"""The ScaleBlock residual networks of the two-stage VAE's released settings.

Base 32, two residual blocks for each scale (`--scale_blocks=1`: the released code's one), three scales for 32x32
images and four for 64x64, and a residual dense block of 512 units before the head. A residual block has a 3x3
convolution as its shortcut. Deviation: the standard deviation starts at 0.1 instead of 1.
"""

import functools
import math
from collections.abc import Callable

import keras
from keras import layers

from pga_tf.networks.heads import code_head
from pga_tf.networks.plan import DAI_WIPF, NETWORKS, Architecture, Plan, relu
from pga_tf.networks.resnet import Residual

UNITS = 512
LARGEST = 1024  # filters
SMALLEST_GRID = 2  # height or width that the decoder starts from

_conv = functools.partial(layers.Conv2D, kernel_size=3, padding="same")


def _scale(filters, norm, count, name):
    """Residual blocks of one size: (norm, ReLU, conv 3x3) twice, beside a conv 3x3."""
    blocks = []
    for b in range(count):
        branch = []
        for k in (1, 2):
            branch += [*([norm(name=f"norm_{k}")] if norm else []), relu(), _conv(filters, name=f"conv_{k}")]
        blocks.append(Residual(branch, [_conv(filters, name="shortcut")], name=f"{name}_block_{b + 1}"))
    return blocks


def _halvings(plan):
    """How often height and width can be halved and stay whole and at least `SMALLEST_GRID`."""
    count, size = 0, min(plan.image_shape[:2])
    while all(n % 2 ** (count + 1) == 0 for n in plan.image_shape[:2]) and size // 2 ** (count + 1) >= SMALLEST_GRID:
        count += 1
    return count


def encoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """A conv to F, scales of F, 2F, 4F, ... with strided convs between, mean over positions, dense block, head."""
    filters, count = plan.filters, _halvings(plan) - 1
    stack = [_conv(filters, name="conv")]
    for k in range(count):
        stack += _scale(filters * 2**k, norm, plan.scale_blocks, f"scale_{k + 1}")
        if k < count - 1:
            stack.append(_conv(filters * 2 ** (k + 1), strides=2, name=f"down_{k + 1}"))
    branch = [relu(), layers.Dense(UNITS, name="dense_1"), relu(), layers.Dense(UNITS, name="dense_2")]
    dense = Residual(branch, [layers.Dense(UNITS, name="shortcut")], name="dense")
    return [*stack, layers.GlobalAveragePooling2D(), dense, code_head(plan)]


def decoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Dense to the smallest grid, then a deconvolution and a scale for each doubling, and a conv to C."""
    count = _halvings(plan)
    widths = [min(plan.filters * 2**k, LARGEST) for k in range(count, -1, -1)]
    grid = (*plan.grid(2**count), widths[0])
    stack = [layers.Dense(math.prod(grid), dtype="float32", name="dense"), layers.Reshape(grid)]
    for k, filters in enumerate(widths[1:]):
        stack.append(layers.Conv2DTranspose(filters, 3, strides=2, padding="same", name=f"up_{k + 1}"))
        stack += _scale(filters, norm, plan.scale_blocks, f"scale_{k + 1}")
    return [*stack, _conv(plan.image_shape[-1], dtype="float32", name="conv")]


NETWORKS.register("scale_resnet")(Architecture(encoder, decoder, filters=32, multiple=16, batch_norm=DAI_WIPF))
