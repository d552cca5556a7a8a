"""L2: distributions over codes, fitted to a trained autoencoder. To add one, write its file and enter it below.

A prior has `Options`, a frozen dataclass; `FIT`: "nothing", "codes" (by `fit(codes)`) or "steps" (a `keras.Model`
whose `train_step` takes batches, which its attribute `codes_of(batch, step)` turns into codes); `sample(seeds)`; and
`state()`, the variables that sampling needs, by name; and, where its density can be computed, `log_prob(codes)`. One
that is fitted by steps says in `KEEPS_BEST` whether the best one met is used, in `momentum` Adam's first-moment
decay, and in `rates` which optimiser learns how many times faster.
"""

from pga_tf.core.registry import Registry
from pga_tf.priors.latent_map import LatentMap
from pga_tf.priors.mixture import Mixture
from pga_tf.priors.normal import Normal
from pga_tf.priors.second_vae import SecondVAE

PRIORS = Registry("prior")
PRIORS.register("normal")(Normal)
PRIORS.register("mixture")(Mixture)
PRIORS.register("second_vae")(SecondVAE)
PRIORS.register("latent_map")(LatentMap)
