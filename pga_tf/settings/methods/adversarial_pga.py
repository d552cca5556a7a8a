"""What is set of adversarial PGA."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.matched import MatchedOptions


@dataclasses.dataclass(frozen=True)
class AdversarialPGAOptions(MatchedOptions):
    """As in matched.py, with weights found on digits. The critics' optimiser is that of `latent_map`, after SAGAN."""

    weight_match: float = option(0.1, "w: weight of L_match", unit="factor", minimum=0.0)
    weight_code: float = option(0.01, "c: weight of L_code", unit="factor", minimum=0.0)
    critic_norm: str = option("spectral", "of the critics' kernels", source="SN-GAN", choices=("none", "spectral"))
    critic_learning_rate: float = option(4e-4, "of the critics' optimiser", unit="factor", source="SAGAN", above=0.0)
    critic_beta_1: float = option(
        0.0, "first-moment decay of the critics' optimiser", unit="factor", source="SAGAN", minimum=0.0, maximum=0.9999
    )
    critic_width: int = option(512, "width of the critics of codes", unit="units", minimum=1, maximum=2**16)
    critic_depth: int = option(3, "hidden layers of the critics of codes", unit="layers", minimum=1, maximum=1000)
