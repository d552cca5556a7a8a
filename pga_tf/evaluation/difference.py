"""How far two scores may lie apart by the choice of samples alone."""

import math

from scipy import stats

FALSE_ALARM = 0.025  # how often one of two equally good models is taken to be better than the other by more


def explained(*scored):
    """What samples explain: the `FALSE_ALARM` point of Welch's t-test times sqrt(error^2 + error^2), as the score.

    About 2 times the root for many seeds and 2.8 times for 3. An error that one side lacks is taken to be the other's.
    0 where both lack it.

    Args:
      scored: two scores as in evaluation.json, with `error` and `per_seed`, of as many samples each.
    """
    known = [entry for entry in scored if entry["error"] is not None]
    if not known or not any(entry["error"] for entry in known):
        return 0.0
    squares = [(entry["error"] ** 2, len(entry["per_seed"]) - 1) for entry in (known * 2)[:2]]
    total = sum(square for square, _ in squares)
    # An error over n seeds has n - 1 degrees of freedom; one by influences is as good as known.
    doubt = sum(square**2 / freedom for square, freedom in squares if freedom) / total**2
    return float(stats.t.ppf(1.0 - FALSE_ALARM, 1.0 / doubt if doubt else math.inf) * math.sqrt(total))
