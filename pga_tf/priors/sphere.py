"""The uniform prior on the sphere of radius sqrt(H_dim), which nothing is fitted for. Interface: Samples.

Its mean square per dimension is 1, as that of N(0, I). It has no density over codes: no `log_prob`.
"""

import dataclasses

from pga_tf.core import laws
from pga_tf.priors import draws


@dataclasses.dataclass(frozen=True)
class SphereOptions:
    """None."""


class Sphere:
    """u / |u| * sqrt(H_dim), u ~ N(0, I)."""

    Options = SphereOptions
    FIT = "nothing"
    DECODED_AS = "prior"

    def __init__(self, latent_dim, options=None, *, seed=0):
        del options, seed
        self.latent_dim = latent_dim
        self.sample = draws.sampler(self._draw)

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return laws.draw("sphere", seeds, self.latent_dim)

    def state(self):
        return {}
