"""What is set of every generator with a critic."""

import dataclasses

from pga_tf.core.options import option
from pga_tf.settings.methods.pixels import PIXEL_RANGES


@dataclasses.dataclass(frozen=True)
class AdversarialOptions:
    """What is set of every generator with a critic."""

    noise: str = option("uniform", "law of u: U(-1, 1), or N(0, 1)", choices=("uniform", "normal"))
    critic_updates: int = option(
        1, "n_critic: updates of the critic in a step, each on images of its own", unit="updates", minimum=1,
        maximum=1000,
    )  # fmt: skip
    pixel_range: str = option("unit", "[-1, 1] with tanh, or [0, 1] with sigmoid", choices=tuple(PIXEL_RANGES))
