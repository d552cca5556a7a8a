"""Options: frozen dataclasses whose fields carry their own help, unit, source and range.

A value is declared once, here as a field; `pga_tf.flags` generates the command-line flag from it, and
`validate` holds the value to its range before any long work starts.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pga_tf.core import checks

Options = TypeVar("Options")
LARGEST = 2**40  # whole number of any option: steps and seeds are counted in 64 bits, with room for what is added


def option(
    default: Any,
    help: str,
    *,
    unit: str | None = None,
    source: str | None = None,
    minimum: float | None = None,
    above: float | None = None,
    maximum: float | None = None,
    choices: Sequence | None = None,
) -> Any:
    """A dataclass field for a user-settable value.

    Args:
      default: the value where the user sets none; its type is the option's type.
      help: one line for `--helpshort`; the paper's symbol first where there is one.
      unit: what the number counts or measures (steps, epochs, examples, pixels, nats, a plain factor).
      source: the equation or section that defines it.
      minimum, above, maximum: inclusive lower, exclusive lower and inclusive upper bound.
      choices: the values allowed.
    """
    metadata = dict(help=help, unit=unit, source=source, minimum=minimum, above=above, maximum=maximum, choices=choices)
    return dataclasses.field(default=default, metadata=metadata)


def describe(field: dataclasses.Field) -> str:
    """The help line of a field, with its unit, source and range."""
    meta = field.metadata
    notes = []
    if meta["unit"]:
        notes.append(f"unit: {meta['unit']}")
    if meta["source"]:
        notes.append(meta["source"])
    bounds = _expected(meta)
    if bounds and not meta["choices"]:
        notes.append(bounds)
    return meta["help"] + (f" [{'; '.join(notes)}]" if notes else "")


def _expected(meta):
    if meta["choices"]:
        return "one of " + ", ".join(map(str, meta["choices"]))
    parts = []
    if meta["minimum"] is not None:
        parts.append(f">= {meta['minimum']}")
    if meta["above"] is not None:
        parts.append(f"> {meta['above']}")
    if meta["maximum"] is not None:
        parts.append(f"<= {meta['maximum']}")
    return " and ".join(parts)


def validate(options: Options) -> Options:
    """Returns `options`; raises `InputError` naming the first field that is out of its range."""
    for field in dataclasses.fields(options):
        meta, value = field.metadata, getattr(options, field.name)
        if not meta:
            continue
        flag = f"--{field.name}"
        if meta["choices"]:
            checks.require_member(flag, value, meta["choices"])
            continue
        if isinstance(value, int) and abs(value) > LARGEST:
            checks.refuse(flag, expected=f"at most {LARGEST:,}", received=value, remedy="pass a smaller number")
        if isinstance(value, float) and not math.isfinite(value):
            checks.refuse(flag, expected="a finite number", received=value, remedy="pass a finite number")
        too_low = (meta["minimum"] is not None and value < meta["minimum"]) or (
            meta["above"] is not None and value <= meta["above"]
        )
        if too_low or (meta["maximum"] is not None and value > meta["maximum"]):
            checks.refuse(
                flag,
                expected=f"a value {_expected(meta)}",
                received=value,
                remedy=f"the default is {field.default}",
            )
    return options


def from_text(cls: type[Options], values: Mapping[str, str]) -> Options:
    """Options of class `cls` from texts by name, as a flagfile holds them; fields that are not there keep defaults.

    Raises `InputError` for a text that is no value of its field's type.
    """
    chosen = {}
    for field in dataclasses.fields(cls):
        if field.name in values:
            chosen[field.name] = _of_text(field, values[field.name])
    return cls(**chosen)


def _of_text(field, text):
    kind = type(field.default)
    try:
        return {"true": True, "false": False}[text] if kind is bool else kind(text)
    except (KeyError, ValueError):
        expected = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        default = str(field.default).lower() if kind is bool else field.default
        checks.refuse(
            f"--{field.name}", expected=expected, received=repr(text), remedy=f"correct it; the default is {default}"
        )


def defaults(config: Any) -> dict[str, Any]:
    """Default of every option that the dataclass `config` holds, itself or in groups: dict of name to value."""
    found = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            found |= defaults(value)
        elif field.default is not dataclasses.MISSING:
            found[field.name] = field.default
    return found
