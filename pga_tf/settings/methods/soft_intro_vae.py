"""What is set of Soft-IntroVAE and IntroVAE."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.pixels import PIXEL_RANGES


@dataclasses.dataclass(frozen=True)
class SoftIntroVAEOptions:
    """Defaults are Soft-IntroVAE's for MNIST and CIFAR-10."""

    critic_loss: str = option(
        "soft", "how the encoder tells made images apart: exp(2 ELBO), or IntroVAE's hinge", choices=("soft", "hinge")
    )
    weight_rec: float = option(1.0, "b_rec, w_rec: weight of L_rec", unit="factor", source="Alg. 1", minimum=0.0)
    weight_kl: float = option(1.0, "b_kl, w_kl: weight of the KLs", unit="factor", source="Alg. 1", minimum=0.0)
    weight_neg: float = option(
        256.0, "b_neg, w_neg: weight of KLs of made images in L_E", unit="factor", source="Alg. 1", minimum=0.0
    )
    hinge_margin: float = option(
        120.0, "m: KL above which the hinge lets a made image be", unit="nats", source="IntroVAE, Eq. 11", above=0.0
    )
    weight_made_rec: float = option(
        1e-8, "gamma_r: weight of |x' - x''|^2 in L_D, with the soft loss", unit="factor", source="Alg. 1", minimum=0.0
    )
    vae_steps: int = option(0, "steps of a plain VAE before the encoder turns critic", unit="steps", minimum=0)
    pixel_range: str = option("unit", "[-1, 1] with tanh, or [0, 1] with sigmoid", choices=tuple(PIXEL_RANGES))
