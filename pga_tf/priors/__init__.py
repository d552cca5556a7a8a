"""L2: distributions over codes, of a trained autoencoder or a method itself.

To add one, write its file and enter it below, and its options in `pga_tf/settings/priors.py`.

A prior has `Options`, a frozen dataclass; `FIT`: "nothing" (unfitted.py), "codes" (by `fit(codes, report=)`) or "steps"
(a `Stepwise` model whose `update(codes, step)` takes codes); `DECODED_AS`: whose batch-norm statistics its codes are
decoded with, "prior" for a law that methods train with, "data" for one that imitates codes of data; `sample(seeds)`;
`state()`, the variables that sampling needs, by name; and, where its density can be computed, `log_prob(codes)`. One
whose state is as large as codes make it has `allocate(shapes)`, by which it is read again. One that is fitted by steps
says in `KEEPS_BEST` whether the best one met is used, in `FITTED_WITH` of its options which of the fit's settings have
other defaults for it, by name, and has `adapt(codes)` where it wants to see codes before its first step.
"""

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from pga_tf.core.registry import Registry
from pga_tf.priors import alone
from pga_tf.priors.empirical import Empirical
from pga_tf.priors.flow_matching import FlowMatching
from pga_tf.priors.latent_map import LatentMap
from pga_tf.priors.mixture import Mixture
from pga_tf.priors.own import Own
from pga_tf.priors.realnvp import RealNVP
from pga_tf.priors.second_vae import SecondVAE
from pga_tf.priors.unfitted import Normal, Sphere, Uniform
from pga_tf.settings.priors import OWN

__all__ = ["OWN", "PRIORS", "Own", "fit", "load", "save"]

PRIORS = Registry("prior")
PRIORS.register("normal")(Normal)
PRIORS.register("uniform")(Uniform)
PRIORS.register("sphere")(Sphere)
PRIORS.register("empirical")(Empirical)
PRIORS.register("mixture")(Mixture)
PRIORS.register("second_vae")(SecondVAE)
PRIORS.register("latent_map")(LatentMap)
PRIORS.register("flow_matching")(FlowMatching)
PRIORS.register("realnvp")(RealNVP)


def fit(
    name: str, codes: np.ndarray, *, seed: int = 0, report: Callable[[int, str], None] | None = None, **values: Any
) -> Any:
    """The prior `name`, fitted to any codes `[N, H_dim]`: `pga_tf.priors.fit("flow_matching", codes).sample(seeds)`.

    Args:
      seed: the same codes and seed give the same prior. report: called now and then with how far it is, and words.
      values: options of that prior, as `components=20`; of one that is fitted by steps also `steps`, `batch_size`,
        `learning_rate` and `schedule` ("constant" or "cosine").

    Raises `InputError` for an option that it lacks, and for codes that it cannot be fitted to.
    """
    return alone.fit(PRIORS.get(name), codes, seed, report, values)


def save(prior: Any, path: str | os.PathLike) -> None:
    """Writes a prior, whole or not at all, to the file `path`, from which `load` has it back."""
    alone.save(path, prior, next(name for name in PRIORS.names() if type(prior) is PRIORS.get(name)))


def load(path: str | os.PathLike) -> Any:
    """The prior that `save` wrote to `path`. Raises `InputError` for a file that is no such one."""
    return alone.load(path, PRIORS)
