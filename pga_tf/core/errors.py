"""What an error of the machine or of a library says to a user: one line with the file, what is wrong, and a remedy."""

import errno
import os
import re
import sqlite3
import sys

MORE_ROOM = "free some space there, and run the same command again"
REMEDIES = {
    errno.ENOSPC: MORE_ROOM,
    errno.EDQUOT: MORE_ROOM,
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), and run the same command again",
    errno.EROFS: "choose a place that can be written",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "close other programs: the whole system has too many files open",
    errno.ENOENT: "check the path",
    errno.ENOTDIR: "check the path",
    errno.EISDIR: "name a file, or move that folder away",
    errno.EIO: "look at the disk, or at whether the terminal is still there",
    errno.ESTALE: "look at the network's file system",
    errno.ENAMETOOLONG: "choose a shorter name",
}
WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
NUMBERS = {os.strerror(number): number for number in REMEDIES}
LESS = "lower --batch_size, --num_samples, or the size of the images or networks"
PLACES = re.compile(
    r"^((\{\{.*?\}\}|Error in user-defined function passed to \S+ transformation with iterator: \S+:) )+"
)
FROM_PYTHON = re.compile(r"(?:[\w.]+\.)?(\w*(?:Error|Exception|Interrupt|Exit|Iteration)): (.*)")


def line(error: BaseException) -> str | None:
    """The line for `error`, or None for one that is a mistake in the program, of which the traceback is wanted."""
    if isinstance(error, MemoryError):
        return _memory(str(error))
    if isinstance(error, OSError):
        return _file(error.filename, error.errno, error.strerror or str(error))
    if isinstance(error, sqlite3.Error):
        remedy = "close other programs that have it open, free some space, or move it away to begin a new one"
        return f"An SQLite database: {error}. Remedy: {remedy}."
    tensorflow = sys.modules.get("tensorflow")  # without it none of its errors is there
    if tensorflow and isinstance(error, tensorflow.errors.OpError):
        return _of_tensorflow(error, tensorflow.errors)
    return None


def said(error: BaseException) -> str:
    """What an error says first, without TensorFlow's names of nodes and operations."""
    text = PLACES.sub("", str(getattr(error, "message", error)))
    return text.partition("\n")[0].partition(" [Op:")[0].strip()


def _of_tensorflow(error, kinds):
    text = said(error)
    raised = FROM_PYTHON.fullmatch(text)  # by a function of Python that TensorFlow called
    if raised and raised[1] == "InputError":
        return raised[2]
    path, _, reason = text.rpartition("; ")
    if path and reason in NUMBERS:
        return _file(path, NUMBERS[reason], reason)
    if isinstance(error, kinds.ResourceExhaustedError):
        return _memory(raised[2] if raised else text)
    if raised:
        return _of_python(raised[2])
    return f"TensorFlow: {text.rstrip('.')}. Remedy: --verbosity=1 shows where it comes from."


def _of_python(said):
    """The line for an OSError as text, `[Errno 2] No such file or directory: 'PATH'`; None for anything else."""
    found = re.fullmatch(r"\[Errno (\d+)\] (.*?)(?:: '(.*)')?", said)
    return _file(found[3], int(found[1]), found[2]) if found else None


def _file(path, number, reason):
    remedy = REMEDIES.get(number)
    return (f"{path}: " if path else "") + f"{reason.rstrip('.')}." + (f" Remedy: {remedy}." if remedy else "")


def _memory(said):
    return f"Out of memory{': ' if said else ''}{said.rstrip('.')}. Remedy: {LESS}."
