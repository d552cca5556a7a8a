"""What is set of an RAE."""

import dataclasses

from pga_tf.core.options import option


@dataclasses.dataclass(frozen=True)
class RAEOptions:
    """Defaults are those of the released MNIST settings of RAE-L2."""

    weight_code: float = option(1e-4, "beta: weight of L_z", unit="factor", source="section 4", minimum=0.0)
    regulariser: str = option(
        "l2",
        "L_reg: the decoder's squared weights, its squared Jacobian, its spectral norms, or none",
        source="section 4",
        choices=("l2", "gradient_penalty", "spectral_norm", "none"),
    )
    weight_regulariser: float = option(
        1e-7, "lambda: weight of L_reg; spectral_norm has none", unit="factor", source="section 4", minimum=0.0
    )
