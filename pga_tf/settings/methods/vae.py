"""What is set of a VAE."""

import dataclasses

from pga_tf.core import checks
from pga_tf.core.options import option
from pga_tf.settings.methods.pixels import PIXEL_RANGES


@dataclasses.dataclass(frozen=True)
class VAEOptions:
    """What is set of a VAE."""

    likelihood: str = option(
        "learned_gamma",
        "p(x|z)",
        source="Dai and Wipf",
        choices=("fixed_gamma", "learned_gamma", "cross_entropy"),
    )
    gamma: float = option(
        1.0,
        "standard deviation of p(x|z): the fixed value, or where learning starts",
        unit="pixel range units",
        above=0.0,
    )
    posterior_stddev: float = option(
        0.0,
        "sigma of q(z|x), the same for every x (CV-VAE); 0: the encoder gives it",
        unit="latent units",
        minimum=0.0,
    )
    pixel_range: str = option("symmetric", "[-1, 1] with tanh, or [0, 1] with sigmoid", choices=tuple(PIXEL_RANGES))

    def __post_init__(self):
        if self.likelihood == "cross_entropy" and self.pixel_range != "unit":
            checks.refuse(
                "--likelihood=cross_entropy",
                expected="--pixel_range=unit, because a Bernoulli variable lies in [0, 1]",
                received=f"--pixel_range={self.pixel_range}",
                remedy="add --pixel_range=unit",
            )
