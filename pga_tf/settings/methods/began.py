"""What is set of BEGAN."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.adversarial import AdversarialOptions


@dataclasses.dataclass(frozen=True)
class BEGANOptions(AdversarialOptions):
    """Defaults are those of compare_gan, but for `clip_balance`, the paper's."""

    diversity: float = option(
        0.75, "gamma: what L(y) / L(x) is kept at", unit="factor", source="Eq. 4", above=0.0, maximum=1.0
    )
    balance_rate: float = option(1e-3, "lambda: by which k moves", unit="factor", source="section 3.4", minimum=0.0)
    clip_balance: bool = option(True, "k stays in [0, 1]", source="section 3.4")
