"""SN-GAN's networks: residual ones, for 64x64 images (the prior-free model's too) and for 32x32, and plain ones.

Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018, appendix B, and the same block as
in resnet.py. The prior-free paper prints no table and names Mimicry, a library that has these networks: encoder and
critic have one block down for each halving to 4x4, F filters doubling up to 8F, and a plain block of 16F; the decoder
mirrors them. The critic sums the last map over positions, as SN-GAN's does; the encoder's head reads it flattened.
Spectral normalisation of the critic is the method's choice (`--critic_norm=spectral`).

`sngan_32` is appendix B.4's pair for CIFAR-10: a critic of F and a decoder of 2F filters. `sngan_cnn` is table 3's
"standard CNN": convolutions 3x3 and 4x4 with stride 2 in turn, leaky ReLU 0.1, and a decoder of 4x4 deconvolutions.
"""

import functools
import math
from collections.abc import Callable

import keras
from keras import layers

from pga_tf.networks import resnet
from pga_tf.networks.heads import code_head
from pga_tf.networks.plan import NETWORKS, Architecture, Plan, relu, unit
from pga_tf.networks.resnet import ResidualBlock, SumPooling

SCALES = 4  # halvings


def encoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Blocks down to F, 2F, 4F, 8F, a plain one of 16F, ReLU, and the head on the flattened (H/16, W/16, 16F)."""
    return [*_trunk(plan, norm), layers.Flatten(), code_head(plan)]


def critic(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """The encoder's blocks, summed over positions before the head."""
    return [*_trunk(plan, norm), SumPooling(name="sum"), code_head(plan)]


def _trunk(plan, norm):
    stack, channels = [], plan.image_shape[-1]
    for k in range(SCALES + 1):
        width = plan.filters * 2**k
        scale = "down" if k < SCALES else None
        stack.append(
            ResidualBlock(width, channels=channels, norm=norm, scale=scale, first=k == 0, name=f"block_{k + 1}")
        )
        channels = width
    return [*stack, relu()]


def decoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """A dense layer to (H/16, W/16, 16F), blocks up to 8F, 4F, 2F, F, norm, ReLU, and a conv 3x3 to C."""
    grid = (*plan.grid(2**SCALES), plan.filters * 2**SCALES)
    stack = [layers.Dense(math.prod(grid), dtype="float32", name="dense"), layers.Reshape(grid)]
    for k in range(SCALES):
        width = plan.filters * 2 ** (SCALES - 1 - k)
        up = {"scale": "up", "unpooling": plan.unpooling}
        stack.append(ResidualBlock(width, channels=2 * width, norm=norm, name=f"block_{k + 1}", **up))
    last = layers.Conv2D(plan.image_shape[-1], 3, padding="same", dtype="float32", name="conv")
    return [*stack, *([norm(name="norm")] if norm else []), relu(), last]


NETWORKS.register("sngan_64")(
    Architecture(encoder, decoder, filters=64, multiple=2**SCALES, critic=critic, unpools=True)
)


def decoder_32(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """A dense layer to (H/8, W/8, 2F), three blocks up of 2F, norm, ReLU, and a conv 3x3 to C."""
    width = 2 * plan.filters
    grid = (*plan.grid(8), width)
    stack = [layers.Dense(math.prod(grid), dtype="float32", name="dense"), layers.Reshape(grid)]
    for k in range(3):
        up = {"scale": "up", "unpooling": plan.unpooling}
        stack.append(ResidualBlock(width, channels=width, norm=norm, name=f"block_{k + 1}", **up))
    last = layers.Conv2D(plan.image_shape[-1], 3, padding="same", dtype="float32", name="conv")
    return [*stack, *([norm(name="norm")] if norm else []), relu(), last]


NETWORKS.register("sngan_32")(
    Architecture(resnet.encoder, decoder_32, filters=128, multiple=8, critic=resnet.critic, unpools=True)
)


def cnn_encoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Convolutions of F, F, 2F, 2F, 4F, 4F, 8F, each second of stride 2, and the head; norms on all but the first."""
    leaky, stack = functools.partial(layers.LeakyReLU, negative_slope=0.1), []
    for k in range(7):
        kernel, stride = (4, 2) if k % 2 else (3, 1)
        conv = functools.partial(layers.Conv2D, kernel_size=kernel, strides=stride, padding="same")
        stack += unit(conv, norm if k else None, leaky, f"conv_{k + 1}", filters=plan.filters * 2 ** (k // 2))
    return [*stack, layers.Flatten(), code_head(plan)]


def cnn_decoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """A dense layer to (H/8, W/8, 8F), deconvolutions of 4F, 2F and F with norms, and a conv 3x3 to C."""
    grid = (*plan.grid(8), 8 * plan.filters)
    deconv = functools.partial(layers.Conv2DTranspose, kernel_size=4, strides=2, padding="same")
    stack = [layers.Dense(math.prod(grid), dtype="float32", name="dense"), layers.Reshape(grid)]
    for k in range(3):
        stack += unit(deconv, norm, relu, f"deconv_{k + 1}", filters=plan.filters * 2 ** (2 - k))
    return [*stack, layers.Conv2D(plan.image_shape[-1], 3, padding="same", dtype="float32", name="conv")]


NETWORKS.register("sngan_cnn")(Architecture(cnn_encoder, cnn_decoder, filters=64, multiple=8))
