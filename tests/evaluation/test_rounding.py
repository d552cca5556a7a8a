"""No more digits than errors support: cases worked out by hand."""

import math

import pytest

from pga_tf.evaluation import rounding


@pytest.mark.parametrize(
    ("value", "error", "shown"),
    [
        (9.217, 0.023, ("9.22", "0.02")),
        (9.217, 0.96, ("9", "1")),  # an error that is rounded up to 1 takes the value's place with it
        (9.217, 0.0996, ("9.2", "0.1")),
        (0.5417, 0.0131, ("0.542", "0.013")),  # 0.013 as 0.01 would hide a quarter of it
        (99.97, 0.06, ("99.97", "0.06")),
        (12345.6, 320.0, ("12300", "300")),
        (999.6, 6.0, ("1000", "6")),
        (-0.0004, 0.02, ("0.00", "0.02")),  # no minus before nothing
        (-0.34, 0.21, ("-0.3", "0.2")),
        (0.3, 4.0, ("0", "4")),
        (1.234e-5, 2.3e-6, ("1.2e-05", "2e-06")),
        (9.5e-7, 2e-5, ("1e-06", "2e-05")),
        (2.5e7, 3e4, ("2.500e+07", "3e+04")),
        (5.0, 1e-12, ("5.00000", "0.00000")),  # six digits of the value at most
        (0.98, 0.0, ("0.98", "0")),
        (0.983456, None, ("0.9835", "-")),
        (9.2, math.nan, ("9.2", "-")),
        (9.2, math.inf, ("9.2", "-")),
        (math.nan, 0.1, ("-", "-")),
        (None, None, ("-", "-")),
    ],
)
def test_value_and_error_end_at_the_errors_place(value, error, shown):
    assert rounding.supported(value, error) == shown


def test_a_score_is_written_with_its_error_where_it_has_one():
    assert rounding.with_error({"value": 34.41, "error": 0.62}) == "34.4 +- 0.6"
    assert rounding.with_error({"value": 0.25, "error": None}) == "0.25"
