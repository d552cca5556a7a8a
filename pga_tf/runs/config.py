"""The whole configuration of a run: one frozen dataclass of options for each thing that is configured."""

import dataclasses
import re

from pga_tf.core import checks, files, options
from pga_tf.core.options import option
from pga_tf.runs import zoo
from pga_tf.runs.directory import RunDirectory
from pga_tf.settings.data import DataOptions
from pga_tf.settings.methods import METHOD_OPTIONS
from pga_tf.settings.networks import NetworkOptions
from pga_tf.settings.optimizer import OptimizerOptions, parsed_drops
from pga_tf.settings.priors import OWN, PRIOR_OPTIONS, fitted_with


@dataclasses.dataclass(frozen=True)
class RunOptions:
    method: str = option("lpga", "what to train, by its registered name")
    workdir: str = option("", "run directory; default runs/ and the flagfile's name, or METHOD_DATASET")
    seed: int = option(0, "everything random derives from it and the step", minimum=0, maximum=2**31 - 1)
    batch_size: int = option(64, "over all replicas and workers", unit="examples", minimum=1)
    steps: int = option(0, "length of training; 0: by --epochs, and 20,000 without these", unit="steps", minimum=0)
    epochs: float = option(0.0, "length of training, if --steps is 0", unit="passes over the data", minimum=0.0)
    log_every: int = option(100, "metrics.jsonl and TensorBoard scalars", unit="steps", minimum=1)
    image_every: int = option(1000, "grids and diagnostics", unit="steps", minimum=1)
    checkpoint_every: int = option(500, "checkpoints", unit="steps", minimum=1)
    evaluate_every: int = option(
        0, "scores of samples against held-out images; 0: none, else at least 1", unit="steps", minimum=0
    )
    evaluate_samples: int = option(
        1000, "with --evaluate_every: samples, and at most as many held-out images", unit="images", minimum=10
    )
    evaluate_features: str = option(
        "", "with --evaluate_every: feature network, as --features of pga_tf.evaluate; default: that of the dataset"
    )
    evaluate_inception_path: str = option("", "with --evaluate_features=inception: where that network lies")
    keep_best: str = option(
        "none",
        "with --evaluate_every: keep the checkpoint of the best score in checkpoints/best/",
        choices=("none", "frechet", "kernel"),
    )
    stop_after: int = option(
        0,
        "with --evaluate_every: stop once so many scores in a row did not fall below the lowest before them, by the "
        "score of --keep_best, else the Frechet distance; 0: never",
        unit="scores",
        minimum=0,
    )
    keep_checkpoints: int = option(2, "newest checkpoints kept", unit="checkpoints", minimum=1)
    mixed_precision: str = option(
        "none",
        "arithmetic, of weights in float32: bfloat16; tf32, products that a GPU rounds to 10 bits; auto: bfloat16 "
        "where there is that, for methods with losses that live on small differences tf32 at most",
        choices=("none", "tf32", "bfloat16", "auto"),
    )
    jit: bool = option(False, "compile the train step with XLA where there is a GPU; a CPU is slower with it")
    steps_per_execution: int = option(
        0,
        "train steps in one call of the runtime; 0: up to 50 on a GPU, up to 10 of small networks, so that whatever is "
        "due still falls between two calls",
        unit="steps",
        minimum=0,
    )
    replicas: int = option(
        1,
        "devices that train together (MirroredStrategy): GPUs if there are any, else logical CPUs",
        minimum=1,
    )
    workers: bool = option(
        False,
        "train with the other workers of the cluster that TF_CONFIG names, on all GPUs of each or on its CPU "
        "(MultiWorkerMirroredStrategy); the same command on each",
    )
    allow_other_replicas: bool = option(
        False,
        "go on with a run under another number of --replicas, or of devices of --workers; weights differ by rounding "
        "from there on, and changes.jsonl of the run says from which step",
    )
    allow_changed_data: bool = option(
        False,
        "go on with a run although its images are not those of before; changes.jsonl of the run says from which step",
    )
    dry_run: bool = option(False, "print the data report and the plan, train nothing")


@dataclasses.dataclass(frozen=True)
class Config:
    run: RunOptions
    data: DataOptions
    network: NetworkOptions
    optimizer: OptimizerOptions
    method: object  # those of METHOD_OPTIONS.get(run.method)

    def values(self):
        """Every option by name, in order; names are unique over the groups."""
        groups = (getattr(self, field.name) for field in dataclasses.fields(self))
        return {name: value for group in groups for name, value in dataclasses.asdict(group).items()}


@dataclasses.dataclass(frozen=True)
class FitOptions:
    """How a prior is fitted. Those with "steps" do not concern priors that are fitted at once."""

    prior: str = option("", "distribution over codes, by its registered name; default: the method's own")
    prior_name: str = option(
        "", "what this fit is called, so that a run may have several of one kind; default: as --prior"
    )
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
    prior_seed: int = option(
        -1, "of this fit: start, order of images and noise of codes; -1: the run's", minimum=-1, maximum=2**31 - 1
    )

    def __post_init__(self):
        name = self.prior_name
        if name and not self.prior:
            checks.refuse("--prior_name", expected="a --prior to call so", received="no --prior", remedy="name one")
        taken = name in (*PRIOR_OPTIONS.names(), OWN) and name != self.prior
        if name and (taken or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name)):
            checks.refuse(
                "--prior_name",
                expected="letters, digits, _, . and -, and no name of another prior",
                received=repr(name),
                remedy=f"call it {self.prior}_2, say",
            )

    @property
    def name(self):
        """What the fit is called, and its folder."""
        return self.prior_name or self.prior


def fit_options(given):
    """The `FitOptions` of settings by name; what is not among them is as the prior that they name has it."""
    return FitOptions(**(fitted_with(given["prior"]) if given.get("prior") else {}) | given)


@dataclasses.dataclass(frozen=True)
class PriorConfig:
    """What a prior's directory records: how it was fitted, with which options, to which autoencoder."""

    fit: FitOptions
    own: object  # those of PRIOR_OPTIONS.get(fit.prior)
    seed: int
    autoencoder: str  # hash of the weights that the codes come from

    def values(self):
        return {**dataclasses.asdict(self.fit), **dataclasses.asdict(self.own), "seed": self.seed,
                "autoencoder": self.autoencoder}  # fmt: skip


GROUPS = {"run": RunOptions, "data": DataOptions, "network": NetworkOptions, "optimizer": OptimizerOptions}


def of_run(workdir, dataset="", allow_changed_data=False):
    """The `Config` that a finished or unfinished run in `workdir` was trained with.

    Args:
      workdir: its path, or zoo/NAME, see `zoo.located`.
      dataset: where its images lie now, as `--dataset`; "": where they lay. allow_changed_data: also others than they.

    Raises `InputError` where there is no run, or its config.flags is no whole, valid one of this version.
    """
    directory = RunDirectory(zoo.located(workdir))
    values = directory.read_flags()
    try:
        classes = {**GROUPS, "method": METHOD_OPTIONS.get(values["method"])}
        known = {field.name for cls in classes.values() for field in dataclasses.fields(cls)}
        require_known(values, known)
        groups = {key: options.from_text(cls, values) for key, cls in classes.items()}
        groups["run"] = dataclasses.replace(
            groups["run"], workdir=str(directory.path), allow_changed_data=allow_changed_data
        )
        if dataset:
            groups["data"] = dataclasses.replace(groups["data"], dataset=dataset)
        return validate(Config(**groups))
    except checks.InputError as error:
        raise checks.InputError(f"{directory.config}: {error}") from None


def _has_batch_norm(network, roles):
    return network.batch_norm != "none" or any(
        getattr(role, kind, None) == "batch" for role in roles for kind in ("code_norm", "norm")
    )


def require_known(values, known):
    """Raises `InputError` for a recorded option that this version does not have."""
    for name in values:
        if name not in known:
            checks.refuse(
                f"--{name}",
                expected="an option of this version of pga_tf",
                received=f"--{name}={values[name]}",
                remedy="use the version that trained the run, or take that line out of the file",
            )


def at_home(config):
    """`config` with `~` in its paths as the home folder."""
    named = ("workdir", "evaluate_features", "evaluate_inception_path")
    run = dataclasses.replace(config.run, **{name: files.home(getattr(config.run, name)) for name in named})
    data = dataclasses.replace(config.data, dataset=files.home(config.data.dataset))
    return dataclasses.replace(config, run=run, data=data)


def of_values(values):
    """(`Config`, `FitOptions`, the prior's own options or None) of options of any group by name.

    Raises `InputError` for a name that the chosen method and prior do not have, proposing the nearest.
    """
    method = METHOD_OPTIONS.get(values.get("method", RunOptions.method))
    groups = {**GROUPS, "method": method, "fit": FitOptions}
    if values.get("prior"):
        groups["own"] = PRIOR_OPTIONS.get(values["prior"])
    names = {key: [field.name for field in dataclasses.fields(cls)] for key, cls in groups.items()}
    for name in values:
        checks.require_member("Option", name, [known for group in names.values() for known in group])
    groups["fit"] = lambda **given: fit_options(given)
    made = {key: make(**{name: values[name] for name in names[key] if name in values}) for key, make in groups.items()}
    fit, own = made.pop("fit"), made.pop("own", None)
    return validate(Config(**made)), options.validate(fit), options.validate(own) if own else None


def require_possible(config):
    """Raises `InputError` for the first option, or pair of options, that cannot be whatever the method's networks are.

    It loads no TensorFlow, for a refusal should come at once.
    """
    METHOD_OPTIONS.get(config.run.method)
    for field in dataclasses.fields(config):
        options.validate(getattr(config, field.name))
    run, drops = config.run, parsed_drops(config.optimizer.drops)
    if bool(drops) != (config.optimizer.schedule == "drops"):
        checks.refuse(
            "--schedule and --drops",
            expected="both --schedule=drops and the drops, or neither",
            received=f"--schedule={config.optimizer.schedule} --drops={config.optimizer.drops}",
            remedy="add --drops=30:2,50:5" if not drops else "use --schedule=drops, or leave --drops out",
        )
    if run.keep_best != "none" and not run.evaluate_every:
        checks.refuse(
            "--keep_best",
            expected="--evaluate_every above 0",
            received=f"--keep_best={run.keep_best} without it",
            remedy="add --evaluate_every=1000",
        )
    if run.stop_after and not run.evaluate_every:
        checks.refuse(
            "--stop_after",
            expected="--evaluate_every above 0, for scores to go by",
            received=f"--stop_after={run.stop_after} without it",
            remedy="add --evaluate_every=1000",
        )
    if run.batch_size % run.replicas:
        checks.refuse(
            "--batch_size",
            expected=f"a multiple of --replicas={run.replicas}",
            received=run.batch_size,
            remedy=f"try --batch_size={-(-run.batch_size // run.replicas) * run.replicas}",
        )
    if run.replicas > 1 and run.jit:
        checks.refuse(
            "--replicas and --jit",
            expected="one replica under XLA, because TensorFlow fails under both",
            received=f"--replicas={run.replicas} --jit",
            remedy="pass --nojit",
        )
    if run.replicas > 1 and run.steps_per_execution > 1:
        checks.refuse(
            "--replicas and --steps_per_execution",
            expected="at most one of them above 1, because TensorFlow fails under both",
            received=f"--replicas={run.replicas} --steps_per_execution={run.steps_per_execution}",
            remedy="use --steps_per_execution=1",
        )


def validate(config):
    """Returns `config`; raises `InputError` for the first option, or pair of options, that cannot be."""
    require_possible(config)
    from pga_tf.methods import METHODS  # loads TensorFlow

    run, method = config.run, METHODS.get(config.run.method)
    roles = method.roles(config.method)
    for role in config.network.own():
        if role not in roles:
            checks.refuse(
                f"--{role}",
                expected=f"networks of --method={run.method}, which has {', '.join(roles)}",
                received=f"--{role}={getattr(config.network, role)}",
                remedy="leave it out",
            )
    if run.evaluate_every and method.prior_of(config.method) is None:
        checks.refuse(
            "--evaluate_every",
            expected=f"0, for --method={run.method} has no prior to draw samples from before one is fitted",
            received=run.evaluate_every,
            remedy="leave it out, fit a prior after training and use pga_tf.evaluate",
        )
    if run.batch_size == 1 and _has_batch_norm(config.network, roles.values()):
        checks.refuse(
            "--batch_size",
            expected="at least 2 with batch norm: one example less its mean is 0, whatever it was",
            received=1,
            remedy="use a larger batch, or --batch_norm=none and no norm of codes",
        )
    group = method.GROUP * run.replicas
    if run.batch_size % group:
        checks.refuse(
            "--batch_size",
            expected=f"a multiple of {group}, for --method={run.method} works on groups within a replica",
            received=run.batch_size,
            remedy=f"try --batch_size={-(-run.batch_size // group) * group}",
        )
    return config
