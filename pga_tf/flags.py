"""Command-line flags, generated from the option dataclasses, and back again to a `Config`.

Every option is declared once, as a field of a dataclass; its flag, help, unit and range come from there. Flags
of methods default to "not given", so that a flag which the chosen method does not have can be refused.
"""

import dataclasses
import pathlib
import sys

from absl import app, flags, logging

from pga_tf.core import checks, options
from pga_tf.data import DataOptions
from pga_tf.methods import METHODS
from pga_tf.networks import NetworkOptions
from pga_tf.training.config import Config, OptimizerOptions, RunOptions
from pga_tf.training.run_directory import RunDirectory

GROUPS = {"run": RunOptions, "data": DataOptions, "network": NetworkOptions, "optimizer": OptimizerOptions}
_DEFINE = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def _method_fields():
    """Fields of all methods' options by name: dict of name to list of (method name, field)."""
    fields = {}
    for method in METHODS.names():
        for field in dataclasses.fields(METHODS.get(method).Options):
            fields.setdefault(field.name, []).append((method, field))
    return fields


def define_training_flags(flag_values=flags.FLAGS):
    """Defines a flag for every option of every group and method. Call once, before parsing."""
    fields = [field for cls in GROUPS.values() for field in dataclasses.fields(cls)]
    fields += [uses[0][1] for uses in _method_fields().values()]
    for field in fields:
        # None stands for "not given"; the dataclass has the default.
        _DEFINE[type(field.default)](field.name, None, options.describe(field), flag_values=flag_values)


def _given(names, flag_values):
    values = ((name, flag_values[name].value) for name in names)
    return {name: value for name, value in values if value is not None}


def config_from_flags(flag_values=flags.FLAGS):
    """The `Config` that the parsed flags describe. Raises `InputError` for a flag that the method does not have."""
    groups = {
        key: cls(**_given((field.name for field in dataclasses.fields(cls)), flag_values))
        for key, cls in GROUPS.items()
    }
    method_options = METHODS.get(groups["run"].method).Options
    own = [field.name for field in dataclasses.fields(method_options)]
    given = _given(_method_fields(), flag_values)
    for name in given:
        if name not in own:
            checks.refuse(
                f"--{name}",
                expected=f"a flag of --method={groups['run'].method}, which has " + ", ".join(f"--{n}" for n in own),
                received=f"a flag of {', '.join(m for m, _ in _method_fields()[name])}",
                remedy="leave it out or choose the method that has it",
            )
    config = Config(**groups, method=method_options(**given))
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


def config_of_run(workdir):
    """The `Config` that a finished or unfinished run in `workdir` was trained with."""
    values = RunDirectory(workdir).read_flags()

    def fill(cls):
        chosen = {}
        for field in dataclasses.fields(cls):
            if field.name in values:
                kind, text = type(field.default), values[field.name]
                chosen[field.name] = text == "true" if kind is bool else kind(text)
        return cls(**chosen)

    groups = {key: fill(cls) for key, cls in GROUPS.items()}
    groups["run"] = dataclasses.replace(groups["run"], workdir=str(workdir))
    return Config(**groups, method=fill(METHODS.get(groups["run"].method).Options))


def training_help():
    """Help for the training flags, grouped, with units, ranges and defaults."""
    lines = []
    for key, cls in GROUPS.items():
        lines += ["", f"{key}:"] + [_help_line(field, field.default) for field in dataclasses.fields(cls)]
    for method in METHODS.names():
        lines += ["", f"with --method={method}:"]
        lines += [_help_line(field, field.default) for field in dataclasses.fields(METHODS.get(method).Options)]
    return "\n".join(lines)


def _help_line(field, default):
    choices = field.metadata["choices"]
    value = "|".join(map(str, choices)) if choices else type(field.default).__name__
    return (
        f"  --{field.name}=<{value}>\n      {options.describe(field)} (default: {default if default != '' else 'none'})"
    )


def run(main, *, usage, help_text=None, arguments=False):
    """Runs a command: parses flags, calls `main()`, prints input errors as one line and exits with status 2.

    With `arguments`, what is left of the command line beside flags is passed to `main` as a list, else refused.
    """
    if any(argument in ("--helpshort", "--help", "-h", "-help") for argument in sys.argv[1:]):
        print(usage + "\n" + (help_text() if help_text else flags.FLAGS.main_module_help()))
        return

    def guarded(argv):
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.WARNING)  # libraries report every file that they open as news
        try:
            if arguments:
                return main(argv[1:])
            if len(argv) > 1:
                checks.refuse("Command line", expected="flags only", received=argv[1], remedy="write --name=value")
            return main()
        except (checks.InputError, checks.NonFiniteError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except OSError as error:  # a disk that is full or read-only, at whatever file it showed
            print(f"error: {error.filename or 'a file'}: {error.strerror or error}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130

    app.run(guarded, flags_parser=_parse)


def _parse(argv):
    """Parses flags; an unknown flag, a bad value or a missing flagfile exits with one line and status 2."""
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
