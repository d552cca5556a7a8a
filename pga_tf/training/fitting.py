"""Fits a prior to the codes of a trained autoencoder."""

import dataclasses
import json
import math
import os

import numpy as np
import tensorflow as tf

from pga_tf import priors
from pga_tf.core import checks, files, memory, options, streams
from pga_tf.core.progress import Progress
from pga_tf.core.workers import Heard
from pga_tf.evaluation import latent
from pga_tf.runs import drawing, fitted, optimizers, run_codes, run_data, scoring, trained, zoo
from pga_tf.runs.checkpoints import Checkpoints
from pga_tf.runs.config import OptimizerOptions, PriorConfig
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import callbacks, steps

HELD_OUT = 2000  # codes of the test split that a fit is judged by
ADAPTED_TO = 10_000  # codes of the training split that a prior sees before its first step


def fit(config, model, fit_options, own, *, out=print):
    """Fits the prior that `fit_options` name to the codes of a run's `model`, or goes on fitting it.

    Codes are drawn from q(z|x) where the encoder is stochastic, afresh in every step, as a function of (seed, step),
    with the seed of `fit_options`, or the run's.
    A run whose method has no prior of its own, and that has none yet, is sampled with this one from then on.

    Args:
      config: the run's `Config`. model: its trained method. own: the prior's own `Options`.

    Returns:
      True if fitting reached its last step, False if a signal stopped it. Raises `InputError` for what cannot be.
    """
    options.validate(fit_options)
    options.validate(own)
    drawing.require_encoder(model, f"--prior={fit_options.prior}")
    kind = priors.PRIORS.get(fit_options.prior)
    if kind.FIT == "nothing":
        out(f"--prior={fit_options.prior} has nothing to fit")
        return True
    zoo.require_own(config.run.workdir, "Fitting a prior")
    seed = config.run.seed if fit_options.prior_seed < 0 else fit_options.prior_seed
    record = PriorConfig(fit_options, own, seed, fitted.fingerprint(model))
    run_directory = RunDirectory(config.run.workdir)
    directory = RunDirectory(run_directory.prior(fit_options.name), say=out)
    trained.noted_prior(config)  # one that cannot be read is refused before anything is fitted
    directory.require_same_config(record, remedy="delete that folder to fit it anew, or pass its options")
    if not directory.config.exists() and list(directory.checkpoints.glob("step-*")):
        checks.refuse(
            str(directory.config),
            expected="the flags and weights that the checkpoints beside it are of",
            received="no such file",
            remedy=f"put it back from a copy, or move {directory.path} away to fit that prior anew",
        )
    source, _ = run_data.load(config)
    of_a_batch = 4 * fit_options.prior_batch_size * (math.prod(source.image_shape) + model.latent_dim)
    memory.require("--prior_batch_size", of_a_batch, remedy="lower it")
    prior = fitted.make(kind, model.latent_dim, own, seed)
    draw = drawing.Drawing(model, None, None)
    held_out = run_codes.of_split(draw, source, "test", HELD_OUT)
    _require_codes(held_out)
    directory.create()
    with directory.locked():
        directory.write_config(record, source.image_shape)
        if kind.FIT == "codes":
            facts, stopped_by = _fit_at_once(draw, prior, fit_options, source, out), None
        else:
            facts, stopped_by = {}, _fit_steps(model, prior, seed, fit_options, source, held_out, directory, out)
        for line in source.notices():
            out(line)
        if stopped_by is None:
            _conclude(prior, facts, held_out, directory, fit_options.name, out)
            if not trained.noted_prior(config):
                run_directory.write_own_prior(dataclasses.asdict(fit_options) | dataclasses.asdict(own))
        else:
            step = Checkpoints(directory.checkpoints, prior).latest_step()
            out(f"stopped by {stopped_by} after step {step}; the same command goes on from there")
    return stopped_by is None


def _conclude(prior, facts, held_out, directory, name, out):
    """Keeps the prior, or the best one met, with what is known of it."""
    if best := _best(prior, directory, out):
        fitted.assign(prior, best)
    if getattr(prior, "averages", None):
        prior.averages.apply()
    facts["mmd"] = mmd(prior, held_out)
    normal = priors.PRIORS.get("normal")(prior.latent_dim)
    facts["mmd_normal"] = mmd(normal, held_out)
    facts["mmd_error"] = _error_of_gain(prior, normal, held_out)
    if (found := scoring.log_p(prior, held_out)) is not None:
        facts["held_out_log_p"] = found
    fitted.write(directory.path / fitted.FITTED, prior)
    files.write_text(directory.path / "facts.json", json.dumps(facts) + "\n")
    numbers = ", ".join(f"{key} {value:.4g}" for key, value in facts.items() if not isinstance(value, dict))
    out(f"fitted {name}: {numbers}\n  prior:        {directory.path}")
    if "candidates" in facts:
        out("  held-out log-likelihood: " + ", ".join(f"{k} {value:.4g}" for k, value in facts["candidates"].items()))
    out(_gain(name, facts))


def _gain(name, facts):
    """What a fitted prior has gained over N(0, I), in a sentence; a warning where that is nothing."""
    ours, normal = facts["mmd"], facts["mmd_normal"]
    both = f"(MMD {ours:.4g} and {normal:.4g})"
    advice = "sample with another prior, or fit this one for longer"
    if ours > normal:
        return f"warning: {name} is further from held-out codes than N(0, I) is {both}: {advice}"
    if normal - ours <= facts["mmd_error"]:
        return f"warning: {name} is not seen to be nearer to held-out codes than N(0, I) {both}: {advice}"
    left = f"{max(ours, 0.0) / normal:.2g} of its squared MMD is left"
    return f"  gained:       nearer to held-out codes than N(0, I): {left} {both}"


def _best(prior, directory, out):
    """Values of the best prior met, or None where none is kept, or what is kept cannot be read."""
    path = directory.path / fitted.BEST
    if not path.exists():
        return None
    try:
        return fitted.read(path, prior, "the best prior from here on is kept in its place")
    except checks.InputError as error:
        out(f"warning: {error}")
        return None


def mmd(prior, held_out):
    """Squared MMD between held-out codes and as many draws of a prior, which no sample shares a seed with."""
    seeds = tf.constant(streams.choosing_seeds(len(held_out), "judge"))
    return latent.mmd(held_out, prior.sample(seeds).numpy())


def _error_of_gain(prior, normal, held_out, parts=4):
    """Twice the standard error of the difference between both's MMD, from that of each part of the codes."""
    if len(held_out) < 2 * parts:
        return 0.0
    differences = [mmd(normal, part) - mmd(prior, part) for part in np.array_split(held_out, parts)]
    return 2.0 * float(np.std(differences, ddof=1)) / math.sqrt(parts)


def _fit_at_once(draw, prior, fit_options, source, out):
    found = run_codes.of_split(draw, source, "train", fit_options.prior_codes)
    out(f"fitting {fit_options.name} to {len(found):,} codes of {found.shape[1]} dimensions")
    with Progress("iteration", things="iterations") as progress:
        return prior.fit(found, report=progress.to)


def _require_codes(found):
    if not np.isfinite(found).all() or len(found) < 2 or not np.ptp(found, axis=0).any():
        received = "none or one" if len(found) < 2 else "equal or non-finite ones"
        checks.refuse(
            "Codes to fit a prior to",
            expected="finite codes that differ from each other",
            received=received,
            remedy="look at the reconstructions: the encoder has collapsed",
        )


def _fit_steps(model, prior, seed, fit_options, source, held_out, directory, out):
    """Does what is owed and takes the remaining steps; returns the name of the signal that stopped them, or None."""
    total = fit_options.prior_steps
    adam = OptimizerOptions(
        optimizer="adam",
        learning_rate=fit_options.prior_learning_rate,
        schedule=fit_options.prior_schedule,
        halve_every=fit_options.prior_halve_every,
        weight_decay=fit_options.prior_weight_decay,
    )
    steps_per_epoch = source.counts["train"] / fit_options.prior_batch_size
    made = optimizers.of_players(
        adam,
        prior.players(prior.options),
        prior.options,
        steps_per_epoch=steps_per_epoch,
        total_steps=total,
        loss_scale=prior.loss_scale(),
    )
    prior.compile(made, jit_compile=False)
    prior.prepare = run_codes.sampler(model, seed, "fit/codes")
    remedy = f"move {directory.path} away to fit that prior anew"
    checkpoints = Checkpoints(directory.checkpoints, prior, keep=2, say=out, remedy=remedy)
    start = checkpoints.resume()
    if not start and hasattr(prior, "adapt"):
        prior.adapt(run_codes.of_split(drawing.Drawing(model, None, None), source, "train", ADAPTED_TO))
    owed = directory.read_owed(start)
    if start >= total and not owed:
        return None
    directory.drop_metrics_after(start, owed)
    best = _best(prior, directory, out)
    writer = tf.summary.create_file_writer(os.fsencode(directory.logs))
    clock = callbacks.Clock(start, total, fit_options.prior_batch_size)
    out(f"fitting {fit_options.name}: {total:,} steps of {fit_options.prior_batch_size} codes, after step {start:,}")
    batches = source.batches(
        "train", fit_options.prior_batch_size, seed=seed, start_step=start, value_range=model.image_range
    )
    progress = Progress("step", total, done=start, things="codes", of_each=fit_options.prior_batch_size)
    judge = Judge(clock, directory, writer, fit_options.prior_evaluate_every, held_out, best=best)
    with Heard().noted() as heard:
        work = [
            clock,
            callbacks.Shown(clock, prior.LOSSES, progress),
            callbacks.StopOnNonFinite(
                clock,
                fit_options.prior_log_every,
                fit_options.prior_evaluate_every,
                fit_options.prior_checkpoint_every,
            ),
            callbacks.Logs(clock, directory, writer, fit_options.prior_log_every),
            judge,
            callbacks.SaveCheckpoints(clock, checkpoints, fit_options.prior_checkpoint_every),
            callbacks.StopWhenNoted(heard),
        ]
        try:
            callbacks.settle([judge], prior, directory)
            if start < total and not heard.received:
                steps.take(prior, batches.take(total - start), total - start, work)
        except checks.NonFiniteError as error:
            raise checks.NonFiniteError(f"Fitting stopped: {error}. Remedy: lower --prior_learning_rate.") from None
        finally:
            progress.close()
            writer.close()
        if checkpoints.latest_step() != clock.step:
            checkpoints.save()
        return heard.received


class Judge(callbacks.Work):
    """Every `every` steps: the MMD between draws and held-out codes, into TensorBoard and scores.jsonl.

    Where the prior `KEEPS_BEST`, that of the smallest one is kept in a file beside. `best`: what is there, or None.
    """

    NAME = "evaluation"

    def __init__(self, clock, directory, writer, every, held_out, *, best):
        super().__init__(clock, directory, every)
        self.writer, self.held_out = writer, held_out
        found = [line["mmd"] for line in directory.read_scores() if math.isfinite(line.get("mmd", math.nan))]
        self.lowest = min(found, default=math.inf) if best else math.inf

    def work(self):
        with self.model.averaged():
            value = mmd(self.model, self.held_out)
        if self.model.KEEPS_BEST and value < self.lowest:
            fitted.write(self.run_directory.path / fitted.BEST, self.model)
        self.lowest = min(value, self.lowest)
        self.run_directory.append_scores({"step": self.clock.step, "mmd": value})
        with self.writer.as_default(self.clock.step):
            tf.summary.scalar("scores/mmd", value)
