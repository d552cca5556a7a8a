"""SN-GAN's residual networks for 64x64 images, which the prior-free model is built from (METHODS.md section 3).

Miyato et al., Spectral Normalization for Generative Adversarial Networks, ICLR 2018, appendix B, and the same block as
in resnet.py. The prior-free paper prints no table and names Mimicry, a library that has these networks: encoder and
critic have one block down for each halving to 4x4, F filters doubling up to 8F, and a plain block of 16F; the decoder
mirrors them. The critic sums the last map over positions, as SN-GAN's does; the encoder's head reads it flattened.
Spectral normalisation of the critic is the method's choice (`--critic_norm=spectral`).
"""

import math
from collections.abc import Callable

import keras
from keras import layers

from pga_tf.networks.heads import code_head
from pga_tf.networks.plan import NETWORKS, Architecture, Plan, relu
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
