"""What is set of the perceptual methods that match codes."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.ablations import refuse_idle
from pga_tf.settings.methods.perceptual import PerceptualOptions


@dataclasses.dataclass(frozen=True)
class MatchedOptions(PerceptualOptions):
    """Those of the paper are as published for MNIST, the others ours: docs/results.md has what was tried."""

    weight_match: float = option(1.0, "w: weight of L_match", unit="factor", minimum=0.0)
    weight_code: float = option(1.0, "c: weight of L_code", unit="factor", minimum=0.0)
    code_law: str = option(
        "matched",
        "how codes of data come to N(0, I): matched as those of samples are, or by LPGA's likelihood, Eqs. 6 and 7",
        choices=("matched", "likelihood"),
    )
    perturbation_scale: float = option(
        1e-2, "eps of Eq. 7, with the likelihood", unit="root mean square per latent dimension", above=0.0
    )

    def __post_init__(self):
        weight = self.weight_code if self.code_law == "likelihood" else 0.0
        refuse_idle(self, nll=weight, weighed_by="--code_law=likelihood and --weight_code above 0")
