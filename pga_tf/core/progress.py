"""How far a command has come: on a terminal one row that is rewritten, in a log file whole lines, seldom."""

import contextlib
import math
import os
import sys
import time

from tqdm import tqdm

ROW_SECONDS = 0.2  # between two looks of a terminal's row
LINE_SECONDS = 10.0  # between two lines of a log file


def duration(seconds: float) -> str:
    """A time as people say it: seconds up to 100, minutes up to two hours, then hours."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def _whole(said, room):
    """`said` without the pairs of a name and a value at its end that `room` columns cut."""
    while len(said) > room and said.count(" ") > 8:  # what comes before the pairs
        said = said.rsplit(" ", 2)[0]
    return said


class _Lossy:
    """A stream that drops what it cannot write: work does not end because a terminal or a reader of its log has."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        with contextlib.suppress(OSError):
            self._stream.write(text)

    def flush(self):
        with contextlib.suppress(OSError):
            self._stream.flush()


class Progress:
    """Work of which `done` units of `total` are done, shown while the block runs.

    Args:
      what: what is being done, or the unit's name, in a word or two.
      total: units of all the work; None where that is not known.
      done: units that were done before. of_each: things, called `things`, in each unit; their speed is shown.
      stream: default stderr.

    On a terminal the row never wraps: speed and time left stand first, and what does not fit is cut off. A stream that
    is no terminal gets no carriage return.
    """

    def __init__(self, what, total=None, *, done=0, things="images", of_each=1, stream=None):
        self.what, self.total, self.done = what, total, done
        self.things, self.of_each, self.stream = things, of_each, _Lossy(stream or sys.stderr)
        self.row, self.text, self.began = None, "", None
        self.shown, self.shown_at = float("-inf"), None  # when, and at how many units
        if self.stream.isatty():
            form = "[{bar:10}] {desc}" if total else "{bar:1}{desc}"
            self.row = tqdm(
                total=total, initial=done, file=self.stream, dynamic_ncols=True, ascii=".=", bar_format=form, leave=True
            )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Shows the last state and leaves it there; what is printed next comes below it."""
        if self.row is not None or (self.began is not None and self.shown_at != self.done):
            self._show()
        if self.row is not None:
            self.row.close()
            self.row = None

    def describe(self, what):
        """Something else is being done now."""
        self.what = what

    def advance(self, units=1):
        self.to(self.done + units)

    def skip(self, units):
        """So many are done without work, such as what a cache held: they say nothing of the speed."""
        self.done += units
        if self.began is not None:
            self.timed_from += units

    def to(self, done, text=""):
        """`done` units are done; `text`, or what it gives when it is called to be shown, comes after all else."""
        now = time.monotonic()
        if self.began is None:  # the first unit holds what is done once, such as tracing: time from its end
            self.began, self.timed_from = now, done
        self.done, self.text = done, text or self.text
        ended = done == self.total
        if now - self.shown >= (ROW_SECONDS if self.row is not None else LINE_SECONDS) or ended:
            self.shown = now
            self._show()

    def speed(self):
        """Things in a second since the end of the first unit, NaN before there is one."""
        units = self.done - self.timed_from if self.began is not None else 0
        return units * self.of_each / (time.monotonic() - self.began) if units > 0 else float("nan")

    def say(self, text):
        """A line of text above the row."""
        if self.row is not None:
            tqdm.write(text, file=self.stream)
        else:
            print(text, file=self.stream, flush=True)

    def _show(self):
        text = self.text() if callable(self.text) else self.text
        counted = f"{self.done:,}/{self.total:,}" if self.total else f"{self.done:,}"
        said, self.shown_at = ", ".join(filter(None, [f"{self.what} {counted}", self._pace(), text])), self.done
        if self.row is None:
            print(said, file=self.stream, flush=True)
            return
        self.row.n = self.done
        self.row.set_description_str(_whole(said, self._columns() - 13 if self.total else math.inf))

    def _columns(self):
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or math.inf
        except (OSError, ValueError):
            return math.inf

    def _pace(self):
        speed = self.speed()
        if not speed > 0:
            return "measuring speed"
        if not self.total:
            return f"{speed:.3g} {self.things}/s"
        return f"{speed:.0f} {self.things}/s, {duration((self.total - self.done) * self.of_each / speed)} left"
