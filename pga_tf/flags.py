"""Command-line flags, generated from the option dataclasses, and back again to a `Config`.

Every option is declared once, as a field of a dataclass; its flag, help, unit and range come from there. Flags
of methods default to "not given", so that a flag which the chosen method does not have can be refused.
"""

import dataclasses
import pathlib
import sys

from absl import flags

from pga_tf.core import checks, options
from pga_tf.runs.config import GROUPS, Config, FitOptions, at_home, fit_options, of_run
from pga_tf.runs.directory import CHECKPOINTS
from pga_tf.settings.methods import METHOD_OPTIONS
from pga_tf.settings.priors import PRIOR_OPTIONS, NoOptions, fitted_with

_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def _method_fields():
    """Fields of all methods' options by name: dict of name to list of (method name, field)."""
    fields = {}
    for method in METHOD_OPTIONS.names():
        for field in dataclasses.fields(METHOD_OPTIONS.get(method)):
            fields.setdefault(field.name, []).append((method, field))
    return fields


def define_training_flags(flag_values=flags.FLAGS):
    """Defines a flag for every option of every group and method. Call once, before parsing."""
    fields = [field for cls in GROUPS.values() for field in dataclasses.fields(cls)]
    fields += [uses[0][1] for uses in _method_fields().values()]
    for field in fields:
        # None stands for "not given"; the dataclass has the default.
        _DEFINE[type(field.default)](field.name, None, options.describe(field), flag_values=flag_values)


def define_weights_flag(flag_values=flags.FLAGS):
    """Defines which checkpoint of a run a command takes. Call once, before parsing."""
    flags.DEFINE_enum(
        "checkpoint", "last", CHECKPOINTS, "which weights; best needs train --keep_best", flag_values=flag_values
    )


def define_model_flags(flag_values=flags.FLAGS):
    """Defines which checkpoint and prior of a run a command takes. Call once, before parsing."""
    define_weights_flag(flag_values)
    flags.DEFINE_string(
        "prior",
        "",
        "distribution of codes: the method's own or one fitted to the run; default: the one that train was asked for",
        flag_values=flag_values,
    )


def define_data_flags(flag_values=flags.FLAGS):
    """Defines what the commands that read the images of a run take about them. Call once, before parsing."""
    flags.DEFINE_string(
        "dataset", "", "where the run's images lie now; default: where they lay", flag_values=flag_values
    )
    flags.DEFINE_boolean(
        "allow_changed_data", False, "take images that are not those of the run", flag_values=flag_values
    )


def config_of_run(flag_values=flags.FLAGS):
    """The `Config` of the run in `--workdir`, with what `define_data_flags` has. Raises `InputError`."""
    return of_run(flag_values["workdir"].value, flag_values["dataset"].value, flag_values["allow_changed_data"].value)


def _prior_fields():
    """Fields of all priors' options by name: dict of name to list of (prior name, field)."""
    fields = {}
    for prior in PRIOR_OPTIONS.names():
        for field in dataclasses.fields(PRIOR_OPTIONS.get(prior)):
            fields.setdefault(field.name, []).append((prior, field))
    return fields


def define_prior_flags(flag_values=flags.FLAGS):
    """Defines a flag for every option of fitting and of every prior. Call once, before parsing."""
    fields = [*dataclasses.fields(FitOptions), *(uses[0][1] for uses in _prior_fields().values())]
    for field in fields:
        _DEFINE[type(field.default)](field.name, None, options.describe(field), flag_values=flag_values)


def prior_from_flags(flag_values=flags.FLAGS):
    """(FitOptions, the prior's own options) of the parsed flags. Raises `InputError` for foreign or impossible ones.

    Without a `--prior` there are no options of one (None). One that is not fitted, such as an explicit
    `--prior=normal`, switches off the prior of a flagfile, with whatever options that one has there.
    """
    fit = fit_options(_given((field.name for field in dataclasses.fields(FitOptions)), flag_values))
    if not fit.prior:
        foreign = _given(_prior_fields(), flag_values)
        for flag in foreign:
            having = ", ".join(owner for owner, _ in _prior_fields()[flag])
            checks.refuse(
                f"--{flag}", expected="a --prior that has it", received="no --prior", remedy=f"add --prior={having}"
            )
        return options.validate(fit), None
    cls = PRIOR_OPTIONS.get(fit.prior)
    if cls is NoOptions:
        return options.validate(fit), NoOptions()
    own = _own_options("prior", fit.prior, cls, _prior_fields(), flag_values)
    return options.validate(fit), options.validate(own)


def _own_options(kind, name, cls, fields, flag_values):
    """Options `cls` of the method or prior `name` from the flags given; a flag of another one is refused."""
    own = [field.name for field in dataclasses.fields(cls)]
    given = _given(fields, flag_values)
    for flag in given:
        if flag not in own:
            checks.refuse(
                f"--{flag}",
                expected=f"a flag of --{kind}={name}, which has " + (", ".join(f"--{n}" for n in own) or "none"),
                received=f"a flag of {', '.join(owner for owner, _ in fields[flag])}",
                remedy=f"leave it out or choose the {kind} that has it",
            )
    return cls(**given)


def _given(names, flag_values):
    values = ((name, flag_values[name].value) for name in names)
    return {name: value for name, value in values if value is not None}


def config_from_flags(flag_values=flags.FLAGS):
    """The `Config` that the parsed flags describe. Raises `InputError` for a flag that the method does not have."""
    groups = {
        key: cls(**_given((field.name for field in dataclasses.fields(cls)), flag_values))
        for key, cls in GROUPS.items()
    }
    method = groups["run"].method
    own = _own_options("method", method, METHOD_OPTIONS.get(method), _method_fields(), flag_values)
    config = at_home(Config(**groups, method=own))
    if not config.run.workdir:
        config = dataclasses.replace(config, run=dataclasses.replace(config.run, workdir=_default_workdir(config)))
    return config


def _default_workdir(config):
    flagfiles = []
    for argument, following in zip(sys.argv, [*sys.argv[1:], ""], strict=True):
        if argument in ("--flagfile", "-flagfile"):
            flagfiles.append(following)
        elif argument.startswith(("--flagfile=", "-flagfile=")):
            flagfiles.append(argument.partition("=")[2])
    name = pathlib.Path(flagfiles[-1]).stem if flagfiles else f"{config.run.method}_{config.data.dataset}"
    return str(pathlib.Path("runs") / name.replace(":", "_").replace("/", "_"))


def training_help():
    """Help for the training flags, grouped, with units, ranges and defaults."""
    lines = []
    for key, cls in GROUPS.items():
        lines += ["", f"{key}:"] + [_help_line(field, field.default) for field in dataclasses.fields(cls)]
    for method in METHOD_OPTIONS.names():
        lines += ["", f"with --method={method}:"]
        lines += [_help_line(field, field.default) for field in dataclasses.fields(METHOD_OPTIONS.get(method))]
    return "\n".join(lines)


def prior_help():
    """Help for the flags of fitting and of the priors."""
    lines = ["", "fitting a prior:"] + [_help_line(field, field.default) for field in dataclasses.fields(FitOptions)]
    for prior in PRIOR_OPTIONS.names():
        own = dataclasses.fields(PRIOR_OPTIONS.get(prior))
        if own:
            lines += ["", f"with --prior={prior}:"] + [_help_line(field, field.default) for field in own]
        if others := fitted_with(prior):
            lines += ["  defaults of fitting: " + " ".join(f"--{name}={value}" for name, value in others.items())]
    return "\n".join(lines)


def _help_line(field, default):
    choices = field.metadata["choices"]
    value = "|".join(map(str, choices)) if choices else type(field.default).__name__
    return (
        f"  --{field.name}=<{value}>\n      {options.describe(field)} (default: {default if default != '' else 'none'})"
    )
