"""What a user may set about a pipeline, beside the flags of training and of the prior."""

import dataclasses
import pathlib
import shlex

from absl import flags as absl_flags

from pga_tf import flags
from pga_tf.core import checks, files, flagfiles, options
from pga_tf.core.options import option
from pga_tf.runs.config import Config, require_possible, validate
from pga_tf.settings.data import DataOptions, parsed
from pga_tf.settings.priors import NoOptions
from pipelines.components import configs
from pipelines.components.configs import SEPARATOR

# Largest Frechet distance of a blessed model where none is given, by dataset.
MAX_FRECHET = {"digits": 40.0, "tfds:mnist": 20.0}


@dataclasses.dataclass(frozen=True)
class PipelineOptions:
    pipeline_root: str = option("", "folder of the pipeline's artifacts and lineage")
    push_base: str = option("", "TensorFlow Serving's model base to push a blessed model to; none: push nothing")
    name: str = option("", "what the model is called in requests; default: that of the flagfile")
    more_priors: str = option("", "priors fitted and scored beside --prior, with their defaults, comma-separated")
    features: str = option("", "as --features of pga_tf.evaluate; default: that of the dataset")
    inception_path: str = option("", "SavedModel folder or frozen graph of the Inception network")
    num_samples: int = option(10000, "scored for each seed", unit="images", minimum=10)
    seeds: int = option(3, "seeds 0, 1, ...; one: bootstrap", unit="sets of samples", minimum=1)
    max_frechet: float = option(
        0.0, "largest Frechet distance of a blessed model; 0: that of the dataset, where there is one",
        unit="squared feature units", minimum=0.0,
    )  # fmt: skip
    schema: str = option("", "schema.json to hold the data to; default: one made from the statistics")
    max_corrupt: float = option(0.0, "share of corrupt images allowed", unit="fraction", minimum=0.0, maximum=1.0)
    max_duplicates: float = option(0.05, "share of repeated images allowed", unit="fraction", minimum=0.0, maximum=1.0)
    max_drift: float = option(
        0.1, "of the mean and standard deviation of pixels from the previous data", unit="part of the range",
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    shards: int = option(4, "TFRecord files in each split", unit="files", minimum=1)
    beam_pipeline_args: str = option(
        "", "ExampleGen, StatisticsGen, Transform and the features of Evaluator's real images on Apache Beam, with "
        "options like '--runner=DirectRunner --direct_num_workers=4'",
    )  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that a pipeline depends on. `priors`: flags of the priors to fit, the run's own first."""

    options: PipelineOptions
    config: Config
    priors: str

    @property
    def beam_args(self):
        try:
            return shlex.split(self.options.beam_pipeline_args)
        except ValueError as error:
            checks.refuse(
                "--beam_pipeline_args",
                expected="options as a shell takes them",
                received=f"{self.options.beam_pipeline_args} ({error})",
                remedy="close every quotation mark",
            )


def define_flags(flag_values=absl_flags.FLAGS):
    """Defines every flag of a pipeline. Call once, before parsing."""
    flags.define_training_flags(flag_values)
    flags.define_prior_flags(flag_values)
    define = {int: absl_flags.DEFINE_integer, float: absl_flags.DEFINE_float, str: absl_flags.DEFINE_string}
    for field in dataclasses.fields(PipelineOptions):
        define[type(field.default)](field.name, field.default, options.describe(field), flag_values=flag_values)


def from_flags(flag_values=absl_flags.FLAGS):
    """The `Settings` of the parsed flags. Raises `InputError` for what cannot be, before any work."""
    config = flags.config_from_flags(flag_values)
    require_possible(config)
    fit, own = flags.prior_from_flags(flag_values)
    chosen = PipelineOptions(
        **{field.name: flag_values[field.name].value for field in dataclasses.fields(PipelineOptions)}
    )
    return settings(options.validate(chosen), config, fit, own)


def settings(chosen, config, fit, own):
    """`Settings` with their defaults filled in. Raises `InputError` where there is none for a dataset."""
    paths = ("pipeline_root", "push_base", "schema", "features", "inception_path")
    chosen = dataclasses.replace(chosen, **{name: files.home(getattr(chosen, name)) for name in paths})
    if not chosen.pipeline_root:
        checks.refuse("--pipeline_root", expected="a folder", received="none", remedy="pass --pipeline_root=FOLDER")
    if config.run.dry_run:
        checks.refuse(
            "--dry_run", expected="a pipeline to run", received="true", remedy="try the flags with pga_tf.train"
        )
    parsed(config.data)
    if config.data.train_on != DataOptions.train_on:
        checks.refuse(
            "--train_on",
            expected=f"{DataOptions.train_on}, for a model is blessed by images that it was not trained on",
            received=config.data.train_on,
            remedy="leave it out, or train with pga_tf.train",
        )
    validate(config)
    from pga_tf.evaluation import features  # loads TensorFlow
    from pga_tf.methods import METHODS

    if not fit.prior and METHODS.get(config.run.method).prior_of(config.method) is None:
        checks.refuse(
            "--prior",
            expected=f"a prior to fit, for --method={config.run.method} has none of its own",
            received="none",
            remedy="add --prior=mixture",
        )
    data = config.data.dataset
    # Any picture's shape: which features are the default goes by the dataset.
    network = chosen.features or features.default(data, (0, 0, 3), inception_path=chosen.inception_path)
    if network == features.NONE:
        checks.refuse(
            "--features",
            expected="a feature network: the gate goes by a Frechet distance",
            received=network,
            remedy=features.missing(data, (0, 0, 3)),
        )
    limit = chosen.max_frechet or MAX_FRECHET.get(data)
    if not limit:
        checks.refuse(
            "--max_frechet",
            expected=f"the largest Frechet distance of a blessed model on {data}, for which there is no default",
            received="none",
            remedy="score a run with pga_tf.evaluate, and pass what you would accept",
        )
    if config.run.evaluate_every and not config.run.evaluate_features:
        config = dataclasses.replace(config, run=dataclasses.replace(config.run, evaluate_features=network))
    chosen = dataclasses.replace(
        chosen,
        features=network,
        max_frechet=limit,
        name=chosen.name or pathlib.Path(config.run.workdir).name,
        push_base=str(pathlib.Path(chosen.push_base).resolve()) if chosen.push_base else "",
    )
    more = [configs.prior_options(f"--prior={name}") for name in chosen.more_priors.split(",") if name]
    wanted = [(fit, own), *((f, o) for f, o in more if f.prior != fit.prior)]
    made = Settings(chosen, config, SEPARATOR.join(_prior_text(f, o) for f, o in wanted))
    _ = made.beam_args  # refused before any work
    return made


def _prior_text(fit, own):
    # Where nothing is fitted, nothing depends on how.
    nothing = not fit.prior or isinstance(own, NoOptions)
    values = {"prior": fit.prior} if nothing else dataclasses.asdict(fit) | dataclasses.asdict(own)
    return flagfiles.text(values)


def help_text():
    """Help for every flag."""
    lines = ["", "pipeline:"]
    for field in dataclasses.fields(PipelineOptions):
        lines.append(f"  --{field.name}\n      {options.describe(field)} (default: {field.default or 'none'})")
    return "\n".join([*lines, flags.training_help(), flags.prior_help()])
