"""What is set of a two-stage VAE trained at once."""

import dataclasses

from pga_tf.core import checks
from pga_tf.core.options import option
from pga_tf.settings.methods.vae import VAEOptions


@dataclasses.dataclass(frozen=True)
class TwoStageJointOptions(VAEOptions):
    """Those of a VAE, and the published sizes of the second stage."""

    joint_width: int = option(1024, "width of the second stage's hidden layers", unit="units", minimum=1, maximum=2**16)
    joint_depth: int = option(3, "hidden layers of the second stage", unit="layers", minimum=1, maximum=1000)

    def __post_init__(self):
        super().__post_init__()
        if self.posterior_stddev:
            checks.refuse(
                "--posterior_stddev with --method=two_stage_joint",
                expected="0, for the second stage learns what the first one's posteriors leave over",
                received=self.posterior_stddev,
                remedy="leave it out, or use --method=vae --prior=second_vae",
            )
