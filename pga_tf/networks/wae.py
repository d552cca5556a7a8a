"""The Wasserstein autoencoder's convolutional pairs: its authors', and that of the two-stage VAE's released settings.

ReLU in both networks, a norm behind every layer but the decoder's dense one and the last; the last deconvolution keeps
the size. `wae_mnist` (4x4 kernels) and `wae_celeba` (5x5) are Tolstikhin et al.'s: each of the four convolutions halves
the size. In `wae`, the two-stage paper's, the first convolution keeps it. Deviation: no bias where a norm follows; the
standard deviation starts at 0.1 instead of 1.
"""

import functools
import math
from collections.abc import Callable

import keras
from keras import layers

from pga_tf.networks.heads import code_head
from pga_tf.networks.plan import DAI_WIPF, NETWORKS, TOLSTIKHIN, Architecture, Plan, relu, unit

CONVOLUTIONS = 4


def encoder(plan: Plan, norm: Callable | None, *, kernel_size: int, first_stride: int) -> list[keras.layers.Layer]:
    """Convolutions F (`first_stride`), 2F, 4F, 8F (stride 2), and the head on what they give, flattened."""
    conv = functools.partial(layers.Conv2D, kernel_size=kernel_size, padding="same")
    stack = []
    for k in range(CONVOLUTIONS):
        stride = 2 if k else first_stride
        stack += unit(conv, norm, relu, f"conv_{k + 1}", filters=plan.filters * 2**k, strides=stride)
    return [*stack, layers.Flatten(), code_head(plan)]


def decoder(plan: Plan, norm: Callable | None, *, kernel_size: int, doublings: int) -> list[keras.layers.Layer]:
    """Dense to (H, W, 8F) over 2^doublings, deconvolutions 4F, 2F, ... (stride 2), and one to C (stride 1)."""
    deconv = functools.partial(layers.Conv2DTranspose, kernel_size=kernel_size, padding="same")
    width = plan.filters * 2 ** (CONVOLUTIONS - 1)
    grid = (*plan.grid(2**doublings), width)
    stack = [*unit(layers.Dense, None, relu, "dense", units=math.prod(grid), dtype="float32"), layers.Reshape(grid)]
    for k in range(doublings):
        stack += unit(deconv, norm, relu, f"deconv_{k + 1}", filters=width // 2 ** (k + 1), strides=2)
    return [*stack, deconv(plan.image_shape[-1], strides=1, dtype="float32", name="last")]


def _enter(name, *, kernel_size, first_stride, doublings, batch_norm):
    NETWORKS.register(name)(
        Architecture(
            functools.partial(encoder, kernel_size=kernel_size, first_stride=first_stride),
            functools.partial(decoder, kernel_size=kernel_size, doublings=doublings),
            filters=128,
            multiple=2**doublings,
            batch_norm=batch_norm,
        )
    )


_enter("wae", kernel_size=5, first_stride=1, doublings=3, batch_norm=DAI_WIPF)
_enter("wae_mnist", kernel_size=4, first_stride=2, doublings=2, batch_norm=TOLSTIKHIN)
_enter("wae_celeba", kernel_size=5, first_stride=2, doublings=3, batch_norm=TOLSTIKHIN)
