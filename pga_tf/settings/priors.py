"""The options of every prior, and how one is fitted unless a user says otherwise. To add a prior's, enter them below.

Where some settings of fitting have other defaults for a prior, its options say so in `FITTED_WITH`, by name.
"""

import dataclasses
from typing import ClassVar

from pga_tf.core import checks
from pga_tf.core.options import option
from pga_tf.core.registry import Registry

OWN = "own"
"""The name of the prior that a method trains itself: `priors.Own`, made from the method, not entered below."""

AUTO = "auto"
COVARIANCES = ("full", "low_rank", "diagonal")
OF_WHITENED = {
    "prior_steps": 5000,
    "prior_batch_size": 256,
    "prior_learning_rate": 1e-3,
    "prior_schedule": "cosine",
}
"""How priors of whitened codes are fitted."""


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """None: nothing is fitted."""


@dataclasses.dataclass(frozen=True)
class EmpiricalOptions:
    """What is set of the training codes themselves."""

    empirical_kernel: float = option(
        0.1, "standard deviation of the noise around a training code, 1 being that of Scott's rule; near 0: the codes "
        "themselves", unit="factor", above=0.0, maximum=10.0,
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class MixtureOptions:
    """What is set of a mixture. `components`: a number, as text or not, or "auto"."""

    components: str = option(
        AUTO,
        "Gaussians of the mixture, or auto: as many, of 1, 2, 5, 10, 20, 50, 100 and 200, as are likeliest for codes "
        "that are held out",
        unit="components",
    )
    mixture: str = option(
        "em",
        "em: maximum likelihood; dirichlet: variational EM with a Dirichlet process of 1 / components over the weights",
        source="Ghosh et al.",
        choices=("em", "dirichlet"),
    )
    covariance: str = option(
        "full",
        "of each Gaussian: full, low_rank (--rank directions and the same noise in all others), or diagonal, which "
        "take fewer codes",
        choices=COVARIANCES,
    )
    rank: int = option(16, "with --covariance=low_rank", unit="directions", minimum=1)

    def __post_init__(self):
        object.__setattr__(self, "components", str(self.components))
        if self.components != AUTO and not (self.components.isdecimal() and 0 < int(self.components) < 2**31):
            checks.refuse(
                "--components",
                expected=f"{AUTO}, or a whole number of Gaussians >= 1",
                received=self.components,
                remedy=f"the default is {AUTO}",
            )
        if self.mixture == "dirichlet" and (self.components == AUTO or self.covariance != "full"):
            checks.refuse(
                "--mixture=dirichlet",
                expected="a number of --components, and --covariance=full",
                received=f"--components={self.components} --covariance={self.covariance}",
                remedy="add --components=10, which is the paper's, or leave --mixture out",
            )


@dataclasses.dataclass(frozen=True)
class SecondVAEOptions:
    """What is set of a second stage; the defaults are the published settings."""

    second_width: int = option(
        1024, "width of the second stage's hidden layers", unit="units", minimum=1, maximum=2**16
    )
    second_depth: int = option(3, "hidden layers of the second stage", unit="layers", minimum=1, maximum=1000)


@dataclasses.dataclass(frozen=True)
class LatentMapOptions:
    """What is set of an adversarial map. The paper prints none; latent_map.py says where the defaults are from."""

    map_width: int = option(256, "width of generator and critic", unit="units", minimum=1, maximum=2**16)
    map_depth: int = option(3, "hidden layers of generator and critic", unit="layers", minimum=1, maximum=1000)
    map_critic_norm: str = option("spectral", "of the critic's kernels", source="SN-GAN", choices=("spectral", "none"))
    map_critic_learning_rate: float = option(
        4e-4, "of the critic's Adam; the generator's is --prior_learning_rate", unit="factor", source="SAGAN", above=0.0
    )
    map_critic_beta_1: float = option(
        0.0, "first-moment decay of the critic's Adam", unit="factor", minimum=0.0, maximum=0.9999
    )
    map_generator_beta_1: float = option(
        0.0, "first-moment decay of the generator's Adam", unit="factor", minimum=0.0, maximum=0.9999
    )


@dataclasses.dataclass(frozen=True)
class FlowMatchingOptions:
    """What is set of flow matching; the defaults are ours."""

    FITTED_WITH: ClassVar[dict] = OF_WHITENED

    flow_width: int = option(256, "width of the velocity's hidden layers", unit="units", minimum=1, maximum=2**16)
    flow_depth: int = option(4, "residual blocks of the velocity", unit="blocks", minimum=1, maximum=1000)
    flow_steps: int = option(8, "K, of Heun's method for a sample", unit="steps", minimum=1, maximum=1000)
    flow_ema: float = option(
        0.999, "decay of the averaged weights that are used", unit="factor per step", minimum=0.0, maximum=0.999999
    )


@dataclasses.dataclass(frozen=True)
class RealNVPOptions:
    """What is set of a RealNVP; the defaults are ours."""

    FITTED_WITH: ClassVar[dict] = OF_WHITENED

    couplings: int = option(
        8, "couplings, each of which maps half of the dimensions", unit="couplings", minimum=1, maximum=100
    )
    coupling_width: int = option(256, "width of a coupling's hidden layers", unit="units", minimum=1, maximum=2**16)
    coupling_depth: int = option(2, "hidden layers of a coupling", unit="layers", minimum=1, maximum=1000)


PRIOR_OPTIONS = Registry("prior")
PRIOR_OPTIONS.register("normal")(NoOptions)
PRIOR_OPTIONS.register("uniform")(NoOptions)
PRIOR_OPTIONS.register("sphere")(NoOptions)
PRIOR_OPTIONS.register("empirical")(EmpiricalOptions)
PRIOR_OPTIONS.register("mixture")(MixtureOptions)
PRIOR_OPTIONS.register("second_vae")(SecondVAEOptions)
PRIOR_OPTIONS.register("latent_map")(LatentMapOptions)
PRIOR_OPTIONS.register("flow_matching")(FlowMatchingOptions)
PRIOR_OPTIONS.register("realnvp")(RealNVPOptions)


def fitted_with(name: str) -> dict:
    """Settings of fitting that have defaults of their own for the prior `name`: name to value."""
    return getattr(PRIOR_OPTIONS.get(name), "FITTED_WITH", {})
