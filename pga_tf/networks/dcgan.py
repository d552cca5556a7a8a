"""Strided convolutions: the PGA paper's networks for MNIST, CIFAR-10 and CelebA, and one for 8x8 digits.

5x5 kernels (3x3 in conv_8), stride 2, "same" padding, leaky ReLU 0.2 in the encoder, ReLU in the decoder,
Glorot uniform; norms where METHODS.md section 1 puts them. A decoder's first layer computes in float32:
bfloat16 would round a code near 1 by up to 4e-3, and PGA's theta loss measures perturbations near 1e-2.
"""

import functools
import math
from collections.abc import Callable

import keras
from keras import layers

from pga_tf.networks.heads import code_head
from pga_tf.networks.plan import NETWORKS, Architecture, Plan, leaky_relu, relu, unit


def _conv(filters, *, kernel_size, **kwargs):
    return layers.Conv2D(filters, kernel_size, strides=2, padding="same", **kwargs)


def _deconv(filters, *, kernel_size, **kwargs):
    return layers.Conv2DTranspose(filters, kernel_size, strides=2, padding="same", **kwargs)


def dense_encoder(plan: Plan, norm: Callable | None, *, units: int, kernel_size: int) -> list[keras.layers.Layer]:
    """Convolutions F and 2F, a dense layer, the head; norms on the second convolution and the dense layer."""
    conv = functools.partial(_conv, kernel_size=kernel_size)
    return [
        *unit(conv, None, leaky_relu, "conv_1", filters=plan.filters),
        *unit(conv, norm, leaky_relu, "conv_2", filters=2 * plan.filters),
        layers.Flatten(),
        *unit(layers.Dense, norm, leaky_relu, "dense", units=units),
        code_head(plan),
    ]


def dense_decoder(plan: Plan, norm: Callable | None, *, units: int, kernel_size: int) -> list[keras.layers.Layer]:
    """Two dense layers, the second of (H/4, W/4, 2F) with a norm, and two deconvolutions, F and C."""
    grid = (*plan.grid(4), 2 * plan.filters)
    deconv = functools.partial(_deconv, kernel_size=kernel_size)
    return [
        *unit(layers.Dense, None, relu, "dense_1", units=units, dtype="float32"),
        *unit(layers.Dense, norm, relu, "dense_2", units=math.prod(grid)),
        layers.Reshape(grid),
        *unit(deconv, None, relu, "deconv_1", filters=plan.filters),
        deconv(plan.image_shape[-1], dtype="float32", name="deconv_2"),
    ]


def conv_encoder(plan: Plan, norm: Callable | None, *, depth: int) -> list[keras.layers.Layer]:
    """`depth` convolutions of F, 2F, 4F, ... and the head; norms on the last two convolutions."""
    conv = functools.partial(_conv, kernel_size=5)
    stack = []
    for k in range(depth):
        norm_here = norm if k >= depth - 2 else None
        stack += unit(conv, norm_here, leaky_relu, f"conv_{k + 1}", filters=plan.filters * 2**k)
    return [*stack, layers.Flatten(), code_head(plan)]


def conv_decoder(plan: Plan, norm: Callable | None, *, depth: int) -> list[keras.layers.Layer]:
    """Dense to 1/2^depth of the size, `depth` deconvolutions ending in F, C; norms on the first depth - 2."""
    grid = (*plan.grid(2**depth), plan.filters * 2 ** (depth - 1))
    deconv = functools.partial(_deconv, kernel_size=5)
    stack = [
        *unit(layers.Dense, None, relu, "dense", units=math.prod(grid), dtype="float32"),
        layers.Reshape(grid),
    ]
    for k in range(depth - 1):
        norm_here = norm if k < depth - 2 else None
        stack += unit(deconv, norm_here, relu, f"deconv_{k + 1}", filters=plan.filters * 2 ** (depth - 2 - k))
    return [*stack, deconv(plan.image_shape[-1], dtype="float32", name=f"deconv_{depth}")]


def _enter(name, encoder, decoder, *, filters, multiple, **kwargs):
    NETWORKS.register(name)(
        Architecture(
            encoder=functools.partial(encoder, **kwargs),
            decoder=functools.partial(decoder, **kwargs),
            filters=filters,
            multiple=multiple,
        )
    )


_enter("conv_8", dense_encoder, dense_decoder, filters=32, multiple=4, units=256, kernel_size=3)
_enter("conv_mnist", dense_encoder, dense_decoder, filters=64, multiple=4, units=1024, kernel_size=5)
_enter("conv_32", conv_encoder, conv_decoder, filters=64, multiple=8, depth=3)
_enter("conv_64", conv_encoder, conv_decoder, filters=64, multiple=16, depth=4)
