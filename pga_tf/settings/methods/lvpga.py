"""What is set of LVPGA."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.ablations import refuse_idle
from pga_tf.settings.methods.perceptual import PerceptualOptions


@dataclasses.dataclass(frozen=True)
class LVPGAOptions(PerceptualOptions):
    """Defaults are the published MNIST settings."""

    weight_vr: float = option(2e-2, "g': weight of L_vr", unit="factor", source="Eq. 16", minimum=0.0)
    weight_nll: float = option(0.0, "g: weight of L_nll^phi", unit="factor", source="Eq. 16", minimum=0.0)
    weight_vkl: float = option(2e-2, "eta: weight of L_vkl", unit="factor", source="Eq. 16", minimum=0.0)
    perturbation_scale: float = option(
        1e-2,
        "eps: added to sigma_phi in the perturbation, whose lower bound it is",
        unit="latent units",
        source="section 3.5",
        above=0.0,
    )

    def __post_init__(self):
        refuse_idle(self, nll=self.weight_vr, weighed_by="--weight_vr above 0")
