"""What measured scores say of a published one: reproduced, not reproduced, or not comparable, and why."""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from pga_tf.ledger.headers import Published

REPRODUCED, NOT_REPRODUCED, NOT_COMPARABLE = "reproduced", "not reproduced", "not comparable"
LEVEL = 0.05  # of the two-sided test
FID_NETWORK = "inception"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """`what`: one of three. `why`: a sentence."""

    what: str
    why: str


@dataclasses.dataclass(frozen=True)
class Mean:
    """A score over trainings.

    Attributes:
      value: its mean. deviation: over `count` trainings; None of one. sample_error: what a score of one training is
        known to, over seeds of samples: the root mean square of those errors.
    """

    value: float
    deviation: float | None
    count: int
    sample_error: float

    @property
    def error(self) -> float | None:
        """Standard error over trainings, None of one."""
        return None if self.deviation is None else self.deviation / math.sqrt(self.count)


def mean(scores: Sequence[dict]) -> Mean:
    """Of scores of several trainings, at least one, each {"value", "error"}."""
    values = [score["value"] for score in scores]
    errors = [score.get("error") or 0.0 for score in scores]
    return Mean(
        statistics.fmean(values),
        statistics.stdev(values) if len(values) > 1 else None,
        len(values),
        math.sqrt(statistics.fmean(error**2 for error in errors)),
    )


def obstacle(protocol: str, budget: str, card: dict) -> str:
    """Why a score under `card` cannot be set beside one that was published by `protocol`; "" where it can."""
    network = str(card["features"].get("network", ""))
    if budget != "paper":
        return f"it was measured at the {budget} budget"
    if FID_NETWORK not in network:
        return f"its features are those of {network}, the paper's of Inception"
    by = card.get("protocol", "ours")
    return "" if by == protocol else f"it was measured by the protocol {by}, the paper's is {protocol}"


def judged(published: Published, measured: Mean) -> Verdict:
    """A comparable mean against a published score, by Welch's t-test over trainings, two-sided at 5 %.

    A published standard error is over its trainings, a deviation is of one of them. Where one side has no error over
    trainings, it is taken for one training of the other side's deviation; where neither has, nothing can be said.
    """
    printed = _deviation(published)
    if printed is None and measured.deviation is None:
        return Verdict(NOT_COMPARABLE, "neither side has an error over trainings")
    known = [side for side in ((printed, published.count), (measured.deviation, measured.count)) if side[0] is not None]
    deviations = (printed or measured.deviation, measured.deviation or printed)
    squares = [d**2 / n for d, n in zip(deviations, (max(1, published.count), measured.count), strict=True)]
    error = math.sqrt(sum(squares))
    from scipy import special

    limit = float(special.stdtrit(_freedom(squares, known), 1 - LEVEL / 2)) * error
    difference = measured.value - published.value
    said = (
        f"{abs(difference):.3g} {'above' if difference > 0 else 'below'} the published score, "
        f"where {limit:.3g} are within the errors over trainings"
    )
    return Verdict(REPRODUCED if abs(difference) <= limit else NOT_REPRODUCED, said)


def _deviation(published):
    """Of one training, None where it cannot be told."""
    if published.error is None or published.count < 2:
        return None
    return published.error * (math.sqrt(published.count) if published.kind == "standard error" else 1.0)


def _freedom(squares, known):
    """Welch and Satterthwaite's degrees of freedom; those of the one known deviation, where it stands for both."""
    if len(known) == 1 or not sum(squares):
        return known[0][1] - 1
    return sum(squares) ** 2 / sum(square**2 / (count - 1) for square, (_, count) in zip(squares, known, strict=True))


def of_row(published: Published | None, protocol: str, budget: str, entries: Sequence[dict]) -> Verdict:
    """The verdict on a row by its lines of results, those of one budget.

    Raises `KeyError` for a line without the scores of its prior.
    """
    if published is None:
        return Verdict(NOT_COMPARABLE, "no score was published")
    scored = [entry for entry in entries if "scores" in entry]
    if not entries:
        return Verdict(NOT_COMPARABLE, "it was not measured")
    if not scored:
        return Verdict(NOT_COMPARABLE, entries[-1]["failure"])
    reasons = [obstacle(protocol, budget, entry["card"]) for entry in scored]
    if any(reasons):
        return Verdict(NOT_COMPARABLE, next(reason for reason in reasons if reason))
    return judged(published, mean([entry["scores"][entry["prior"]]["frechet"] for entry in scored]))
