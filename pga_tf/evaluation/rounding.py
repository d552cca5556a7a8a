"""Numbers as people read them: no more digits than their errors support. evaluation.json keeps the raw values."""

import math

MOST_DIGITS = 6  # of a value, however small its error


def number(value: float | int | str | None) -> str:
    """Text of a value without an error: four significant digits, "-" for what is missing."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def supported(value: float | int | str | None, error: float | None) -> tuple[str, str]:
    """(text of a value, text of its error), both cut at the same decimal place.

    That place is the error's first significant digit, or its second where the first is 1, so that rounding changes an
    error by less than a quarter: an error of few seeds is itself no better known. Without an error, or with one of 0,
    NaN or infinity, the value is as `number` writes it and the error "-", or "0".
    """
    known = error is not None and math.isfinite(error) and value is not None and math.isfinite(value)
    if not known or error == 0.0:
        return number(value), "0" if known else "-"
    digits = 2 if f"{error:e}".startswith("1") else 1
    place = _exponent(error, digits) - digits + 1
    if value:
        place = max(place, _exponent(value) - MOST_DIGITS + 1)
    if 1e-4 <= max(abs(value), error) < 1e6:
        texts = tuple(f"{round(x, -place):.{max(-place, 0)}f}" for x in (value, error))
    else:
        texts = tuple(f"{x:.{max(_exponent(x) - place, 0)}e}" if x else "0" for x in (value, error))
    return texts[0] if float(texts[0]) else texts[0].removeprefix("-"), texts[1]


def with_error(entry: dict) -> str:
    """Text of a score as evaluation.json holds it, {"value", "error", ...}: "9.22 +- 0.02"."""
    value, error = supported(entry["value"], entry["error"])
    return value if error == "-" else f"{value} +- {error}"


def _exponent(x, digits=17):
    """The power of ten of `x`'s first digit once it is rounded to so many: 0 of 9.6 by two digits, 1 by one."""
    return int(f"{x:.{digits - 1}e}".partition("e")[2])
