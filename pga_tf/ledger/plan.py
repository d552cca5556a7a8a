"""What of the asked rows is done, what is left, what cannot be done here, and how long it takes."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

from pga_tf.core import commands, files
from pga_tf.core.progress import duration
from pga_tf.ledger import entries
from pga_tf.ledger.budgets import Budget
from pga_tf.ledger.tables import Row
from pga_tf.ledger.work import Training

SIZES = {"mnist": 60_000, "fashion_mnist": 60_000, "cifar10": 50_000, "celeba": 162_770, "digits": 1_500}
DAY = 24 * 3600.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """Trainings that are `done` and `left`, and rows that are not for here, with why: (row, reason) in `out`."""

    done: list[Training]
    left: list[Training]
    out: list[tuple[Row, str]]


def make(trainings: Sequence[Training], measured: Sequence[dict]) -> Plan:
    """The plan of `trainings`, of which `measured` are the lines of results."""
    have = {entries.key(entry) for entry in measured}
    plan, refused = Plan([], [], []), set()
    for training in trainings:
        reason = training.row.obstacle or missing_data(training.row.flagfile.values["dataset"])
        if _key(training) in have:
            plan.done.append(training)
        elif not reason:
            plan.left.append(training)
        elif training.row.name not in refused:
            refused.add(training.row.name)
            plan.out.append((training.row, reason))
    return plan


def _key(training):
    settings = tuple(sorted(training.settings.items()))
    return training.row.name, training.budget.name, settings, training.seed


def missing_data(dataset: str) -> str:
    """Why images of `--dataset` are not at hand; "" where they are, need no download, or are downloaded when needed.

    Where TFDS_DATA_DIR says that data sets lie, they are not downloaded unasked.
    """
    kind, _, name = dataset.partition(":")
    place = os.environ.get("TFDS_DATA_DIR")
    if kind != "tfds" or not place or (pathlib.Path(files.home(place)) / name).is_dir():
        return ""
    remedy = commands.line("train", dataset=dataset, dry_run="true")
    return f"{name} is not in TFDS_DATA_DIR={place}; {remedy} downloads it"


def steps(row: Row, budget: Budget) -> int | None:
    """How many steps a training of a row has; None where it goes by epochs of a data set of unknown size."""
    values = row.values | budget.flags(row.values)
    if int(values.get("steps", 0)):
        return int(values["steps"])
    if row.dataset not in SIZES or not float(values.get("epochs", 0)):
        return None
    return round(float(values["epochs"]) * SIZES[row.dataset] / int(values.get("batch_size", 64)))


def seconds(training: Training, measured: Sequence[dict], speeds: Mapping[str, tuple[float, int]]) -> float | None:
    """How long a training takes, scores and priors included where that was measured; None where nothing is known.

    By lines of the same row, budget and settings, then of the same method and data set, then by the time of a step.
    Of a part that took longer than its CPU time, because it shared the machine, that time counts.
    """
    row, budget = training.row, training.budget
    finished = [entry for entry in measured if "scores" in entry and not entry.get("resumed")]
    same = [entry for entry in finished if entries.key(entry)[:3] == _key(training)[:3]]
    if not same and budget.name != "paper":
        alike = [entry for entry in finished if entry["budget"] == budget.name and not entry["settings"]]
        wanted = row.values["method"], row.values["dataset"]
        same = [entry for entry in alike if (entry["flags"]["method"], entry["flags"]["dataset"]) == wanted] or alike
    if same:
        parts = [part for entry in same for part in entry["times"].values()]
        return sum(min(part["wall"], part["cpu"]) for part in parts) / len(same)
    taken = steps(row, budget)
    return speeds[row.name][0] * taken if budget.name == "paper" and row.name in speeds and taken else None


# What decides how long a step takes; mixed precision does where the processor has it.
KIND = ("method", "network", "filters", "batch_size", "critic_updates", "penalty", "divergence", "mixed_precision")


def spread(rows: Sequence[Row], speeds: Mapping[str, tuple[float, int]]) -> dict[str, tuple[float, int]]:
    """`speeds` with those of rows of the same kind, on images of the same size, for rows without one of their own."""
    timed = {_kind(row): speeds[row.name] for row in rows if row.name in speeds}
    found = {row.name: speeds.get(row.name) or timed.get(_kind(row)) for row in rows}
    return {name: speed for name, speed in found.items() if speed}


def _kind(row):
    size = row.dataset.replace("fashion_", "")  # its images are as large as those of MNIST
    return (size, row.values.get("image_size"), *(row.values.get(name) for name in KIND))


def long(time: float) -> str:
    """A time in words, to about two digits: days from two of them on."""
    if time >= 2 * DAY:
        return f"{time / DAY:.2g} days" if time < 100 * DAY else f"{time / DAY:.0f} days"
    return duration(time) if time < 10 * 3600 else f"{time / 3600:.0f} h"


def text(plan: Plan, measured: Sequence[dict], speeds: Mapping[str, tuple[float, int]]) -> str:
    """The plan as text: a line for each training that is left and row that is out, and the sum last."""
    lines, total, unknown = [], 0.0, 0
    for training in plan.left:
        time = seconds(training, measured, speeds)
        total, unknown = total + (time or 0.0), unknown + (time is None)
        part = ", begun" if training.workdir.exists() else ""
        told = "not measured yet" if time is None else f"about {long(time)}"
        lines.append(f"  {training.name}, training {training.seed}{part}: {told}")
    lines += [f"  {row.name} cannot be run: {reason}" for row, reason in plan.out]
    time = f": {_of_all(total, unknown, len(plan.left))}" if plan.left else ""
    parts = f"{len(plan.done)} trainings done", f"{len(plan.out)} rows cannot be run here"
    lines.append(", ".join([*parts, f"{len(plan.left)} trainings left{time}"]))
    return "\n".join(lines)


def _of_all(total, unknown, count):
    if unknown == count:
        return "how long they take is not known yet"
    return f"about {long(total)}" + (f" and {unknown} of unknown length" if unknown else "")
