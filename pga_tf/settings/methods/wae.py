"""What is set of WAE and its kin."""

import dataclasses

from pga_tf.core import checks
from pga_tf.core.options import option
from pga_tf.settings.methods.pixels import PIXEL_RANGES

DIVERGENCES = {"mmd": ("L_mmd",), "gan": ("L_C", "L_adv"), "sliced": ("L_sw",)}


@dataclasses.dataclass(frozen=True)
class WAEOptions:
    """Defaults are the released MNIST settings, but for head start and input noise, which are off."""

    divergence: str = option(
        "mmd", "of the codes from N(0, I): MMD, a critic of codes, or sliced Wasserstein", choices=tuple(DIVERGENCES)
    )
    weight_divergence: float = option(
        10.0, "lambda: weight of L_mmd, L_adv or L_sw", unit="factor", source="Tolstikhin et al., Eq. 4", minimum=0.0
    )
    weight_pixels: float = option(
        0.05,
        "L_rec is this times the sum of squared pixel differences; 0: their mean over pixels and channels",
        unit="factor",
        source="released: 0.05, paper: 1",
        minimum=0.0,
    )
    weight_kl: float = option(
        0.0, "1 - alpha of InfoVAE: weight of KL(q(z|x) || N(0, I))", unit="factor", source="Zhao et al.", minimum=0.0
    )
    stochastic_encoder: bool = option(False, "codes are drawn from a Gaussian q(z|x)", source="AAE, InfoVAE")
    log_prior: bool = option(
        True, "with --divergence=gan: T(z) = T_net(z) + log N(z; 0, I)", source="Tolstikhin et al., appendix"
    )
    in_turn: bool = option(
        False,
        "with --divergence=gan: autoencoder on L_rec, critic, encoder on L_adv, each by an optimiser of its own",
        source="Makhzani et al., section 2",
    )
    critic_width: int = option(512, "of the critic of codes", unit="units", minimum=1, maximum=2**16)
    critic_depth: int = option(4, "hidden layers of the critic of codes", unit="layers", minimum=1, maximum=1000)
    critic_learning_rate: float = option(5e-4, "of the critic", unit="factor", above=0.0)
    projections: int = option(
        50, "L, with --divergence=sliced: random directions in a step", unit="directions", minimum=1, maximum=2**20
    )
    input_noise: float = option(
        0.0,
        "standard deviation of truncated normal noise on the images that are encoded in training; released: 0.01",
        unit="pixel range units",
        minimum=0.0,
    )
    head_start: int = option(
        0, "steps at most that fit the codes' moments to the prior's before training; released: 200", unit="steps",
        minimum=0, maximum=2**20,
    )  # fmt: skip
    pixel_range: str = option("unit", "[-1, 1] with tanh, or [0, 1] with sigmoid", choices=tuple(PIXEL_RANGES))

    def __post_init__(self):
        if self.in_turn and self.divergence != "gan":
            checks.refuse(
                "--in_turn",
                expected="--divergence=gan, whose critic takes its turn",
                received=f"--divergence={self.divergence}",
                remedy="add --divergence=gan, or leave --in_turn out",
            )
        if self.weight_kl and not self.stochastic_encoder:
            checks.refuse(
                "--weight_kl",
                expected="--stochastic_encoder, or there is no q(z|x) to take a divergence of",
                received=f"--weight_kl={self.weight_kl:g} without it",
                remedy="add --stochastic_encoder, or leave --weight_kl out",
            )
