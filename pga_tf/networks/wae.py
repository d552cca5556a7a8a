"""The Wasserstein autoencoder's convolutional pair for CelebA, as the two-stage VAE's released settings have it.

5x5 kernels, ReLU in both networks, a norm behind every layer but the decoder's dense one and the last. The first
convolution and the last deconvolution keep the size; the three between halve or double it. Deviation: no bias where a
norm follows; the standard deviation starts at 0.1 instead of 1.
"""

import functools
import math
from collections.abc import Callable

import keras
from keras import layers

from pga_tf.networks.heads import code_head
from pga_tf.networks.plan import DAI_WIPF, NETWORKS, Architecture, Plan, relu, unit

SCALES = 3  # halvings


def encoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Convolutions F (stride 1), 2F, 4F, 8F (stride 2), and the head on the flattened (H/8, W/8, 8F)."""
    conv = functools.partial(layers.Conv2D, kernel_size=5, padding="same")
    stack = []
    for k in range(SCALES + 1):
        stack += unit(conv, norm, relu, f"conv_{k + 1}", filters=plan.filters * 2**k, strides=2 if k else 1)
    return [*stack, layers.Flatten(), code_head(plan)]


def decoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Dense to (H/8, W/8, 8F), deconvolutions 4F, 2F, F (stride 2), and one to C (stride 1)."""
    deconv = functools.partial(layers.Conv2DTranspose, kernel_size=5, padding="same")
    grid = (*plan.grid(2**SCALES), plan.filters * 2**SCALES)
    stack = [*unit(layers.Dense, None, relu, "dense", units=math.prod(grid), dtype="float32"), layers.Reshape(grid)]
    for k in range(SCALES):
        filters = plan.filters * 2 ** (SCALES - 1 - k)
        stack += unit(deconv, norm, relu, f"deconv_{k + 1}", filters=filters, strides=2)
    return [*stack, deconv(plan.image_shape[-1], strides=1, dtype="float32", name="last")]


NETWORKS.register("wae")(Architecture(encoder, decoder, filters=128, multiple=2**SCALES, batch_norm=DAI_WIPF))
