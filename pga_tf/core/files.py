"""Files that appear whole or not at all."""

import contextlib
import errno
import fcntl
import json
import math
import os
import pathlib
import re
import secrets
import stat
import tempfile
from collections.abc import Iterable, Iterator
from typing import IO, Any

from pga_tf.core import checks

LONGEST_NAME = 255  # bytes of a file's name
_RANDOM = 4  # bytes, as twice as many digits in the name of a temporary file


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
def replacing(path: str | os.PathLike, mode: str = "wb", errors: str = "strict") -> Iterator[IO]:
    """Opens a temporary file beside `path`, and moves it onto `path`, synced, if the block ends without an error.

    What a link points to is replaced, and the link stays. A file keeps the permissions that it has, a new one gets what
    the umask leaves. Text is UTF-8; `errors` as `open` takes it.
    """
    with named(path), _replacing(path, mode, errors) as file:
        yield file


@contextlib.contextmanager
def _replacing(asked, mode, errors):
    path = pathlib.Path(os.path.realpath(asked))
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        handle, temporary = _temporary(path)
    except OSError as error:
        error.filename = os.fspath(asked)  # and not the temporary one's
        raise
    text = {} if "b" in mode else {"encoding": "utf-8", "errors": errors}
    try:
        with os.fdopen(handle, mode, **text) as file:
            yield file
            file.flush()
            if path.exists():
                os.fchmod(handle, stat.S_IMODE(path.stat().st_mode))
            os.fsync(handle)
            os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(path.parent)


def _temporary(path):
    """(descriptor, path) of a new file beside `path`, locked for as long as its writer lives: `sweep` goes by that."""
    start = os.fsdecode(os.fsencode(path.name)[: LONGEST_NAME - 2 * _RANDOM - 2])
    while True:
        temporary = path.with_name(f".{start}.{secrets.token_hex(_RANDOM)}")
        try:
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            continue
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return handle, temporary


def sync(path: str | os.PathLike) -> None:
    """Waits until what was written to a file, or which files a folder has, outlasts a power cut."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EROFS, errno.ENOSYS, errno.ENOTSUP):  # a file system that cannot
            raise
    finally:
        os.close(handle)


def sync_below(folder: str | os.PathLike) -> None:
    """As `sync`, of all files and folders below `folder`, and of itself."""
    folder = pathlib.Path(folder)
    for path in (*folder.rglob("*"), folder):
        if path.is_file() or path.is_dir():
            sync(path)


def sweep(folder: str | os.PathLike, names: re.Pattern) -> None:
    """Deletes the temporary files in `folder` of `replacing` processes that were killed.

    Only those of files whose whole name `names` matches go, and none that a process is still writing.
    """
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            found = re.fullmatch(r"\.(.+)\.[a-z0-9_]{8}", entry.name, re.DOTALL)
            if found and names.fullmatch(found[1]) and entry.is_file(follow_symlinks=False):
                _delete_unless_locked(entry.path)


def _delete_unless_locked(path):
    with contextlib.suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(path)
        finally:
            os.close(handle)


def read_text(path: str | os.PathLike, remedy: str, what: str = "") -> str:
    """The text of a file. Raises `InputError`, with `remedy`, for one that cannot be read or is none in UTF-8."""
    try:
        found = pathlib.Path(path).read_bytes().decode("utf-8-sig")
        received = "one with zero bytes" if "\0" in found else ""
    except UnicodeDecodeError as error:
        received = f"other bytes, the first at {error.start:,}"
    except (OSError, ValueError) as error:  # the latter of a path that cannot be one
        received = getattr(error, "strerror", None) or str(error)
    if received:
        checks.refuse(what or str(path), expected="a text file in UTF-8", received=received, remedy=remedy)
    return found


def read_json(path: str | os.PathLike, remedy: str) -> Any:
    """What a file of JSON holds. Raises `InputError`, with `remedy`, for one that cannot be read or is none."""
    text = read_text(path, remedy)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        checks.refuse(str(path), expected="JSON", received=f"{error}" if text else "an empty file", remedy=remedy)


def require_folder(path: str | os.PathLike, what: str = "") -> None:
    """Makes the folder `path` where it is missing. Raises `InputError`, of `what`, where none can be written."""
    try:
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except (OSError, ValueError) as error:
        received = f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}"
        if isinstance(error, FileExistsError | NotADirectoryError):
            received = f"a file at {error.filename}"
        checks.refuse(
            what or str(path),
            expected="a folder that can be written",
            received=received,
            remedy="choose another folder or change its permissions",
        )


def require_places(paths: Iterable[str | os.PathLike]) -> None:
    """Raises `InputError` where something stands in a place for a file that no file can replace."""
    for path in map(pathlib.Path, paths):
        leads_nowhere = path.is_symlink() and not path.resolve().parent.is_dir()
        if path.is_dir() or leads_nowhere:
            received = "a link to a folder that is not there" if leads_nowhere else "a folder"
            checks.refuse(str(path), expected="a file", received=received, remedy="move it away")


def write_text(path: str | os.PathLike, text: str, errors: str = "strict") -> None:
    with replacing(path, "w", errors) as file:
        file.write(text)


def write_page(path: str | os.PathLike, html: str) -> None:
    """Writes a page, in which names of files that are no UTF-8 are spelled out."""
    write_text(path, html, errors="backslashreplace")


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Writes plain values, with null for numbers that JSON does not have."""
    write_text(path, json.dumps(_strict(value), indent=1, allow_nan=False) + "\n")


def _strict(value):
    if isinstance(value, dict):
        return {name: _strict(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_strict(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def home(path: str | os.PathLike) -> str:
    """`path` as text, with `~` as the home folder; also after `folder:` and `npz:`, and of no path: as it is."""
    kind, start, rest = re.fullmatch(r"(folder:|npz:)?(~?)(.*)", os.fspath(path), re.DOTALL).groups()
    return (kind or "") + (os.path.expanduser(start + rest) if start else rest)
