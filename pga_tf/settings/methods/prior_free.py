"""What is set of the prior-free model and ACAI."""

import dataclasses

from pga_tf.core import checks
from pga_tf.core.options import option


@dataclasses.dataclass(frozen=True)
class PriorFreeOptions:
    """What is set of the autoencoder and of its critic; the paper prints no values."""

    latent_batch_norm: bool = option(True, "codes pass through batch norm", source="Eq. 11")
    weight_interpolation: float = option(0.5, "w1: weight of |d(x_mu)|^2", unit="factor", source="Eq. 10", minimum=0.0)
    weight_reconstruction: float = option(
        0.5, "w2: weight of |d(x_hat)|^2", unit="factor", source="Eq. 10", minimum=0.0
    )
    margin: float = option(0.2, "lambda: what d shall say of a reconstruction", unit="units of d", source="Eq. 9")
    blend: float = option(
        0.2, "c: share of x in its blend with x_hat", unit="factor", source="Eq. 9", minimum=0.0, maximum=1.0
    )
    weight_real: float = option(
        1.0, "weight of |d(x)|^2 in L_dis; 0 in ACAI", unit="factor", source="Eq. 9", minimum=0.0
    )
    critic_norm: str = option("none", "of the critic's kernels", source="SN-GAN", choices=("none", "spectral"))

    def __post_init__(self):
        if not self.weight_interpolation and not self.weight_reconstruction:
            checks.refuse(
                "--weight_interpolation and --weight_reconstruction",
                expected="at least one of them above 0, or the critic trains for nothing",
                received="0 and 0",
                remedy="use --method=ae --latent_batch_norm, which is that model",
            )
