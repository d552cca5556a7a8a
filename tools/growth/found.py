"""What the lines of results say together: of each stage and axis what was measured, and the laws of time and memory."""

import dataclasses
from collections.abc import Iterable

from tools.growth import laws
from tools.growth.stages import Axis, Stage

LEAST_OF_MEMORY = 0.001  # a process's memory is steadier than its time
WORSE = 0.15  # beyond the algorithm's exponent, from which on it is said


@dataclasses.dataclass(frozen=True)
class Growth:
    """Of a stage along an axis; `time` in CPU seconds of all processes, `memory` in bytes of the largest.

    Attributes:
      cpu, memory: {size: values of each round}. disk: {size: bytes}. facts: of the largest size.
      time_law, memory_law: of `Axis.n`, free of what the algorithm says.
    """

    stage: Stage
    axis: Axis
    cpu: dict[int, list[float]]
    memory: dict[int, list[float]]
    disk: dict[int, float]
    facts: dict
    time_law: laws.Law
    memory_law: laws.Law

    @property
    def time(self) -> laws.Law:
        """The law of time by the algorithm's exponent, unless the measurements ask for a larger one.

        They do where they exclude it and the cost grew by more than it allows between the smallest and the largest
        size: a dent in the middle alone is no growth.
        """
        return _by(self.time_law, self.axis.time, self.axis, self.cpu, laws.LEAST_NOISE)

    @property
    def space(self) -> laws.Law:
        """As `time`, of memory; by what arrays are known to take where that is more than these sizes can show."""
        if self.axis.held:
            size = max(self.memory)
            least = min(self.memory[size]) - self.axis.held * size
            return dataclasses.replace(self.memory_law, a=least, b=self.axis.held, p=1.0)
        return _by(self.memory_law, self.axis.memory, self.axis, self.memory, LEAST_OF_MEMORY)

    @property
    def worse(self) -> list[str]:
        """Which of time and memory grow faster than the algorithm says, if any."""
        kinds = (
            ("time", self.time_law, self.axis.time, self.cpu),
            ("memory", self.memory_law, self.axis.memory, self.memory),
        )
        return [name for name, law, known, values in kinds if known is not None and self._is_worse(law, known, values)]

    def _is_worse(self, law, known, values):
        return not law.flat and law.low > known + WORSE and _outgrows(known, self.axis, values)


def _outgrows(exponent, axis, values):
    """Whether the largest size costs more than n^`exponent` of the smallest."""
    small, large = min(values), max(values)
    return min(values[large]) / min(values[small]) > (axis.n(large) / axis.n(small)) ** exponent


def _by(law, exponent, axis, values, least):
    if not exponent or law.flat or (law.low > exponent and _outgrows(exponent, axis, values)):
        return law
    costs = {axis.n(size): found for size, found in values.items()}
    return laws.fit(costs, exponent=exponent, least_noise=least)


def of_lines(lines: Iterable[dict], stages: Iterable[Stage]) -> list[Growth]:
    """The `Growth` of every axis that was measured at three sizes or more."""
    lines, found = list(lines), []
    for stage in stages:
        for axis in stage.axes:
            own = [line for line in lines if (line["stage"], line["axis"]) == (stage.name, axis.name)]
            sizes = sorted({line["size"] for line in own})
            if len(sizes) < laws.FEWEST:
                continue
            of = {size: [line for line in own if line["size"] == size] for size in sizes}
            cpu = {size: [cost(line) for line in of[size]] for size in sizes}
            memory = {size: [line["memory"] for line in of[size]] for size in sizes}
            disk = {size: of[size][-1]["facts"].get("disk", 0) for size in sizes}
            by_n = lambda values, axis=axis: {axis.n(size): costs for size, costs in values.items()}
            found.append(
                Growth(
                    stage, axis, cpu, memory, disk, of[sizes[-1]][-1]["facts"], laws.fit(by_n(cpu)),
                    laws.fit(by_n(memory), least_noise=LEAST_OF_MEMORY),
                )
            )  # fmt: skip
    return found


def cost(line: dict) -> float:
    """CPU seconds of a line: the least of its repetitions, of one step where it took several."""
    return min(line["cpu"]) / line["facts"].get("steps", 1)
