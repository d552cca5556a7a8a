"""What a user chooses about the networks."""

import dataclasses

from pga_tf.core.options import option

NETWORKS = (
    "conv_32", "conv_64", "conv_8", "conv_mnist", "infogan", "infogan_leaky", "mlp", "resnet_32", "scale_resnet",
    "sngan_32", "sngan_64", "sngan_cnn", "wae", "wae_celeba", "wae_mnist",
)  # fmt: skip
"""Every architecture, by its registered name."""

AUTO = "auto"
OWN = "{} of your own, PACKAGE.MODULE:FUNCTION of (image_shape, latent_dim) that returns a Keras model"

SCALE_BLOCKS = 2
"""Residual blocks at each scale of the two-stage paper's ResNets."""


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """What a user chooses about the networks."""

    network: str = option(
        AUTO,
        "architecture of encoder and decoder; auto: the one that suits the images' size",
        choices=(AUTO, *NETWORKS),
    )
    latent_dim: int = option(32, "H_dim, the size of a code", unit="dimensions", minimum=1, maximum=2**20)
    filters: int = option(
        0,
        "filters of the first convolution, or width; 0 is the network's published one",
        unit="filters",
        minimum=0,
        maximum=2**16,
    )
    batch_norm: str = option(
        "none",
        "batch normalisation: none, one set of running statistics, or one for each source of input",
        choices=("none", "shared", "per_source"),
    )
    unpooling: str = option(
        "repeat",
        "how a decoder of residual blocks doubles a map: each pixel four times, or in a corner beside three zeros",
        source="the PGA paper's ResNet has corner",
        choices=("repeat", "corner"),
    )
    scale_blocks: int = option(
        SCALE_BLOCKS,
        "residual blocks at each scale of --network=scale_resnet",
        unit="blocks",
        source="two in the two-stage paper, one in its released code",
        minimum=1,
        maximum=64,
    )
    encoder: str = option("", OWN.format("an encoder"))
    decoder: str = option("", OWN.format("a decoder"))
    critic: str = option("", OWN.format("a critic of images"))

    def own(self) -> dict[str, str]:
        """The roles whose networks are a user's own: dict of role to PACKAGE.MODULE:FUNCTION."""
        return {role: getattr(self, role) for role in ("encoder", "decoder", "critic") if getattr(self, role)}
