"""Files that appear whole or not at all."""

import contextlib
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any


@contextlib.contextmanager
def named(path: str | os.PathLike) -> Iterator[None]:
    """Errors of writing, which do not say where, name `path`."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


def append_line(path: str | os.PathLike, text: str) -> None:
    """Adds a line to a file for good, all of it or nothing."""
    with named(path), open(path, "ab", buffering=0) as file:
        size, left = file.tell(), memoryview(f"{text}\n".encode())
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


@contextlib.contextmanager
def replacing(path: str | os.PathLike, mode: str = "wb") -> Iterator[IO]:
    """Opens a temporary file beside `path`, and moves it onto `path` if the block ends without an error."""
    path = pathlib.Path(path)
    with named(path), _replacing(path, mode) as file:
        yield file


@contextlib.contextmanager
def _replacing(path, mode):
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, mode) as file:
            yield file
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: str | os.PathLike, text: str) -> None:
    with replacing(path, "w") as file:
        file.write(text)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes plain values, with null for numbers that JSON does not have."""
    write_text(path, json.dumps(_strict(value), indent=1, allow_nan=False) + "\n")


def _strict(value):
    if isinstance(value, dict):
        return {name: _strict(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_strict(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
