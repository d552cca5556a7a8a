"""What is set of VPGA."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.ablations import ScaleOptions, refuse_idle
from pga_tf.settings.methods.perceptual import PerceptualOptions


@dataclasses.dataclass(frozen=True)
class VPGAOptions(PerceptualOptions, ScaleOptions):
    """Defaults are the published MNIST settings."""

    weight_vr: float = option(1e-2, "weight of L_vr", unit="factor", source="Eqs. 12, 13", minimum=0.0)
    weight_vkl: float = option(2e-2, "eta: weight of L_vkl", unit="factor", source="Eqs. 12, 13", minimum=0.0)
    warmup_steps: int = option(0, "steps that train L_r alone", unit="steps", minimum=0)

    def __post_init__(self):
        refuse_idle(self, nll=self.weight_vr, weighed_by="--weight_vr above 0")
