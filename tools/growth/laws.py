"""How a cost grows: a + b n^p, fitted to what was measured at a few sizes, with what these sizes can tell of p.

`a` is what is paid once, b n^p what grows. A fit is by least squares of relative deviations, a and b at least 0, for
every p of a grid; those exponents count as possible whose fit is not worse than the best one by more than the noise
explains (an F test at 95 %). The noise is the spread between repeated measurements, beside which a guess counts as much
as a few of them. Where the measurements are as well explained by a constant, no growth was seen, whatever p.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import scipy.optimize
import scipy.stats

from pga_tf.core import checks

FEWEST = 3  # sizes for three unknowns
EXPONENTS = np.round(np.arange(0.1, 3.51, 0.02), 2)
LEAST_NOISE = 0.01
GUESS, GUESSED = 3.0, 3  # the noise that is guessed, times the least, and how many degrees of freedom that counts as
SURE = 0.95
TELLING = 0.5  # a width of the interval of p from which on it tells little


@dataclasses.dataclass(frozen=True)
class Law:
    """cost(n) = a + b n^p over sizes `measured` (smallest, largest).

    Attributes:
      low, high: the exponents that the measurements leave possible; of a constant 0 and 0.
      noise: relative standard deviation of a measurement. possible: (a, b, p) of every possible exponent; one that is
        known is alone.
    """

    a: float
    b: float
    p: float
    low: float
    high: float
    noise: float
    measured: tuple[float, float]
    possible: tuple[tuple[float, float, float], ...]

    @property
    def flat(self) -> bool:
        """Whether no growth was seen."""
        return self.b == 0.0

    @property
    def telling(self) -> bool:
        """Whether the exponent is known to within `TELLING`."""
        return self.high - self.low <= TELLING

    def allows(self, exponent: float) -> bool:
        """Whether the measurements leave an exponent possible; 0: that nothing grows."""
        return self.flat if exponent == 0 else self.flat or self.low <= exponent <= self.high

    def at(self, n: float) -> float:
        """The cost of size n."""
        return self.a + self.b * n**self.p

    def bounds(self, n: float) -> tuple[float, float]:
        """(least, most) that the possible fits and twice the noise leave for size n."""
        found = [a + b * n**p for a, b, p in self.possible]
        return min(found) / (1.0 + 2.0 * self.noise), max(found) * (1.0 + 2.0 * self.noise)

    def reaches(self, limit: float) -> float:
        """The size at which the cost is `limit`: 0 where it is there from the first, infinite where it never is."""
        if self.a >= limit:
            return 0.0
        return ((limit - self.a) / self.b) ** (1.0 / self.p) if self.b else math.inf


def fit(
    costs: Mapping[float, Sequence[float]], *, exponent: float | None = None, least_noise: float = LEAST_NOISE
) -> Law:
    """The `Law` of costs, each above 0, by size: of each size the smallest counts, and repetitions tell the noise.

    Args:
      costs: {size: values of repeated measurements}. exponent: one that is known, by which a and b are fitted.
      least_noise: relative deviation that no measurement is believed to be better than.

    Raises `InputError` for fewer than three sizes.
    """
    sizes = np.array(sorted(costs), float)
    if len(sizes) < FEWEST:
        checks.refuse(
            "Sizes of a law of growth",
            expected=f"at least {FEWEST}: it has three unknowns",
            received=len(sizes),
            remedy="measure more sizes",
        )
    values = np.array([min(costs[size]) for size in sizes], float)
    noise, freedom = _noise(costs, least_noise)
    units = sizes / sizes[-1]
    fits = [(p, *_of_exponent(units, values, p)) for p in EXPONENTS]
    _, _, best, error = min(((a, b, p, e) for p, a, b, e in fits), key=lambda found: found[3])
    worse = noise**2 * float(scipy.stats.f.ppf(SURE, 1, freedom))
    kept = [(a, b / sizes[-1] ** p, float(p)) for p, a, b, e in fits if e <= error + worse]
    spread = float(np.sum((np.log(values) - np.log(values).mean()) ** 2))
    flat = spread <= error + noise**2 * 2.0 * float(scipy.stats.f.ppf(SURE, 2, freedom))
    measured = float(sizes[0]), float(sizes[-1])
    if flat and exponent is None:
        constant = float(np.exp(np.log(values).mean()))
        return Law(constant, 0.0, 1.0, 0.0, 0.0, noise, measured, ((constant, 0.0, 1.0),))
    p = float(best) if exponent is None else exponent
    a, b, _ = _of_exponent(units, values, p)
    b /= sizes[-1] ** p
    possible = tuple(kept) if exponent is None else ((a, b, p),)
    return Law(a, b, p, kept[0][2], kept[-1][2], noise, measured, possible)


def _of_exponent(units, values, p):
    """(a, b, sum of squared relative deviations) of the best a + b units^p."""
    columns = np.stack([np.ones_like(units), units**p], axis=1) / values[:, None]
    (a, b), rest = scipy.optimize.nnls(columns, np.ones_like(values))
    return float(a), float(b), float(rest) ** 2


def _noise(costs, least):
    """(relative standard deviation of a measurement, degrees of freedom that it is known by)."""
    logs = [np.log(np.asarray(list(values), float)) for values in costs.values()]
    freedom = sum(len(found) - 1 for found in logs)
    spread = sum(float(((found - found.mean()) ** 2).sum()) for found in logs)
    whole = freedom + GUESSED
    return max(least, math.sqrt((spread + GUESSED * (GUESS * least) ** 2) / whole)), whole


def told(law: Law, *, of: str = "") -> str:
    """What is known of the exponent, in words: `n^1.02 (0.96 to 1.10)`; `of`: what n is called."""
    n = of or "n"
    if law.flat:
        return "no growth seen"
    interval = f"{law.low:.2f} to {law.high:.2f}"
    open_ends = law.low <= EXPONENTS[0] or law.high >= EXPONENTS[-1]
    if open_ends or not law.telling:
        return f"grows; these sizes leave {n}^p with p {interval}"
    return f"{n}^{law.p:.2f} ({interval})"
