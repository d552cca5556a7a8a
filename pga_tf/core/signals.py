"""Polite ends: what a process does with Ctrl-C (SIGINT), SIGTERM and SIGHUP, which end it with status 130.

While a command starts they end it at once, with a line (`end_at_once`). Then they raise `Stopped` where the main thread
is (`raising`), except in work that wants to end in its own way (`noted`). The first of them counts: launchers repeat
theirs within moments, and that is no second wish.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator

POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STATUS = 130  # of a process that one of them has ended
PATIENCE = 1.0  # seconds after the first signal from which another one is a wish of its own


class Stopped(KeyboardInterrupt):
    """A polite signal, by its name."""


class Notice:
    """Which signal came inside a block: `received` is the name of the first one, or None."""

    def __init__(self, at_once: bool):
        self.received, self._since, self._at_once = None, None, at_once

    def receive(self, number: int, frame: object = None) -> None:
        """The handler."""
        del frame
        name, first = signal.Signals(number).name, self.received is None
        if first:
            self.received, self._since = name, time.monotonic()
        if first and self._at_once:
            raise Stopped(name)
        if time.monotonic() - self._since >= PATIENCE and (self._at_once or number == signal.SIGINT):
            raise KeyboardInterrupt(name)  # anywhere: work that could end in its own way is not to catch it

    def remember(self, other: "Notice") -> None:
        """What came to a block within this one has come: the next signal is a repetition."""
        self.received, self._since = other.received, other._since


_notices: list[Notice] = []  # of the blocks that the main thread is in, the innermost last


def end_at_once() -> None:
    """From here on a polite signal ends the process with a line: nothing has begun yet. For the start of a command."""
    _set(dict.fromkeys(POLITE, _ending()))


def _ending():
    stderr = os.dup(2)  # it is held back while TensorFlow is imported

    def end(number, frame):
        os.write(stderr, f"stopped by {signal.Signals(number).name} before anything was begun\n".encode())
        os._exit(STATUS)  # an import is no place to raise at: whoever runs it may catch it, and prints a traceback

    return end


@contextlib.contextmanager
def loading() -> Iterator[None]:
    """Inside the block, of imports that take seconds, a polite signal ends a command at once, as in `end_at_once`.

    Elsewhere than in a block of `raising` it changes nothing: a notebook is not to end.
    """
    if not _notices or not _in_main_thread():
        yield
        return
    before = _set(dict.fromkeys(POLITE, _ending()))
    try:
        yield
    finally:
        _set(before)


@contextlib.contextmanager
def raising() -> Iterator[Notice]:
    """Inside the block the first polite signal raises `Stopped`; one after `PATIENCE` raises `KeyboardInterrupt`."""
    with _block(Notice(at_once=True)) as notice:
        yield notice


@contextlib.contextmanager
def noted() -> Iterator[Notice]:
    """Inside the block the first polite signal is noted; a Ctrl-C after `PATIENCE` raises `KeyboardInterrupt`.

    In a thread other than the main one nothing is noted: signals go to the main thread.
    """
    with _block(Notice(at_once=False)) as notice:
        yield notice


def ignore() -> None:
    """From here on nothing polite is heard: what there was to end has ended."""
    _set(dict.fromkeys(POLITE, signal.SIG_IGN))


def give_way() -> None:
    """Raises `Stopped` where a signal was noted; for pauses in work that may as well be done later."""
    if _notices and _notices[-1].received and _in_main_thread():
        raise Stopped(_notices[-1].received)


@contextlib.contextmanager
def _block(notice):
    if not _in_main_thread():
        yield notice
        return
    before = _set(dict.fromkeys(POLITE, notice.receive))
    _notices.append(notice)
    try:
        yield notice
    finally:
        _notices.remove(notice)
        if notice.received and _notices:
            _notices[-1].remember(notice)
        # What is ignored by now is so for good (`ignore`).
        _set({number: old for number, old in before.items() if signal.getsignal(number) is not signal.SIG_IGN})


def _set(handlers):
    """Sets handlers by number, and returns those before. A SIGHUP that nohup has had ignored stays ignored.

    A shell has Ctrl-C ignored by what a script starts in the background; whoever sends SIGINT there means it.
    """
    before = {number: signal.getsignal(number) for number in handlers}
    kept = {number for number, handler in before.items() if handler is None}
    kept |= {signal.SIGHUP} if before.get(signal.SIGHUP) is signal.SIG_IGN else set()
    for number in before.keys() - kept:
        signal.signal(number, handlers[number])
    return {number: handler for number, handler in before.items() if number not in kept}


def _in_main_thread():
    return threading.current_thread() is threading.main_thread()
