"""What is set of a GAN."""

import dataclasses

from pga_tf.core import checks
from pga_tf.core.options import option
from pga_tf.settings.methods.adversarial import AdversarialOptions
from pga_tf.settings.objectives import ADVERSARIAL_LOSSES

OF_SLOPES = ("wgan_gp", "dragan", "r1")


@dataclasses.dataclass(frozen=True)
class GANOptions(AdversarialOptions):
    """Defaults are those of the non-saturating GAN in compare_gan, without its batch norm."""

    loss: str = option("non_saturating", "L_C and L_G", choices=ADVERSARIAL_LOSSES)
    penalty: str = option(
        "none",
        "of the critic: its weights clipped, or its slopes between real and generated images held near 1, around real "
        "ones, or near 0 at real ones",
        choices=("none", "clip", *OF_SLOPES),
    )
    weight_penalty: float = option(
        10.0, "lambda: weight of wgan_gp and dragan; gamma / 2 of r1", unit="factor", minimum=0.0
    )
    clip: float = option(
        0.01, "c of --penalty=clip: each weight lies in [-c, c] after an update", unit="weight units", above=0.0
    )
    critic_norm: str = option(
        "none", "of the critic's layers, or of its kernels", choices=("none", "batch", "layer", "spectral")
    )

    def __post_init__(self):
        if self.penalty in OF_SLOPES and self.critic_norm == "batch":
            checks.refuse(
                f"--penalty={self.penalty}",
                expected="a critic without batch norm, which makes the slope at one image depend on the others",
                received="--critic_norm=batch",
                remedy="use --critic_norm=layer or none",
            )
