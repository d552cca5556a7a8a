"""What a family of networks is given, and what it gives back. Its name stands in `settings/networks.py` too."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from pga_tf.core.registry import Registry
from pga_tf.settings.networks import SCALE_BLOCKS

NETWORKS = Registry("network")


class NormConstants(NamedTuple):
    """Of batch norm: what is added to variances, and what running statistics keep of themselves in a step."""

    epsilon: float
    momentum: float


TF_SLIM = NormConstants(1e-3, 0.99)
"""The epsilon with which PGA's networks were trained. Statistics remember 100 steps; the paper's samples need none."""

COMPARE_GAN = NormConstants(1e-3, 0.999)
"""Of the GANs that the two-stage VAE is compared with."""

DAI_WIPF = NormConstants(1e-5, 0.999)
"""Of the two-stage VAE's networks, whose samples are decoded by running statistics."""

TOLSTIKHIN = NormConstants(1e-5, 0.9)
"""Of the Wasserstein autoencoder's networks, whose samples are decoded by running statistics."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """One network to build: image shape `(H, W, C)`, latent dimensions, width, kind of codes."""

    image_shape: tuple
    latent_dim: int
    filters: int
    stochastic: bool
    code_norm: bool = False  # whether batch norm follows the head, and takes a bias of it away
    unpooling: str = "repeat"  # how residual blocks double a size: "repeat" or "corner"
    scale_blocks: int = SCALE_BLOCKS  # residual blocks of `scale_resnet` at each scale

    def grid(self, factor: int) -> tuple[int, int]:
        """(H, W) divided by `factor`."""
        return self.image_shape[0] // factor, self.image_shape[1] // factor


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A registered network.

    Attributes:
      encoder, decoder: `(plan, norm)` to the list of layers. `norm` is a factory of normalisation layers, or
        None for networks without; the encoder's list ends with its head, the decoder's before its output
        function, in a layer of float32.
      filters: the published width.
      multiple: height and width must be multiples of it.
      critic: as `encoder`, for a plan with one latent dimension; None where it has the encoder's shape.
      restoring_critic: as `decoder`, of a critic that takes images; None where it is encoder and decoder in a row.
      batch_norm: the constants of its batch norms.
      unpools: whether its decoder goes by `Plan.unpooling`.
    """

    encoder: Callable
    decoder: Callable
    filters: int
    multiple: int
    critic: Callable | None = None
    restoring_critic: Callable | None = None
    batch_norm: NormConstants = TF_SLIM
    unpools: bool = False


def unit(
    layer: keras.layers.Layer, norm: Callable | None, activation: Callable, name: str | None, **kwargs: Any
) -> list[keras.layers.Layer]:
    """A weight layer, a norm if `norm` is one, an activation: the list that most networks repeat.

    The weight layer has a bias only where no norm follows: beta is that bias.
    """
    layers = [layer(use_bias=norm is None, name=name, **kwargs)]
    if norm is not None:
        layers.append(norm(name=f"{name}_norm"))
    return [*layers, activation()]


def relu() -> keras.layers.Layer:
    """ReLU, as decoders have it."""
    return keras.layers.ReLU()


def leaky_relu() -> keras.layers.Layer:
    """Leaky ReLU of slope 0.2, as encoders have it."""
    return keras.layers.LeakyReLU(negative_slope=0.2)
