"""What lines of results say in words: of a row's score, or of why there is none."""

import re
from collections.abc import Mapping, Sequence

from pga_tf.evaluation import rounding
from pga_tf.ledger import budgets, entries, plan, verdicts
from pga_tf.ledger.tables import Row

_NAME = re.compile(r"(?P<name>.+?)(?: \((?P<features>.+?)\))?(?:, protocol (?P<protocol>\w+))?")
MEASURED = re.compile(r"(?!not )\w[\w ]* [\d.]+(?: \+- [\d.]+)? \([^()]*?(?:over (?P<count>\d+) trainings)?\)")


def score(scores: Sequence[dict]) -> str:
    """Scores of trainings, each {"value", "error"}, as a cell: "21.5 +- 1.1", over trainings; of one: "21.5".

    Of one training at most four digits are told, for another one has others, however little samples vary.
    """
    found = verdicts.mean(scores)
    if found.error is None:
        return rounding.supported(found.value, max(found.sample_error, abs(found.value) / 1000))[0]
    return " +- ".join(rounding.supported(found.value, found.error))


def measured(lines: Sequence[dict]) -> str:
    """Scored lines of one row and budget as a sentence's part, with what its error is an error of.

    "Frechet distance 21.5 +- 1.1 (digits features; 2,000 samples; standard error over 3 trainings)".
    """
    last = lines[-1]
    name = _NAME.fullmatch(last["names"]["frechet"])
    scores = [line["scores"][line["prior"]]["frechet"] for line in lines]
    found = verdicts.mean(scores)
    parts = [name["features"], name["protocol"] and f"protocol {name['protocol']}"]
    parts.append(f"{last['card']['generated']['count']:,} samples")
    if found.error is None:
        known = rounding.supported(found.value, found.sample_error)[1]
        parts.append(f"one training, to {known} over seeds of samples" if found.sample_error else "one training")
    else:
        parts.append(f"standard error over {found.count} trainings")
    return f"{name['name']} {score(scores)} ({'; '.join(part for part in parts if part)})"


def reason(row: Row, speeds: Mapping[str, tuple[float, int]]) -> str:
    """Why a row was not measured at its own settings.

    Args:
      speeds: (seconds of a step at them, cores) by row, where they were measured.
    """
    if row.obstacle:
        return f"not measured: {row.obstacle}"
    if row.dataset == "celeba":
        return "not measured: CelebA is not at hand on the machine of the ledger"
    length = f"{plan.steps(row, budgets.PAPER):,} steps of {row.values.get('batch_size', '64')} images"
    if row.name in speeds:
        length = f"{_estimate(row, speeds)} ({length})"
    return f"not measured at these settings: {length}"


def time(row: Row, speeds: Mapping[str, tuple[float, int]]) -> str:
    """What a flagfile's header says under "Time": an estimate where a step was timed, and else what it says."""
    before = row.flagfile.fields["Time"]
    if row.name not in speeds or not before.startswith(("not yet measured", "about")):
        return before
    told = f"{_estimate(row, speeds)}, by the time of a step of such networks"
    return f"{told}; add --dry_run for an estimate on your machine"


def _estimate(row, speeds):
    seconds, cores = speeds[row.name]
    return f"about {plan.long(seconds * plan.steps(row, budgets.PAPER))} of training on {cores} CPU cores"


def ours(row: Row, lines: Sequence[dict], speeds: Mapping[str, tuple[float, int]]) -> str:
    """What a flagfile's header says under "Ours".

    What was measured at its own settings, or why nothing was, and what was measured at the laptop budget. What the
    header had before, measured without the ledger, stays until there are lines of as many trainings.
    """
    own = entries.of(lines, row.name, "paper")
    scored = [line for line in own if "scores" in line]
    before = MEASURED.fullmatch(row.flagfile.fields["Ours"])
    if before and int(before["count"] or 1) > len(scored):
        return before[0]
    if scored:
        return measured(scored)
    if own:
        return f"no score: {own[-1]['failure']}"
    small = [line for line in entries.of(lines, row.name, "laptop") if "scores" in line]
    return reason(row, speeds) + (f"; at the laptop budget {measured(small)}" if small else "")
