"""Flagfiles: a line `--name=value` for each flag, as the commands read them and runs write them.

Blank lines and those that begin with # or // say nothing. `--flagfile=OTHER` takes in another file there. Quotes around
a whole value are no part of it; between double quotes JSON's escapes stand for what a line cannot hold.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence

from pga_tf.core import checks, files


def line(name: str, value: str) -> str:
    """`--name=value`, such that it reads back exactly, whatever `value` holds."""
    plain = value == value.strip() and value.isprintable() and value[:1] not in ('"', "'")
    return f"--{name}={value if plain else json.dumps(value)}"


def text(values: Mapping[str, object]) -> str:
    """The lines of `values`: dict of name to plain value."""
    return "".join(line(name, as_text(value)) + "\n" for name, value in values.items())


END = "# end"  # the last line of a file that was not cut
_FRAMED = f"# whole where the last line is: {END}"


def framed(values: Mapping[str, object]) -> str:
    """As `text`, in a frame by which `values` and `read_values` know one that was cut."""
    return f"{_FRAMED}\n{text(values)}{END}\n"


def as_text(value: object) -> str:
    """A plain value as a flag has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_values(path: str | os.PathLike, remedy: str) -> dict[str, str]:
    """As `values`, of a file."""
    return values(files.read_text(path, remedy), str(path), remedy)


def values(text: str, where: str, remedy: str) -> dict[str, str]:
    """Value by name of a flagfile's text that names each flag once. Raises `InputError` for any other text.

    Args:
      where, remedy: of the message.
    """
    found, lines = {}, text.splitlines()
    if _FRAMED in lines and END not in lines:
        checks.refuse(where, expected=f"{END} in its last line", received="a file that was cut", remedy=remedy)
    for number, entry in _lines(text):
        name, equals, value = entry[2:].partition("=")
        if not entry.startswith("--") or not equals or not name.isidentifier():
            _refuse_line(where, number, entry, remedy)
        value = _unquoted(value, where, number, remedy)
        if found.setdefault(name, value) != value:
            checks.refuse(
                f"{where}, line {number}",
                expected=f"--{name} once, as {found[name]!r}",
                received=f"it again, as {value!r}",
                remedy=remedy,
            )
    return found


def expanded(arguments: Sequence[str]) -> list[str]:
    """A command line with the lines of its flagfiles in their place. Raises `InputError` for a file that is none."""
    found, left = [], list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            return [*found, argument, *left]
        name, equals, path = argument.partition("=")
        if name not in ("--flagfile", "-flagfile"):
            found.append(argument)
            continue
        if not equals and not left:
            checks.refuse("--flagfile", expected="a file", received="none", remedy="write --flagfile=FILE")
        found += _arguments(path if equals else left.pop(0), ())
    return found


REMEDY = "write a line --name=value for each flag, in UTF-8"


def _arguments(path, within):
    """The arguments that a flagfile stands for; `within`: the files that took it in."""
    path = files.home(path)
    if not path:
        return []
    if os.path.realpath(path) in within:
        checks.refuse(
            f"--flagfile={path}", expected="no file that takes in itself", received="one", remedy="take that line out"
        )
    found = []
    for number, entry in _lines(files.read_text(path, REMEDY, f"--flagfile={path}")):
        name, equals, value = entry.partition("=")
        if name in ("--flagfile", "-flagfile"):
            found += _arguments(_unquoted(value, path, number, REMEDY), (*within, os.path.realpath(path)))
        elif re.fullmatch(r"--?[^\s\"'-][^\s\"']*", name):
            found.append(name + equals + _unquoted(value, path, number, REMEDY))
        elif found and re.fullmatch(r"--?[^\s=]+", found[-1]):
            found.append(_unquoted(entry, path, number, REMEDY))  # the value of the flag on the line before
        else:
            _refuse_line(path, number, entry, REMEDY)
    return found


def _refuse_line(where, number, received, remedy):
    shown = repr(received if len(received) <= 60 else received[:57] + "...")
    checks.refuse(f"{where}, line {number}", expected="--name=value", received=shown, remedy=remedy)


def _lines(text):
    """(number, line) of the lines that say something."""
    for number, entry in enumerate(re.split("\r\n|\r|\n", text), 1):
        entry = entry.strip()
        if entry and not entry.startswith(("#", "//")):
            yield number, entry


def _unquoted(value, path, number, remedy):
    if value[:1] not in ('"', "'") or not value:
        return value
    if len(value) < 2 or value[-1] != value[0]:
        checks.refuse(f"{path}, line {number}", expected=f"a closing {value[0]}", received=value, remedy=remedy)
    if value[0] == '"':
        try:
            return json.loads(value)
        except ValueError:
            pass  # no text of ours: what a shell would take it for
    return value[1:-1]
