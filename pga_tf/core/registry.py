"""Names for things: a registry maps the name on the command line to the object that it stands for."""

from collections.abc import Callable
from typing import Any

from pga_tf.core import checks


class Registry:
    """A table of named objects of one kind, such as "method" or "network"."""

    def __init__(self, kind: str):
        self.kind = kind
        self._entries = {}

    def register(self, name: str) -> Callable:
        """Decorator: enters the decorated object under `name`; a name is given once."""

        def enter(entry):
            if name in self._entries:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._entries[name] = entry
            return entry

        return enter

    def get(self, name: str) -> Any:
        """The object called `name`; raises `InputError` that proposes the nearest name."""
        checks.require_member(f"Unknown {self.kind}", name, self.names())
        return self._entries[name]

    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted(self._entries)
