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


def speeds(folder: pathlib.Path, tell: Callable[[str], None] = print) -> dict[str, tuple[float, int]]:
    """(seconds of a step at a row's own settings, cores) by row: CPU time over cores, as if it kept these busy."""
    lines = json_lines.read(folder / f"{SPEEDS}.jsonl", _is_speed, tell, once=False)
    cores = {line["row"]: line["processor"]["cores"] for line in lines}
    return {line["row"]: (line["cpu_milliseconds"] / 1000 / cores[line["row"]], cores[line["row"]]) for line in lines}


def key(entry: dict) -> tuple:
    """What training a line is of: (row, budget, settings, seed)."""
    return entry["row"], entry["budget"], tuple(sorted(entry["settings"].items())), entry["training"]


def of(entries: Sequence[dict], row: str, budget: str, settings: dict | None = None) -> list[dict]:
    """The lines of one row under one budget, in order of their seeds."""
    wanted = (row, budget, tuple(sorted((settings or {}).items())))
    return sorted((entry for entry in entries if key(entry)[:3] == wanted), key=lambda entry: entry["training"])


TEXTS = ("row", "table", "budget")
DICTS = ("flags", "times", "code", "processor", "settings")  # of every line
OF_SCORED = ("card", "names", "scores", "gap", "curves")


def _whole(entry):
    dicts = DICTS if isinstance(entry.get("failure"), str) else (*DICTS, *OF_SCORED)
    texts = all(isinstance(entry.get(name), str) for name in TEXTS)
    return texts and type(entry.get("training")) is int and all(isinstance(entry.get(name), dict) for name in dicts)


def _is_speed(entry):
    machine = entry.get("processor")
    known = isinstance(machine, dict) and type(machine.get("cores")) is int and machine["cores"] > 0
    return known and isinstance(entry.get("row"), str) and json_lines.is_number(entry.get("cpu_milliseconds"))
