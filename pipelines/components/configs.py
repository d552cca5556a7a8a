"""A run's configuration as text: the parameter by which Trainer's flags travel."""

import dataclasses

from pga_tf.core import flagfiles, options
from pga_tf.runs import config as config_lib
from pga_tf.runs.config import Config, FitOptions
from pga_tf.runs.directory import ALLOWANCES
from pga_tf.settings.data import DataOptions
from pga_tf.settings.methods import METHOD_OPTIONS
from pga_tf.settings.priors import PRIOR_OPTIONS, fitted_with

SEPARATOR = "---\n"  # between the flags of priors


def _values(text):
    return flagfiles.values(text, "flags of a step", "they are to be as this module writes them")


def training_flags(config):
    """The flags of `config` that Trainer depends on: all but those of the data, which the steps before it take."""
    others = {field.name for field in dataclasses.fields(DataOptions)} | {"workdir"} | ALLOWANCES.keys()
    return flagfiles.text({name: value for name, value in config.values().items() if name not in others})


def training_config(text, *, dataset, workdir):
    """The `Config` of `training_flags`, on `dataset` as it is."""
    values = _values(text) | {"dataset": dataset, "workdir": workdir}
    groups = {key: options.from_text(cls, values) for key, cls in config_lib.GROUPS.items()}
    return Config(**groups, method=options.from_text(METHOD_OPTIONS.get(groups["run"].method), values))


def prior_options(text):
    """(FitOptions, the prior's own options or, where none is named, None) of lines of flags."""
    values = _values(text)
    of_prior = fitted_with(values["prior"]) if values.get("prior") else {}
    fit = options.from_text(FitOptions, {name: str(value) for name, value in of_prior.items()} | values)
    return fit, options.from_text(PRIOR_OPTIONS.get(fit.prior), values) if fit.prior else None


def warnings(text):
    """Prints those lines that a user should see; the plan and the paths are of folders that will be moved."""
    for line in text.splitlines():
        if line.startswith("warning"):
            print(line)
