"""Files of JSON with one entry, of a step, in each line: read past what a kill has cut short or a disk has damaged."""

import json
import pathlib
from collections.abc import Callable

from pga_tf.core import files


def append(path: pathlib.Path, entry: dict) -> None:
    """Adds an entry for good, all of it or nothing."""
    files.append_line(path, json.dumps(entry))


def read(path: pathlib.Path, whole: Callable[[dict], bool], tell: Callable[[str], None], *, once: bool = True) -> list:
    """The entries that have a step and that `whole` takes; `tell` takes a line on how many are left out.

    With `once`, of entries of one step and protocol only the last is taken, and they come in order of steps.
    """
    try:
        texts = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return []
    except OSError as error:
        tell(f"warning: {path} cannot be read ({error.strerror}) and is left out")
        return []
    texts = [text for text in texts if text.strip()]
    found = [entry for entry in map(_parsed, texts) if entry is not None and whole(entry)]
    if len(found) < len(texts):
        tell(f"warning: {len(texts) - len(found)} of {len(texts)} lines of {path} are damaged and left out")
    if not once:
        return found
    last = {(entry["step"], entry.get("protocol")): entry for entry in found}
    if len(last) < len(found):
        again = f"{len(found) - len(last)} of {len(found)} lines of {path}"
        tell(f"warning: {again} tell of a step again, and the last ones count")
    return sorted(last.values(), key=lambda entry: entry["step"])


def write(path: pathlib.Path, entries: list) -> None:
    """Replaces what an existing file holds, where that differs."""
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    if path.read_bytes() != text.encode():
        files.write_text(path, text)


def is_number(value: object) -> bool:
    """Whether a value of JSON is a number; NaN and infinity are, as Python writes them."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _parsed(text):
    """A line with a step, or None."""
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) and type(entry.get("step")) is int and entry["step"] >= 0 else None
