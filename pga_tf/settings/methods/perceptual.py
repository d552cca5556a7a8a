"""What is set of every perceptual method."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.ablations import AblationOptions


@dataclasses.dataclass(frozen=True)
class PerceptualOptions(AblationOptions):
    """Defaults are the published MNIST settings."""

    weight_lr_n: float = option(6e-2, "a: weight of L_lr,N", unit="factor", source="Eq. 4", minimum=0.0)
    weight_lr_h: float = option(0.0, "b: weight of L_lr,H", unit="factor", source="Eq. 4", minimum=0.0)
    warmup_steps: int = option(3000, "steps that train L_r alone", unit="steps", minimum=0)
