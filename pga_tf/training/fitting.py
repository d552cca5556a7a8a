"""Fits a prior to the codes of a trained autoencoder, and loads it again."""

import dataclasses
import hashlib
import json

import keras
import numpy as np
import tensorflow as tf

from pga_tf import data, priors
from pga_tf.core import checks, files, options, precision, replicas
from pga_tf.core.options import option
from pga_tf.evaluation import latent
from pga_tf.training import callbacks, optimizers
from pga_tf.training.checkpoints import Checkpoints
from pga_tf.training.config import OptimizerOptions
from pga_tf.training.run_directory import RunDirectory

HELD_OUT = 2000  # codes of the test split that a fit is judged by
BATCH = 250
FITTED, BEST = "prior.npz", "best.npz"  # what is loaded; the best so far of a prior that keeps it
CODES_STREAM = 0  # of the noise in a step; priors use those from 1 on


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How a prior is fitted. Those with "steps" do not concern priors that are fitted at once."""

    prior: str = option("normal", "distribution over codes, by its registered name")
    prior_steps: int = option(20000, "length of fitting", unit="steps", minimum=1)
    prior_batch_size: int = option(64, "for fitting", unit="examples", minimum=1)
    prior_learning_rate: float = option(1e-4, "of Adam", unit="factor", above=0.0)
    prior_schedule: str = option("constant", "learning rate over time", choices=("constant", "halving", "cosine"))
    prior_halve_every: int = option(300, "with --prior_schedule=halving", unit="epochs", minimum=1)
    prior_weight_decay: float = option(
        0.0, "decoupled decay of kernels, as --weight_decay", unit="factor", minimum=0.0, maximum=1.0
    )
    prior_log_every: int = option(100, "metrics.jsonl and TensorBoard scalars", unit="steps", minimum=1)
    prior_checkpoint_every: int = option(1000, "checkpoints", unit="steps", minimum=1)
    prior_evaluate_every: int = option(500, "MMD between draws and held-out codes", unit="steps", minimum=1)
    prior_codes: int = option(
        0, "codes for a prior that is fitted at once; 0: one for each training image", unit="codes", minimum=0
    )


@dataclasses.dataclass(frozen=True)
class PriorConfig:
    """What a prior directory records: how it was fitted, with which options, to which autoencoder."""

    fit: FitOptions
    own: object  # the Options of PRIORS.get(fit.prior)
    seed: int
    autoencoder: str  # hash of the weights that the codes come from

    def values(self):
        return {**dataclasses.asdict(self.fit), **dataclasses.asdict(self.own), "seed": self.seed,
                "autoencoder": self.autoencoder}  # fmt: skip


def fingerprint(model):
    """Hash of an autoencoder's weights: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for variable in model.trainable_variables:
        digest.update(np.ascontiguousarray(np.asarray(variable)))
    return digest.hexdigest()[:16]


def fit(config, draw, fit_options, own, *, out=print):
    """Fits the prior that `fit_options` name to the codes of `draw.model`, or goes on fitting it.

    Codes are drawn from q(z|x) where the encoder is stochastic, afresh in every step, as a function of (seed, step).

    Args:
      config: the run's `Config`. draw: `Drawing` of its trained model. own: the prior's own `Options`.

    Returns:
      True if fitting reached its last step, False if a signal stopped it. Raises `InputError` for what cannot be.
    """
    options.validate(fit_options)
    options.validate(own)
    kind = priors.PRIORS.get(fit_options.prior)
    if kind.FIT == "nothing":
        out(f"--prior={fit_options.prior} has nothing to fit")
        return True
    model, seed = draw.model, config.run.seed
    record = PriorConfig(fit_options, own, seed, fingerprint(model))
    directory = RunDirectory(RunDirectory(config.run.workdir).prior(fit_options.prior))
    directory.require_same_config(record, remedy="delete that folder to fit it anew, or pass its options")
    source = data.load(config.data)
    prior = _make(kind, model.latent_dim, own, seed)
    held_out = _codes(draw, source, "test", HELD_OUT)
    _require_codes(held_out)
    directory.create()
    with directory.locked():
        directory.write_config(record, source.image_shape)
        if kind.FIT == "codes":
            facts = prior.fit(_codes(draw, source, "train", fit_options.prior_codes))
            done, step = True, 0
        else:
            facts, done, step = {}, *_fit_steps(config, draw, prior, fit_options, source, held_out, directory, out)
        if done:
            if (directory.path / BEST).exists():
                _read(directory.path / BEST, prior)
            facts["mmd"] = mmd(prior, held_out)
            facts["mmd_normal"] = mmd(priors.PRIORS.get("normal")(model.latent_dim), held_out)
            _write(directory.path / FITTED, prior)
            files.write_text(directory.path / "facts.json", json.dumps(facts) + "\n")
            numbers = ", ".join(f"{name} {value:.4g}" for name, value in facts.items())
            out(f"fitted {fit_options.prior}: {numbers}\n  prior:        {directory.path}")
        else:
            out(f"stopped after step {step}; the same command goes on from there")
    return done


def _make(kind, latent_dim, own, seed):
    keras.utils.set_random_seed(seed)
    with precision.float32():
        return kind(latent_dim, own, seed=seed)


def fitted(config):
    """Names of the priors that were fitted to a run."""
    folders = sorted(RunDirectory(config.run.workdir).prior("x").parent.glob(f"*/{FITTED}"))
    return [path.parent.name for path in folders]


def mmd(prior, held_out):
    """Squared MMD between held-out codes and as many draws of a prior."""
    seeds = tf.range(len(held_out), dtype=tf.int64) + 2**33  # not those of samples
    return latent.mmd(held_out, prior.sample(seeds).numpy())


def _write(path, prior):
    with files.replacing(path) as file:
        np.savez(file, **{name: np.asarray(value) for name, value in prior.state().items()})


def _read(path, prior):
    with np.load(path, allow_pickle=False) as stored:
        for name, variable in prior.state().items():
            variable.assign(stored[name])


def load(config, model, name):
    """The fitted prior `name` of a run.

    Raises `InputError` if it was not fitted, or was fitted to other weights than `model` has.
    """
    kind = priors.PRIORS.get(name)
    if kind.FIT == "nothing":
        return kind(model.latent_dim)
    directory = RunDirectory(RunDirectory(config.run.workdir).prior(name))
    path = directory.path / FITTED
    if not path.exists():
        checks.refuse(
            f"--prior={name}",
            expected=f"a fitted prior in {directory.path}",
            received="none",
            remedy=f"python -m pga_tf.fit_prior --workdir={config.run.workdir} --prior={name}",
        )
    values = directory.read_flags()
    if values["autoencoder"] != fingerprint(model):
        checks.refuse(
            f"--prior={name}",
            expected="a prior fitted to the weights that are loaded",
            received=f"one fitted to others ({values['autoencoder']}, not {fingerprint(model)})",
            remedy=f"delete {directory.path} and fit it anew, or choose the --checkpoint that it was fitted to",
        )
    prior = _make(kind, model.latent_dim, options.from_text(kind.Options, values), int(values["seed"]))
    _read(path, prior)
    return prior


def _codes(draw, source, split, limit):
    """Codes of a split's images, drawn from q(z|x) where the encoder is stochastic: `[N, H_dim]`."""
    sample = tf.function(_code_sampler(draw.model, seed=0), autograph=False, reduce_retracing=True)
    parts, held, reader = [], 0, source.ordered(split, BATCH)
    for i, images in enumerate(reader.as_numpy_iterator()):
        parts.append(sample(draw.in_range(images, source.value_range), tf.constant(i, tf.int64)).numpy())
        held += len(images)
        if limit and held >= limit:
            break
    return np.concatenate(parts)[: limit or None]


def _code_sampler(model, seed):
    """A function of images in the model's range and a step to codes, noise keyed by (seed, step)."""

    def codes_of(images, step):
        if not hasattr(model, "posterior"):
            return model.encode(images)
        posterior = model.posterior(images)
        shape = [tf.shape(images)[0], model.latent_dim]
        return posterior.mean() + posterior.stddev() * replicas.normal(shape, seed=seed, step=step, stream=CODES_STREAM)

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


def _fit_steps(config, draw, prior, fit_options, source, held_out, directory, out):
    """Takes the remaining steps: (whether the last one was reached, the step)."""
    seed, model = config.run.seed, draw.model
    steps_per_epoch = source.counts["train"] / fit_options.prior_batch_size
    adam = OptimizerOptions(
        optimizer="adam",
        learning_rate=fit_options.prior_learning_rate,
        momentum=prior.momentum,
        schedule=fit_options.prior_schedule,
        halve_every=fit_options.prior_halve_every,
        weight_decay=fit_options.prior_weight_decay,
    )
    total = fit_options.prior_steps
    made = {}
    for name in prior.OPTIMIZERS:
        own = dataclasses.replace(adam, learning_rate=adam.learning_rate * prior.rates.get(name, 1.0))
        made[name] = optimizers.build_optimizer(own, steps_per_epoch=steps_per_epoch, total_steps=total)
    prior.compile(**made, jit_compile=False)
    networks = prior.networks()
    for name, keys in prior.OPTIMIZERS.items():
        optimizers.make_slots(made[name], [v for key in keys for v in networks[key]])
    prior.codes_of = _code_sampler(model, seed)
    checkpoints = Checkpoints(directory.checkpoints, prior, made)
    start = checkpoints.restore()
    if start >= total:
        return True, start
    directory.drop_metrics_after(start)
    writer = tf.summary.create_file_writer(str(directory.logs))
    clock = callbacks.Clock(start, total, fit_options.prior_batch_size)
    stop = callbacks.StopOnSignal()
    out(f"fitting {fit_options.prior}: {total:,} steps of {fit_options.prior_batch_size} codes, after step {start:,}")
    batches = source.batches(
        "train", fit_options.prior_batch_size, seed=seed, start_step=start, value_range=model.image_range
    )
    try:
        prior.fit(
            batches.take(total - start),
            epochs=1,
            steps_per_epoch=total - start,
            shuffle=False,
            verbose=0,
            callbacks=[
                clock,
                callbacks.StopOnNonFinite(clock),
                callbacks.Progress(clock, prior.LOSSES),
                callbacks.Logs(clock, directory, writer, fit_options.prior_log_every),
                Judge(clock, directory, writer, fit_options.prior_evaluate_every, held_out, prior.KEEPS_BEST),
                callbacks.SaveCheckpoints(clock, checkpoints, fit_options.prior_checkpoint_every),
                stop,
            ],
        )
    except checks.NonFiniteError as error:
        raise checks.NonFiniteError(f"Fitting stopped: {error}. Remedy: lower --prior_learning_rate.") from None
    finally:
        stop.restore()
        writer.close()
    if checkpoints.latest_step() != clock.step:
        checkpoints.save()
    return clock.step >= total, clock.step


class Judge(keras.callbacks.Callback):
    """Every `every` steps: the MMD between draws and held-out codes, into TensorBoard and scores.jsonl.

    With `keep_best`, the prior of the smallest one is kept in a file beside.
    """

    def __init__(self, clock, directory, writer, every, held_out, keep_best):
        super().__init__()
        self.clock, self.directory, self.writer, self.every, self.held_out = clock, directory, writer, every, held_out
        self.keep_best = keep_best
        self.lowest = min((line["mmd"] for line in directory.read_scores()), default=float("inf"))

    def on_train_batch_end(self, batch, logs=None):
        if not self.clock.due(self.every):
            return
        value = mmd(self.model, self.held_out)
        if self.keep_best and value < self.lowest:
            _write(self.directory.path / BEST, self.model)
        self.lowest = min(value, self.lowest)
        self.directory.append_scores({"step": self.clock.step, "mmd": value})
        with self.writer.as_default(self.clock.step):
            tf.summary.scalar("scores/mmd", value)
