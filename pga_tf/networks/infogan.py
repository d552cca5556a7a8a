"""InfoGAN's pair as the two-stage VAE paper uses it (METHODS.md section 2).

4x4 kernels, stride 2, spectral normalisation in the encoder, its head included, and a softplus standard
deviation. Batch norm is on in the paper (`--batch_norm=shared`), with constants of its own. Deviations: Glorot
uniform kernels instead of normal ones of 0.02, and no bias where a norm follows.
"""

import functools
import math
from collections.abc import Callable

import keras
import tensorflow as tf
from keras import layers

from pga_tf.networks.plan import COMPARE_GAN, DAI_WIPF, NETWORKS, Architecture, Plan, leaky_relu, relu, unit
from pga_tf.networks.spectral import SpectralConv2D, SpectralDense

UNITS = 1024
STDDEV_MINIMUM = 1e-6  # Keeps log stddev finite where softplus underflows; the authors' value.


class SoftplusSplit(layers.Layer):
    """`[B, 2 H_dim]` to (mean, stddev), each `[B, H_dim]`; stddev = softplus(second half) + 1e-6."""

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        half = (*input_shape[:-1], input_shape[-1] // 2)
        return half, half

    def call(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        mean, raw = tf.split(x, 2, axis=-1)
        return mean, tf.nn.softplus(raw) + STDDEV_MINIMUM


def encoder(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """Convolutions F, 2F with a norm, dense 1024 with a norm, and one dense head for mean and stddev."""
    conv = functools.partial(SpectralConv2D, kernel_size=4, strides=2)
    size = plan.latent_dim * (2 if plan.stochastic else 1)
    head = SpectralDense(size, use_bias=not plan.code_norm, dtype="float32", name="head")
    return [
        *unit(conv, None, leaky_relu, "conv_1", filters=plan.filters),
        *unit(conv, norm, leaky_relu, "conv_2", filters=2 * plan.filters),
        layers.Flatten(),
        *unit(SpectralDense, norm, leaky_relu, "dense", units=UNITS),
        head,
        *([SoftplusSplit(dtype="float32", name="posterior")] if plan.stochastic else []),
    ]


def critic(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """The same without spectral normalisation of its own, its head of one number: InfoGAN's critic."""
    conv = functools.partial(layers.Conv2D, kernel_size=4, strides=2, padding="same")
    return [
        *unit(conv, None, leaky_relu, "conv_1", filters=plan.filters),
        *unit(conv, norm, leaky_relu, "conv_2", filters=2 * plan.filters),
        layers.Flatten(),
        *unit(layers.Dense, norm, leaky_relu, "dense", units=UNITS),
        layers.Dense(1, dtype="float32", name="head"),
    ]


def restoring_critic(plan: Plan, norm: Callable | None) -> list[keras.layers.Layer]:
    """BEGAN's in compare_gan: convolutions F, 2F, a code, dense (H/4, W/4, 2F), deconvolutions F and C."""
    grid = (*plan.grid(4), 2 * plan.filters)
    conv = functools.partial(layers.Conv2D, kernel_size=4, strides=2, padding="same")
    deconv = functools.partial(layers.Conv2DTranspose, kernel_size=4, strides=2, padding="same")
    return [
        *unit(conv, None, leaky_relu, "conv_1", filters=plan.filters),
        *unit(conv, None, leaky_relu, "conv_2", filters=2 * plan.filters),
        layers.Flatten(),
        *unit(layers.Dense, norm, leaky_relu, "code", units=plan.latent_dim),
        *unit(layers.Dense, norm, leaky_relu, "dense", units=math.prod(grid)),
        layers.Reshape(grid),
        *unit(deconv, norm, leaky_relu, "deconv_1", filters=plan.filters),
        deconv(plan.image_shape[-1], dtype="float32", name="deconv_2"),
    ]


def decoder(plan: Plan, norm: Callable | None, *, activation: Callable = relu) -> list[keras.layers.Layer]:
    """Dense 1024 and dense (H/4, W/4, 2F), deconvolution F, all with norms, and a deconvolution to C."""
    grid = (*plan.grid(4), 2 * plan.filters)
    deconv = functools.partial(layers.Conv2DTranspose, kernel_size=4, strides=2, padding="same")
    return [
        *unit(layers.Dense, norm, activation, "dense_1", units=UNITS, dtype="float32"),
        *unit(layers.Dense, norm, activation, "dense_2", units=math.prod(grid)),
        layers.Reshape(grid),
        *unit(deconv, norm, activation, "deconv_1", filters=plan.filters),
        deconv(plan.image_shape[-1], dtype="float32", name="deconv_2"),
    ]


CRITICS = {"critic": critic, "restoring_critic": restoring_critic}
NETWORKS.register("infogan")(
    Architecture(encoder, decoder, filters=64, multiple=4, batch_norm=DAI_WIPF, **CRITICS),
)
# As the GANs of Lucic et al. have it (compare_gan, version 1), with which the two-stage VAE is compared.
NETWORKS.register("infogan_leaky")(
    Architecture(
        encoder,
        functools.partial(decoder, activation=leaky_relu),
        filters=64,
        multiple=4,
        batch_norm=COMPARE_GAN,
        **CRITICS,
    )
)
