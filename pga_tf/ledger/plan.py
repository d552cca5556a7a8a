"""What of the asked rows is done, what is left, what cannot be done here, and how long it takes."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence

from pga_tf.core import files
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
    """Why images of `--dataset` are not at hand, "" where they are or need no download."""
    kind, _, name = dataset.partition(":")
    if kind != "tfds":
        return ""
    folder = pathlib.Path(files.home(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"))
    return "" if (folder / name).is_dir() else f"{name} is not in {folder}; TFDS_DATA_DIR says where data sets lie"


def steps(row: Row, budget: Budget) -> int | None:
    """How many steps a training of a row has; None where it goes by epochs of a data set of unknown size."""
    values = row.values | budget.flags(row.values)
    if int(values.get("steps", 0)):
        return int(values["steps"])
    if row.dataset not in SIZES or not float(values.get("epochs", 0)):
        return None
    return round(float(values["epochs"]) * SIZES[row.dataset] / int(values.get("batch_size", 64)))


def seconds(training: Training, measured: Sequence[dict], speeds: dict[str, float]) -> float | None:
    """How long a training takes, scores and priors included where that was measured; None where nothing is known.

    By lines of the same row and budget, then of the same method and data set under it, then by the time of a step.
    """
    row, budget = training.row, training.budget
    finished = [entry for entry in measured if "scores" in entry and not entry.get("resumed")]
    same = [entry for entry in finished if (entry["row"], entry["budget"]) == (row.name, budget.name)]
    if not same and budget.name != "paper":
        alike = [entry for entry in finished if entry["budget"] == budget.name]
        wanted = row.values["method"], row.values["dataset"]
        same = [entry for entry in alike if (entry["flags"]["method"], entry["flags"]["dataset"]) == wanted] or alike
    if same:
        return sum(sum(part["wall"] for part in entry["times"].values()) for entry in same) / len(same)
    taken = steps(row, budget)
    return speeds[row.name] * taken if budget.name == "paper" and row.name in speeds and taken else None


def long(time: float) -> str:
    """A time in words: days from two of them on."""
    return f"{time / DAY:.0f} days" if time >= 2 * DAY else duration(time)


def text(plan: Plan, measured: Sequence[dict], speeds: dict[str, float]) -> str:
    """The plan as text: a line for each training that is left and row that is out, and the sum last."""
    lines, total, unknown = [], 0.0, 0
    for training in plan.left:
        time = seconds(training, measured, speeds)
        total, unknown = total + (time or 0.0), unknown + (time is None)
        part = ", begun" if training.workdir.exists() else ""
        told = "not measured yet" if time is None else f"about {long(time)}"
        lines.append(f"  {training.name}, training {training.seed}{part}: {told}")
    lines += [f"  {row.name} cannot be run: {reason}" for row, reason in plan.out]
    told = f"about {long(total)}" if plan.left and unknown < len(plan.left) else "unknown" if plan.left else "no"
    more = f" and {unknown} of unknown length" if 0 < unknown < len(plan.left) else ""
    out = f"{len(plan.out)} rows cannot be run here"
    lines.append(f"{len(plan.done)} trainings done, {len(plan.left)} left ({told} time{more}), {out}")
    return "\n".join(lines)
