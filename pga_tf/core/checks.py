"""Input errors, and the checks that raise them.

Every refusal of bad input is an `InputError` whose one message says what was looked at, what was expected,
what was received and what to do. The commands print it without a traceback and exit with status 2.
"""

import difflib
from collections.abc import Iterable
from typing import NoReturn


class InputError(ValueError):
    """Bad input from a user: a flag, a file, a shape, a value."""


class NonFiniteError(ArithmeticError):
    """Training produced a quantity that is not finite."""


class CollapseError(NonFiniteError):
    """Training has come to nothing, although all that it produced is finite; the message holds a remedy."""


def refuse(
    what: str, *, expected: object, received: object, remedy: str, kind: type[InputError] = InputError
) -> NoReturn:
    """Raises `InputError`, or a `kind` of it, with the four parts of a message that a user can act on."""
    # What a library raised before, where it did, is told in `received`.
    raise kind(f"{what}: expected {expected}, received {received}. Remedy: {remedy.removesuffix('?')}.") from None


def without_remedy(error: InputError) -> str:
    """What a message of `refuse` says before its remedy, for where another one is given."""
    return str(error).partition(" Remedy: ")[0]


def nearest(name: object, names: Iterable) -> str | None:
    """The member of `names` that is spelled most like `name`, or None."""
    close = difflib.get_close_matches(str(name), [str(n) for n in names], n=1, cutoff=0.5)
    return close[0] if close else None


def require_member(what: str, name: object, names: Iterable) -> None:
    """Raises `InputError` unless `name` is one of `names`; the message proposes the nearest one."""
    names = list(names)
    if name in names:
        return
    close = nearest(name, names)
    refuse(
        what,
        expected="one of " + ", ".join(map(str, names)),
        received=repr(name),
        remedy=f"did you mean {close!r}? If not, choose from the list" if close else "choose from the list",
    )
