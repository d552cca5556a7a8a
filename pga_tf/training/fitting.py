"""Fits a prior to the codes of a trained autoencoder."""

import dataclasses
import json
import math
import os

import numpy as np
import tensorflow as tf

from pga_tf import priors
from pga_tf.core import checks, files, interfaces, memory, options, signals, streams
from pga_tf.core.progress import Progress
from pga_tf.evaluation import latent
from pga_tf.runs import drawing, fitted, optimizers, run_data, trained
from pga_tf.runs.checkpoints import Checkpoints
from pga_tf.runs.config import OptimizerOptions, PriorConfig
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import callbacks, steps

HELD_OUT = 2000  # codes of the test split that a fit is judged by
BATCH = 250


def fit(config, model, fit_options, own, *, out=print):
    """Fits the prior that `fit_options` name to the codes of a run's `model`, or goes on fitting it.

    Codes are drawn from q(z|x) where the encoder is stochastic, afresh in every step, as a function of (seed, step).
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
    seed = config.run.seed
    record = PriorConfig(fit_options, own, seed, fitted.fingerprint(model))
    run_directory = RunDirectory(config.run.workdir)
    directory = RunDirectory(run_directory.prior(fit_options.prior), say=out)
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
    held_out = _codes(draw, source, "test", HELD_OUT)
    _require_codes(held_out)
    directory.create()
    with directory.locked():
        directory.write_config(record, source.image_shape)
        if kind.FIT == "codes":
            facts, stopped_by = _fit_at_once(draw, prior, fit_options, source, out), None
        else:
            facts, stopped_by = {}, _fit_steps(config, model, prior, fit_options, source, held_out, directory, out)
        for line in source.notices():
            out(line)
        if stopped_by is None:
            _conclude(prior, facts, held_out, directory, fit_options.prior, out)
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
    facts["mmd"] = mmd(prior, held_out)
    facts["mmd_normal"] = mmd(priors.PRIORS.get("normal")(prior.latent_dim), held_out)
    fitted.write(directory.path / fitted.FITTED, prior)
    files.write_text(directory.path / "facts.json", json.dumps(facts) + "\n")
    numbers = ", ".join(f"{key} {value:.4g}" for key, value in facts.items())
    out(f"fitted {name}: {numbers}\n  prior:        {directory.path}")
    if facts["mmd"] > facts["mmd_normal"]:
        out(
            f"warning: {name} is further from held-out codes than N(0, I) is (MMD {facts['mmd']:.4g} and "
            f"{facts['mmd_normal']:.4g}): sample with another prior, or fit this one for longer"
        )


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


def _fit_at_once(draw, prior, fit_options, source, out):
    codes = _codes(draw, source, "train", fit_options.prior_codes)
    out(f"fitting {fit_options.prior} to {len(codes):,} codes of {codes.shape[1]} dimensions")
    with Progress("iteration", things="iterations") as progress:
        return prior.fit(codes, report=lambda k, value: progress.to(k, f"log-likelihood {value:.5g}"))


def _codes(draw, source, split, limit):
    """Codes of a split's images, drawn from q(z|x) where the encoder is stochastic: `[N, H_dim]`."""
    sample = tf.function(_code_sampler(draw.model, 0, f"codes/{split}"), autograph=False, reduce_retracing=True)
    parts, held, reader = [], 0, source.ordered(split, BATCH)
    for i, images in enumerate(reader.as_numpy_iterator()):
        parts.append(sample(draw.in_range(images, source.value_range), tf.constant(i, tf.int64)).numpy())
        held += len(images)
        if limit and held >= limit:
            break
    return np.concatenate(parts)[: limit or None]


def _code_sampler(model, seed, use):
    """A function of images in the model's range and a step to codes, noise keyed by (seed, use, step)."""

    def codes_of(images, step):
        if not isinstance(model, interfaces.HasPosterior):
            return tf.stop_gradient(model.encode(images))
        posterior = model.posterior(images)
        noise = streams.normal([tf.shape(images)[0], model.latent_dim], use, seed=seed, step=step)
        return tf.stop_gradient(posterior.mean() + posterior.stddev() * noise)

    return codes_of


def _require_codes(codes):
    if not np.isfinite(codes).all() or len(codes) < 2 or not np.ptp(codes, axis=0).any():
        received = "none or one" if len(codes) < 2 else "equal or non-finite ones"
        checks.refuse(
            "Codes to fit a prior to",
            expected="finite codes that differ from each other",
            received=received,
            remedy="look at the reconstructions: the encoder has collapsed",
        )


def _fit_steps(config, model, prior, fit_options, source, held_out, directory, out):
    """Does what is owed and takes the remaining steps; returns the name of the signal that stopped them, or None."""
    seed, total = config.run.seed, fit_options.prior_steps
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
    prior.prepare = _code_sampler(model, seed, "fit/codes")
    remedy = f"move {directory.path} away to fit that prior anew"
    checkpoints = Checkpoints(directory.checkpoints, prior, keep=2, say=out, remedy=remedy)
    start = checkpoints.resume()
    owed = directory.read_owed(start)
    if start >= total and not owed:
        return None
    directory.drop_metrics_after(start, owed)
    best = _best(prior, directory, out)
    writer = tf.summary.create_file_writer(os.fsencode(directory.logs))
    clock = callbacks.Clock(start, total, fit_options.prior_batch_size)
    out(f"fitting {fit_options.prior}: {total:,} steps of {fit_options.prior_batch_size} codes, after step {start:,}")
    batches = source.batches(
        "train", fit_options.prior_batch_size, seed=seed, start_step=start, value_range=model.image_range
    )
    progress = Progress("step", total, done=start, things="codes", of_each=fit_options.prior_batch_size)
    judge = Judge(clock, directory, writer, fit_options.prior_evaluate_every, held_out, best=best)
    with signals.noted() as notice:
        work = [
            clock,
            callbacks.StopOnNonFinite(clock),
            callbacks.Shown(clock, prior.LOSSES, progress),
            callbacks.Logs(clock, directory, writer, fit_options.prior_log_every),
            judge,
            callbacks.SaveCheckpoints(clock, checkpoints, fit_options.prior_checkpoint_every),
            callbacks.StopWhenNoted(notice),
        ]
        try:
            callbacks.settle([judge], prior, directory)
            if start < total and not notice.received:
                steps.take(prior, batches, total - start, work)
        except checks.NonFiniteError as error:
            raise checks.NonFiniteError(f"Fitting stopped: {error}. Remedy: lower --prior_learning_rate.") from None
        finally:
            progress.close()
            writer.close()
        if checkpoints.latest_step() != clock.step:
            checkpoints.save()
        return notice.received


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
        value = mmd(self.model, self.held_out)
        if self.model.KEEPS_BEST and value < self.lowest:
            fitted.write(self.run_directory.path / fitted.BEST, self.model)
        self.lowest = min(value, self.lowest)
        self.run_directory.append_scores({"step": self.clock.step, "mmd": value})
        with self.writer.as_default(self.clock.step):
            tf.summary.scalar("scores/mmd", value)
