"""A run's configuration as text: the parameter by which Trainer's flags travel."""

import dataclasses
import re

from pga_tf.core import options
from pga_tf.data import DataOptions
from pga_tf.methods import METHODS
from pga_tf.priors import PRIORS
from pga_tf.runs import config as config_lib
from pga_tf.runs.config import Config, FitOptions

ESCAPED = re.compile(r"\\(.)")


def to_text(values):
    """dict of names to plain values, as the lines of a flagfile; in a value, a line's end is written as `\\n`."""
    texts = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in values.items()}
    escaped = {name: text.replace("\\", r"\\").replace("\n", r"\n") for name, text in texts.items()}
    return "".join(f"--{name}={text}\n" for name, text in escaped.items())


def _values(text):
    values = dict(line[2:].split("=", 1) for line in text.split("\n") if line.startswith("--"))
    return {name: ESCAPED.sub(lambda found: found[1].replace("n", "\n"), value) for name, value in values.items()}


def training_flags(config):
    """The flags of `config` that Trainer depends on: all but those of the data, which the steps before it take."""
    data = {field.name for field in dataclasses.fields(DataOptions)}
    return to_text({name: value for name, value in config.values().items() if name not in data | {"workdir"}})


def training_config(text, *, dataset, workdir):
    """The `Config` of `training_flags`, on `dataset` as it is."""
    values = _values(text) | {"dataset": dataset, "workdir": workdir}
    groups = {key: options.from_text(cls, values) for key, cls in config_lib.GROUPS.items()}
    return Config(**groups, method=options.from_text(METHODS.get(groups["run"].method).Options, values))


def prior_options(text):
    """(FitOptions, the prior's own options or, where none is named, None) of lines of flags."""
    values = _values(text)
    fit = options.from_text(FitOptions, values)
    return fit, options.from_text(PRIORS.get(fit.prior).Options, values) if fit.prior else None


def warnings(text):
    """Prints those lines that a user should see; the plan and the paths are of folders that will be moved."""
    for line in text.splitlines():
        if line.startswith("warning"):
            print(line)
