"""Sweeps: a row trained with each of several values of its flags."""

import itertools
import re

from pga_tf.core import checks

FLAG = re.compile(r"(?:--)?(\w+)=([^=;]+)")


def parsed(text: str) -> list[dict[str, str]]:
    """The settings that "weight_nll=0.005,0.015;latent_dim=8,12" asks for: each value of a flag with each of another's.

    Raises `InputError` for what is none, and for a value twice.
    """
    flags = []
    for part in filter(None, (part.strip() for part in text.split(";"))):
        found = FLAG.fullmatch(part)
        values = [value.strip() for value in found[2].split(",")] if found else []
        if not found or not all(values) or len(set(values)) < len(values) or found[1] in dict(flags):
            checks.refuse(
                "--sweep",
                expected="flags with different values, such as weight_nll=0.005,0.015,0.05",
                received=part,
                remedy="separate values by commas, and flags by semicolons",
            )
        flags.append((found[1], values))
    names = [name for name, _ in flags]
    return [dict(zip(names, values, strict=True)) for values in itertools.product(*(values for _, values in flags))]
