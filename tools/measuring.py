"""What the benchmarks share: the processor's name and time, and candidates that take turns."""

import pathlib
import re
import resource
import statistics
from collections.abc import Callable, Mapping


def processor() -> str:
    """The processor's name."""
    text = pathlib.Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.*)", text.read_text()) if text.exists() else None
    return found[1] if found else "a processor of unknown name"


def cpu_seconds() -> float:
    """Of this process, over all threads: on a shared machine steadier than the clock."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def in_turns(
    candidates: Mapping[str, Callable[[], object]], rounds: int, *, warm: bool = True
) -> dict[str, list[float]]:
    """CPU seconds of each candidate in each of `rounds`, with `warm` after one that is not counted."""
    times = {name: [] for name in candidates}
    for turn in range(rounds + warm):
        for name, function in candidates.items():
            began = cpu_seconds()
            function()
            if turn or not warm:
                times[name].append(cpu_seconds() - began)
    return times


def ratio(times: Mapping[str, list[float]], one: str, other: str) -> float:
    """Median over rounds of the time of `one` over that of `other`."""
    return statistics.median(a / b for a, b in zip(times[one], times[other], strict=True))
