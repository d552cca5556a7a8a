"""Lines of results/*.jsonl: one for each training that came to its end, with its scores, card, code and cost.

A line has `step` (of the checkpoint scored), `row`, `table`, `budget`, `training` (its seed), `settings` (what a
sweep set), `flags`, `card`, `names`, `scores` by prior and measure, `gap`, `curves`, `times`, `code` and `processor`;
or, in the place of scores, `failure`: the sentence with which training or scoring refused to go on.
"""

import pathlib
from collections.abc import Callable, Sequence

from pga_tf.core import json_lines

FOLDER = pathlib.Path("results")
SPEEDS = "speeds"  # name of the file that has none of these lines but milliseconds of a step by row


def append(folder: pathlib.Path, name: str, entry: dict) -> None:
    """Adds a line to `folder`/`name`.jsonl, all of it or nothing; what a kill left of the line before stays apart."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.jsonl"
    if path.exists() and path.stat().st_size and path.read_bytes()[-1:] != b"\n":
        with open(path, "ab") as torn:
            torn.write(b"\n")
    json_lines.append(path, entry)


def read(folder: pathlib.Path, tell: Callable[[str], None] = print) -> list[dict]:
    """All lines of `folder`, of each training the last one; `tell` takes a line on what is damaged and left out."""
    found = {}
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem != SPEEDS:
            for entry in json_lines.read(path, _whole, tell, once=False):
                found[key(entry)] = entry
    return list(found.values())


def speeds(folder: pathlib.Path, tell: Callable[[str], None] = print) -> dict[str, float]:
    """Seconds of a step at a row's own settings, by row: CPU time over cores, as if it alone kept these busy."""
    lines = json_lines.read(folder / f"{SPEEDS}.jsonl", _is_speed, tell, once=False)
    return {line["row"]: line["cpu_milliseconds"] / 1000 / line["processor"]["cores"] for line in lines}


def key(entry: dict) -> tuple:
    """What training a line is of: (row, budget, settings, seed)."""
    return entry["row"], entry["budget"], tuple(sorted(entry.get("settings", {}).items())), entry["training"]


def of(entries: Sequence[dict], row: str, budget: str, settings: dict | None = None) -> list[dict]:
    """The lines of one row under one budget, in order of their seeds."""
    wanted = (row, budget, tuple(sorted((settings or {}).items())))
    return sorted((entry for entry in entries if key(entry)[:3] == wanted), key=lambda entry: entry["training"])


def _whole(entry):
    texts = all(isinstance(entry.get(name), str) for name in ("row", "table", "budget"))
    scored = isinstance(entry.get("scores"), dict) or isinstance(entry.get("failure"), str)
    return texts and scored and type(entry.get("training")) is int and isinstance(entry.get("settings", {}), dict)


def _is_speed(entry):
    cores = entry.get("processor", {}).get("cores") if isinstance(entry.get("processor"), dict) else None
    return isinstance(entry.get("row"), str) and json_lines.is_number(entry.get("cpu_milliseconds")) and bool(cores)
