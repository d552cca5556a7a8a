"""What is set of LPGA."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.ablations import refuse_idle
from pga_tf.settings.methods.perceptual import PerceptualOptions


@dataclasses.dataclass(frozen=True)
class LPGAOptions(PerceptualOptions):
    """Defaults are the published MNIST settings."""

    weight_nll: float = option(1.5e-2, "g: weight of L_nll", unit="factor", source="Eq. 9", minimum=0.0)
    perturbation: str = option("sphere", "S(eps), the law of delta", source="Eq. 7", choices=("sphere", "gaussian"))
    perturbation_scale: float = option(
        1e-2, "eps: size of delta", unit="root mean square per latent dimension", source="Eq. 7", above=0.0
    )

    def __post_init__(self):
        refuse_idle(self, nll=self.weight_nll, weighed_by="--weight_nll above 0")
