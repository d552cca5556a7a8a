"""Priors over any array of codes, without a run: what `pga_tf.priors.fit`, `save` and `load` do."""

import dataclasses
import json
import os
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pga_tf.core import checks, files, options, precision, streams, update_rules
from pga_tf.evaluation import latent

SETTINGS = {"steps": 20000, "batch_size": 64, "learning_rate": 1e-4, "schedule": "constant"}
"""How a prior is fitted by steps unless the `FITTED_WITH` of its options says otherwise; as in `pga_tf.fit_prior`."""

HELD_OUT = 2000  # codes, and at most a tenth, by which a prior that keeps its best is judged
LOOKS = 20  # how often that is done
EVERY = 100  # steps between two reports


def fit(kind: type, codes: np.ndarray, seed: int, report: Callable[[int, str], None] | None, given: dict) -> Any:
    """A prior of a registered class, fitted to codes; see `pga_tf.priors.fit`. `given`: its options and settings."""
    codes = _require(codes)
    own = {field.name for field in dataclasses.fields(kind.Options)}
    others = getattr(kind.Options, "FITTED_WITH", {})
    settings = SETTINGS | {name.removeprefix("prior_"): value for name, value in others.items()}
    known = [*own, *(SETTINGS if kind.FIT == "steps" else ())]
    for name in given:
        checks.require_member("Option", name, known)
    settings |= {name: value for name, value in given.items() if name in SETTINGS}
    _require_settings(settings)
    keras.utils.set_random_seed(seed)
    with precision.float32():
        prior = kind(codes.shape[1], kind.Options(**{n: v for n, v in given.items() if n in own}), seed=seed)
    if kind.FIT == "codes":
        prior.fit(codes, report=report)
    elif kind.FIT == "steps":
        _take_steps(prior, codes, settings, report or (lambda *_: None), seed)
    return prior


def _require(codes):
    codes = np.asarray(codes)
    if codes.ndim != 2 or len(codes) < 2 or not codes.shape[1] or not np.issubdtype(codes.dtype, np.number):
        checks.refuse(
            "codes",
            expected="numbers [N, H_dim], N at least 2",
            received=f"{codes.dtype} {list(codes.shape)}",
            remedy="reshape them to a row for each",
        )
    codes = codes.astype(np.float32)
    if not np.isfinite(codes).all():
        checks.refuse("codes", expected="finite numbers", received="others", remedy="leave those rows out")
    return codes


def _require_settings(settings):
    for name in ("steps", "batch_size", "learning_rate"):
        if not settings[name] > 0:
            checks.refuse(name, expected="a number above 0", received=settings[name], remedy="leave it out")
    checks.require_member("schedule", settings["schedule"], ("constant", "cosine"))


def _take_steps(prior, codes, settings, report, seed):
    rng, total = np.random.default_rng(seed), settings["steps"]
    prior.compile(_optimizers(prior, settings), jit_compile=False)
    count = min(HELD_OUT, len(codes) // 10) if prior.KEEPS_BEST else 0
    order = rng.permutation(len(codes))
    held_out, codes = codes[order[:count]], codes[order[count:]]
    if hasattr(prior, "adapt"):
        prior.adapt(codes)
    step = tf.function(prior.train_step, autograph=False, reduce_retracing=True)
    lowest, best = np.inf, None
    for i in range(1, total + 1):
        logs = step(tf.constant(codes[rng.integers(0, len(codes), settings["batch_size"])]))
        if i % EVERY == 0 or i == total:
            values = {name: float(logs[name]) for name in prior.LOSSES}
            if not np.isfinite(list(values.values())).all():
                raise checks.NonFiniteError(f"Fitting stopped at step {i}: {values}. Remedy: lower learning_rate.")
            report(i, " ".join(f"{name} {value:.4g}" for name, value in values.items()))
        if count > 1 and (i % max(1, total // LOOKS) == 0 or i == total):
            seeds = tf.constant(streams.choosing_seeds(count, "judge"))
            value = latent.mmd(held_out, prior.sample(seeds).numpy())
            if value < lowest:
                lowest, best = value, {name: np.array(variable) for name, variable in prior.state().items()}
    for name, value in (best or {}).items():
        prior.state()[name].assign(value)
    if prior.averages:
        prior.averages.apply()


def _optimizers(prior, settings):
    """An Adam for each player, with the rate and decays that the prior's options have for it."""
    made = {}
    for player in prior.players(prior.options):
        own = lambda name, shared, player=player: getattr(prior.options, f"{player.name}_{name}", shared)
        rate = own("learning_rate", settings["learning_rate"])
        if settings["schedule"] == "cosine":
            rate = keras.optimizers.schedules.CosineDecay(rate, settings["steps"])
        epsilon = 1e-8 * prior.loss_scale() if prior.loss_scale() else 1e-7
        made[player.name] = update_rules.Adam(
            rate, beta_1=own("beta_1", 0.9), beta_2=own("beta_2", 0.999), epsilon=epsilon
        )
    return made


def save(path: str | os.PathLike, prior: Any, name: str) -> None:
    """Writes a prior of the registered `name` to a file; see `pga_tf.priors.save`."""
    own = dataclasses.asdict(prior.options) if hasattr(prior, "options") else {}
    about = json.dumps({"prior": name, "latent_dim": prior.latent_dim, "options": own})
    with files.replacing(path) as file:
        np.savez(file, about=about, **{f"state/{key}": np.asarray(value) for key, value in prior.state().items()})


def load(path: str | os.PathLike, registry: Any) -> Any:
    """The prior of a file of `save`; see `pga_tf.priors.load`."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            values = {name.removeprefix("state/"): stored[name] for name in stored if name.startswith("state/")}
        kind = registry.get(about["prior"])
        with precision.float32():
            prior = kind(about["latent_dim"], options.validate(kind.Options(**about["options"])))
        if hasattr(prior, "allocate"):
            prior.allocate({name: value.shape for name, value in values.items()})
        for name, variable in prior.state().items():
            variable.assign(values[name])
    except (FileNotFoundError, MemoryError):
        raise
    except Exception as error:  # what NumPy, zipfile and json raise for damaged bytes has no end
        received = (str(error).splitlines() or [type(error).__name__])[0]
        checks.refuse(
            str(path), expected="a file of pga_tf.priors.save", received=received, remedy="fit the prior and save it"
        )
    return prior
