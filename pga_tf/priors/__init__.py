"""L2: distributions over codes, of a trained autoencoder or a method itself. To add one, write its file and enter it.

A prior has `Options`, a frozen dataclass; `FIT`: "nothing" (unfitted.py), "codes" (by `fit(codes, report=)`) or "steps"
(a `Stepwise` model whose `update(codes, step)` takes codes); `DECODED_AS`: whose batch-norm statistics its codes are
decoded with, "prior" for a law that methods train with, "data" for one that imitates codes of data; `sample(seeds)`;
`state()`, the variables that sampling needs, by name; and, where its density can be computed, `log_prob(codes)`. One
that is fitted by steps says in `KEEPS_BEST` whether the best one met is used.
"""

from pga_tf.core.registry import Registry
from pga_tf.priors.latent_map import LatentMap
from pga_tf.priors.mixture import Mixture
from pga_tf.priors.own import Own
from pga_tf.priors.second_vae import SecondVAE
from pga_tf.priors.unfitted import Normal, Sphere, Uniform

__all__ = ["OWN", "PRIORS", "Own"]

OWN = "own"
"""The name of the prior that a method trains itself: `Own`, made from the method, not entered below."""

PRIORS = Registry("prior")
PRIORS.register("normal")(Normal)
PRIORS.register("uniform")(Uniform)
PRIORS.register("sphere")(Sphere)
PRIORS.register("mixture")(Mixture)
PRIORS.register("second_vae")(SecondVAE)
PRIORS.register("latent_map")(LatentMap)
