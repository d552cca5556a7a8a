"""Waiting until the disk itself has what was written, so that a power cut loses nothing that was told to be done."""

import errno
import os
import pathlib

NO_SUCH_THING = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)  # a mounted bucket knows no folders


def sync(folder: str | os.PathLike, *, below: bool = True) -> None:
    """Waits until the disk has the entries of `folder`, and unless `below` is False all files and folders below it."""
    folder = pathlib.Path(folder)
    for path in [*(folder.rglob("*") if below else ()), folder]:
        if path.is_file() or path.is_dir():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            except OSError as error:
                if error.errno not in NO_SUCH_THING:
                    raise
            finally:
                os.close(handle)
