"""Files that one process at a time may hold, and who holds them."""

import contextlib
import fcntl
import os
import pathlib
import time
from collections.abc import Iterator

from pga_tf.core import checks

LOCKS = pathlib.Path("/proc/locks")


class Held(checks.InputError):
    """Another process holds the file."""


@contextlib.contextmanager
def exclusive(path: str | os.PathLike, what: str, *, expected: str, seconds: float = 0.0) -> Iterator[None]:
    """Holds the file `path`, which is made, for the block; the lock goes with the process, however that ends.

    Raises `Held` about `what` where another process holds it for longer than `seconds`, `OSError` for a file that
    cannot be written.
    """
    end = time.monotonic() + seconds
    with open(path, "w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    received, remedy = f"one in use{by_whom(path)}", "wait for the other process"
                    checks.refuse(what, expected=expected, received=received, remedy=remedy, kind=Held)
            time.sleep(0.02)
        yield


def by_whom(path: str | os.PathLike) -> str:
    """by process N (its command) for each process that holds a lock on the file `path`; "" where none is known."""
    # Each line: number, kind, how, READ or WRITE, process, MAJOR:MINOR:INODE, ... ; a waiting one has an arrow.
    try:
        inode = str(os.stat(path).st_ino)
        found = [line.split() for line in LOCKS.read_text().splitlines() if "->" not in line]
    except OSError:  # no Linux, or no such file any more
        return ""
    holders = sorted({int(words[4]) for words in found if words[5].rpartition(":")[2] == inode})
    return " by " + " and ".join(map(_described, holders)) if holders else ""


def _described(process):
    try:
        command = pathlib.Path(f"/proc/{process}/cmdline").read_bytes().decode("utf-8", "replace")
    except OSError:
        command = ""
    words = " ".join(command.replace("\0", " ").split())
    return f"process {process}" + (f" ({words[:77] + '...' if len(words) > 80 else words})" if words else "")
