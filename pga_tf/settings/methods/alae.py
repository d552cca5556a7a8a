"""What is set of ALAE."""

import dataclasses

from pga_tf.core.options import option


@dataclasses.dataclass(frozen=True)
class ALAEOptions:
    """Defaults are the released ones for MNIST."""

    r1_gamma: float = option(10.0, "gamma: of the critic's penalty at data, halved", unit="factor", minimum=0.0)
    weight_code: float = option(1.0, "weight of L_w", unit="factor", minimum=0.0)
    mapping_width: int = option(256, "width of F", unit="units", minimum=1, maximum=2**16)
    mapping_depth: int = option(5, "hidden layers of F", unit="layers", minimum=1, maximum=2**8)
    critic_width: int = option(256, "width of D", unit="units", minimum=1, maximum=2**16)
    critic_depth: int = option(2, "hidden layers of D", unit="layers", minimum=1, maximum=2**8)
    mapping_learning_rate: float = option(2e-4, "of F, a tenth of the others'", unit="factor", above=0.0)
    critic_learning_rate: float = option(2e-4, "of D, a tenth of the others'", unit="factor", above=0.0)
