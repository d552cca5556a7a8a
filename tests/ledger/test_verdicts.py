"""Verdicts: what may be compared, and when two means over trainings are the same."""

import numpy as np
import pytest
from scipy import stats

from pga_tf.ledger import verdicts
from pga_tf.ledger.headers import Published
from tests.ledger.lines import line

LPGA = Published(10.34, 0.15, "standard error", 3)


def lines(values, **others):
    return [line(value=value, training=seed, **others) for seed, value in enumerate(values)]


@pytest.mark.parametrize("values", [[10.2, 10.5, 10.4], [9.0, 10.5, 12.5], [11.2, 11.3, 11.1], [9.4, 9.5, 9.6]])
@pytest.mark.parametrize("published", [LPGA, Published(10.34, 0.5, "deviation", 10)])
def test_means_of_two_sides_are_told_apart_as_welchs_test_does(values, published):
    deviation = published.error * (np.sqrt(3) if published.kind == "standard error" else 1)
    test = stats.ttest_ind_from_stats(
        np.mean(values),
        np.std(values, ddof=1),
        len(values),
        published.value,
        deviation,
        published.count,
        equal_var=False,
    )
    verdict = verdicts.of_row(published, "pga", "paper", lines(values))
    assert verdict.what == (verdicts.REPRODUCED if test.pvalue > 0.05 else verdicts.NOT_REPRODUCED)
    assert ("above" in verdict.why) == (np.mean(values) > published.value)


def test_a_side_without_an_error_is_one_training_of_the_others_deviation():
    deviation = 0.15 * np.sqrt(3)
    limit = stats.t.ppf(0.975, 2) * np.sqrt(deviation**2 + 0.15**2)  # one of ours, three of theirs
    for value, what in ((10.34 + 0.99 * limit, verdicts.REPRODUCED), (10.34 + 1.01 * limit, verdicts.NOT_REPRODUCED)):
        assert verdicts.of_row(LPGA, "pga", "paper", lines([value])).what == what
    ours = [16.0, 17.0, 18.0]  # of a deviation of 1, and theirs of no error
    limit = stats.t.ppf(0.975, 2) * np.sqrt(1 + 1 / 3)
    for value, what in ((17 - 0.99 * limit, verdicts.REPRODUCED), (17 - 1.01 * limit, verdicts.NOT_REPRODUCED)):
        assert verdicts.of_row(Published(value), "pga", "paper", lines(ours)).what == what


@pytest.mark.parametrize(
    ("published", "given", "why"),
    [
        (None, lines([10.3] * 3), "no score was published"),
        (LPGA, [], "not measured"),
        (LPGA, lines([10.3, 10.4], network="mnist"), "features are those of mnist"),
        (LPGA, lines([10.3, 10.4], protocol="ours"), "the protocol ours, the paper's is pga"),
        (LPGA, lines([10.3, 10.4], protocol="pga, but num_samples=1000"), "pga, but num_samples=1000"),
        (LPGA, [*lines([10.3, 10.4]), line(training=2, network="mnist")], "features are those of mnist"),
        (Published(10.3), lines([10.3]), "neither side has an error"),
        (LPGA, [{"row": "lpga_mnist", "failure": "Training stopped: loss"}], "Training stopped"),
    ],
)
def test_what_is_not_comparable_says_why(published, given, why):
    verdict = verdicts.of_row(published, "pga", "paper", given)
    assert verdict.what == verdicts.NOT_COMPARABLE
    assert why in verdict.why


def test_the_laptop_budget_is_not_the_papers():
    verdict = verdicts.of_row(LPGA, "pga", "laptop", lines([10.3, 10.4], budget="laptop"))
    assert (verdict.what, "laptop budget" in verdict.why) == (verdicts.NOT_COMPARABLE, True)


def test_errors_are_over_trainings_and_those_of_samples_stand_apart():
    found = verdicts.mean([{"value": 1.0, "error": 0.3}, {"value": 2.0, "error": 0.4}, {"value": 6.0, "error": 0.0}])
    assert found.value == pytest.approx(3.0)
    assert found.error == pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3))
    assert found.sample_error == pytest.approx(np.sqrt((0.09 + 0.16) / 3))
    assert verdicts.mean([{"value": 1.0, "error": 0.3}]).error is None
