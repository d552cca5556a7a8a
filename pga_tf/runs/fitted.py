"""Priors that were fitted to a run, as they lie in RUN/priors/NAME/, and those that need no fitting."""

import dataclasses
import hashlib

import keras
import numpy as np

from pga_tf import priors
from pga_tf.core import checks, commands, files, interfaces, options, precision
from pga_tf.methods import METHODS
from pga_tf.runs.directory import RunDirectory


@dataclasses.dataclass(frozen=True)
class _Seed:
    seed: int = options.option(0, "as the run's", minimum=0, maximum=2**31 - 1)


FITTED, BEST = "prior.npz", "best.npz"  # what is loaded; the best so far of a prior that keeps it


def fingerprint(model):
    """Hash of all that codes and images of an autoencoder depend on: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for variable in [*model.trainable_variables, *model.encoder.non_trainable_variables]:
        digest.update(np.ascontiguousarray(np.asarray(variable)))
    return digest.hexdigest()[:16]


def make(kind, latent_dim, own, seed):
    """A prior of a registered class before it is fitted; its weights are a function of `seed`."""
    keras.utils.set_random_seed(seed)
    with precision.float32():
        return kind(latent_dim, own, seed=seed)


def names(config):
    """Names of the priors that were fitted to a run: those called as the registry does, in its order, then others."""
    found = {path.parent.name for path in RunDirectory(config.run.workdir).prior("").glob(f"*/{FITTED}")}
    known = [name for name in priors.PRIORS.names() if name in found]
    return [*known, *sorted(found - {*known})]


def require_known(config, name, what="--prior"):
    """Raises `InputError` for a name that no prior of the registry, and none that was fitted to the run, has."""
    checks.require_member(what, name, dict.fromkeys([*priors.PRIORS.names(), priors.OWN, *names(config)]))


def kind_of(config, name):
    """The registered name of the prior that a run calls `name`."""
    return name if name in priors.PRIORS.names() else _record(config, name)["prior"]


def command(config, name="mixture"):
    """The command that fits the prior `name` to a run."""
    kind = kind_of(config, name)
    named = {} if kind == name else {"prior_name": name}
    return commands.line("fit_prior", workdir=config.run.workdir, prior=kind, **named)


def write(path, prior):
    with files.replacing(path) as file:
        np.savez(file, **{name: np.asarray(value) for name, value in prior.state().items()})


def read(path, prior, remedy):
    """Values of `prior` by name in a file of `write`. Raises `InputError`, with `remedy`, for one that is not whole.

    A prior whose state is as large as its codes made it is given the sizes of the file.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            values = {name: stored[name] for name in prior.state()}
        if hasattr(prior, "allocate"):
            prior.allocate({name: value.shape for name, value in values.items()})
        state = prior.state()
        for name, variable in state.items():
            here, there = tuple(np.shape(variable)), values[name].shape
            if here != there:
                raise ValueError(f"{name} of shape {list(there)}, not {list(here)}")
            if not np.issubdtype(values[name].dtype, np.number) or not np.isfinite(values[name]).all():
                raise ValueError(f"{name} with values that are no finite numbers")
    except MemoryError:
        raise
    except Exception as error:  # what NumPy and zipfile raise for damaged bytes has no end
        received = (str(error).splitlines() or [type(error).__name__])[0]
        checks.refuse(str(path), expected="the arrays of a fitted prior", received=received, remedy=remedy)
    return values


def assign(prior, values):
    """Gives `prior` the values of `read`."""
    for name, variable in prior.state().items():
        variable.assign(values[name])


def of_method(model):
    """(prior, name) that the method of `model` draws from by training; (None, None) where one is to be fitted first."""
    if model.PRIOR is None:
        return None, None
    return unfitted(model, model.PRIOR), model.PRIOR


def unfitted(model, name):
    """The prior `name`, which needs no fitting. Raises `InputError` for "own" of a method that trains no map."""
    if name != priors.OWN:
        return priors.PRIORS.get(name)(model.latent_dim)
    if not isinstance(model, interfaces.MapsPrior):
        checks.refuse(
            "--prior=own",
            expected="a method that trains a map from noise to codes",
            received=type(model).__name__,
            remedy="leave --prior out",
        )
    return priors.Own(model)


def is_of(config, model, name):
    """Whether the fitted prior `name` of a run was fitted to the weights that `model` has."""
    return _record(config, name)["autoencoder"] == fingerprint(model)


def _anew(config, name):
    """The remedy for a fitted prior that cannot be used."""
    anew = f": {command(config, name)}" if name in priors.PRIORS.names() else ""
    return f"move {RunDirectory(config.run.workdir).prior(name)} away and fit it anew{anew}"


def _record(config, name):
    """The flags by which the prior `name` of a run was fitted."""
    directory = RunDirectory(RunDirectory(config.run.workdir).prior(name))
    try:
        return directory.read_flags(required=("prior", "seed", "autoencoder"))
    except checks.InputError as error:
        raise checks.InputError(f"{checks.without_remedy(error)} Remedy: {_anew(config, name)}.") from None


def copy(config, name, to, model):
    """Copies the prior `name` of a run into the `RunDirectory` `to`, as fitted to the weights of `model`.

    It is noted there as what the run is sampled with; of a prior that needs no fitting that is all.
    """
    own = {"prior": name}
    if (RunDirectory(config.run.workdir).prior(name) / FITTED).exists():
        record = _record(config, name)
        source, made = (RunDirectory(directory.prior(name)) for directory in (RunDirectory(config.run.workdir), to))
        made.path.mkdir(parents=True)
        made.write_config(_Record(record | {"autoencoder": fingerprint(model)}), source.read_image_shape())
        with np.load(source.path / FITTED) as arrays, files.replacing(made.path / FITTED) as file:
            np.savez_compressed(file, **arrays)
        own = {key: value for key, value in record.items() if key not in ("seed", "autoencoder")}
    if name != METHODS.get(config.run.method).prior_of(config.method):
        to.write_own_prior(own)


@dataclasses.dataclass(frozen=True)
class _Record:
    """Texts by name, as `RunDirectory.write_config` takes a configuration."""

    texts: dict

    def values(self):
        return self.texts


def load(config, model, name):
    """The prior `name` of a run.

    Raises `InputError` if it has to be fitted and was not, was fitted to other weights than `model` has, or cannot be
    read.
    """
    require_known(config, name)
    if name == priors.OWN or priors.PRIORS.get(kind_of(config, name)).FIT == "nothing":
        return unfitted(model, name)
    kind = priors.PRIORS.get(kind_of(config, name))
    directory = RunDirectory(RunDirectory(config.run.workdir).prior(name))
    path = directory.path / FITTED
    if not path.exists():
        checks.refuse(
            f"--prior={name}",
            expected=f"a fitted prior in {directory.path}",
            received="none",
            remedy=command(config, name),
        )
    values = _record(config, name)
    if not is_of(config, model, name):
        checks.refuse(
            f"--prior={name}",
            expected="a prior fitted to the weights that are loaded",
            received=f"one fitted to others ({values['autoencoder']}, not {fingerprint(model)})",
            remedy=f"delete {directory.path} and fit it anew, or choose the --checkpoint that it was fitted to",
        )
    try:
        own = options.validate(options.from_text(kind.Options, values))
        (seed,) = dataclasses.astuple(options.validate(options.from_text(_Seed, values)))
    except checks.InputError as error:
        raise checks.InputError(f"{directory.config}: {error}") from None
    prior = make(kind, model.latent_dim, own, seed)
    assign(prior, read(path, prior, _anew(config, name)))
    return prior
