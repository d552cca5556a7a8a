"""An SQLite file, every trouble with which is told in one sentence with what to do."""

import contextlib
import os
import pathlib
import shlex
import sqlite3

from pga_tf.core import checks, locks

BUSY_SECONDS = 10.0  # that another process may hold the file before a run gives up
WRITABLE = ("a file that can be written, in a folder that can", "change their permissions, then {again}")
# (expected, remedy) by the beginning of SQLite's own name of an error.
TROUBLE = {
    "SQLITE_BUSY": ("one that no other process holds for more than {seconds:g} s", "end that process, then {again}"),
    "SQLITE_READONLY": WRITABLE,
    "SQLITE_CANTOPEN": WRITABLE,
    "SQLITE_PERM": WRITABLE,
    "SQLITE_FULL": ("a disk with room for it", "free some space, then {again}"),
    "SQLITE_IOERR": ("a disk that can be read and written, with room for it", "free some space, then {again}"),
}
DAMAGED = ("an SQLite database that is whole", "put a copy of it back, or start a new one with: {aside}")
AGAIN = "give the same command again"


class Database:
    """The SQLite file `path`, made where there is none.

    Args:
      layouts: dict of version (SQLite's `user_version`) to (SQL that makes its tables, dict of table to the names of
        their columns). The highest is that of a new file; files of the others are read, and brought to it by `claim`.

    Every method raises `InputError` for a file that is locked, damaged, of another layout, or cannot be used.
    """

    def __init__(self, path, layouts):
        self.path, self._layouts = pathlib.Path(path), layouts
        with refusing(self.path):
            self._db = _connected(self.path)
            self._require_layout()

    def _require_layout(self):
        ((version,),) = self._db.execute("pragma user_version").fetchall()
        tables = [name for (name,) in self._db.execute("select name from sqlite_master where type='table'")]
        if not tables and not version:
            self._make()
            return
        found = {name: [row[1] for row in self._db.execute(f'pragma table_info("{name}")')] for name in tables}
        if version not in self._layouts or not self._layouts[version][1].items() <= found.items():
            newer = version > max(self._layouts)
            checks.refuse(
                f"{self.path}",
                expected=f"a database of this program, with tables of layout {max(self._layouts)} or before",
                received=f"tables of layout {version}, of a newer program" if newer else "other tables",
                remedy=f"use the program that made it, or start a new one with: {aside(self.path)}",
            )

    def claim(self):
        """Makes sure, before any work, that the file can be written, and has the tables of the newest layout."""
        with refusing(self.path):
            self._make()

    def _make(self):
        newest = max(self._layouts)
        # Setting the version writes to the file, be it the same as before.
        with self._db:
            self._db.executescript(f"begin; {self._layouts[newest][0]} pragma user_version={newest}; commit")

    def read(self, query, values=()):
        """The rows of a query."""
        with refusing(self.path):
            return self._db.execute(query, values).fetchall()

    @contextlib.contextmanager
    def changing(self):
        """The connection, for changes that are made together or not at all."""
        with refusing(self.path), self._db:
            yield self._db


def _connected(path):
    return sqlite3.connect(path, timeout=BUSY_SECONDS)


def require_whole(path):
    """Raises `InputError` where `path` is no file, or an SQLite database that is damaged or locked; none is well."""
    if path.exists() and not path.is_file():
        kind = "a folder" if path.is_dir() else "something else"
        remedy = f"move it away with: {aside(path)}"
        checks.refuse(f"{path}", expected="a file, the database of a pipeline", received=kind, remedy=remedy)
    if not path.exists():
        return
    with refusing(path), contextlib.closing(_connected(path)) as found:
        ((first,), *_) = found.execute("pragma quick_check(1)").fetchall()
    if first != "ok":
        _refuse(path, DAMAGED, " ".join(first.split()))


@contextlib.contextmanager
def refusing(path):
    """Raises `InputError` about the file `path` for SQLite's errors in the block."""
    try:
        yield
    except sqlite3.ProgrammingError:  # ours
        raise
    except sqlite3.Error as error:
        kind = getattr(error, "sqlite_errorname", "")
        whom = locks.by_whom(path) if kind.startswith("SQLITE_BUSY") else ""
        told = next((told for name, told in TROUBLE.items() if kind.startswith(name)), DAMAGED)
        _refuse(path, told, f"{error}{whom}")


def _refuse(path, told, received):
    known = {"seconds": BUSY_SECONDS, "aside": aside(path), "again": AGAIN}
    expected, remedy = (text.format(**known) for text in told)
    checks.refuse(f"{path}", expected=expected, received=received, remedy=remedy)


def aside(path):
    """A command line that moves `path` away and loses nothing."""
    names = (f"{path}.damaged{number}" for number in ("", *range(2, 1000)))
    return shlex.join(["mv", str(path), next(name for name in names if not os.path.lexists(name))])
