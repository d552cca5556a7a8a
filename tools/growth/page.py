"""The tables in Markdown and the picture of what was found."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pga_tf.ledger import documents
from tools.growth import laws, plan
from tools.growth.found import Growth
from tools.growth.plan import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MIB, GIB, GB = 2**20, 2**30, 1e9
SIZE = (11, 5)  # inches
LEAST_TOLD = 0.01  # hours


def measured(found: Sequence[Growth]) -> str:
    """What was measured, and the laws."""
    head = ("stage", "by", "sizes", "CPU [s]", "grows as", "memory [MiB]", "memory grows as")
    rows = []
    for growth in found:
        axis, sizes = growth.axis, sorted(growth.cpu)
        by = axis.name + (f" ({axis.note})" if axis.note else "")
        rows.append(
            (
                growth.stage.title,
                by,
                _joined(f"{size:,}" for size in sizes),
                _joined(_seconds(min(growth.cpu[size])) for size in sizes),
                _told(growth.time_law, axis, axis.fitted, "time" in growth.worse),
                _joined(f"{min(growth.memory[size]) / MIB:,.0f}" for size in sizes),
                _told(growth.memory_law, axis, axis.memory is not None, "memory" in growth.worse) + _held(growth),
            )
        )
    return documents.table(head, rows)


def _joined(parts):
    return " / ".join(parts)


def _told(law, axis, fitted, worse):
    if not fitted:
        return ""
    return laws.told(law, of="pixels" if axis.name == "pixels" else "n") + ("; more than it must" if worse else "")


def _held(growth):
    known = growth.axis.held
    return f"; {known:,.0f} bytes each by its arrays" if known else ""


def _seconds(value):
    return f"{value:.3g}" if value < 99.5 else f"{value:,.0f}"


def planned(found: Sequence[Growth], target: Target) -> str:
    """The plan as a table, and what workers send each other."""
    head = ("step", "core hours, all", "core hours, each", "shared by", "memory of each", "disk", "known from")
    rows = [
        (
            row.what,
            _range(row.hours, row.bounds),
            _number(row.hours / row.processes),
            f"{row.processes} by {row.shared}" if row.shared else "one process",
            _bytes(row.memory),
            _bytes(row.disk) if row.disk > 1e6 else "",
            row.source,
        )
        for row in plan.rows(found, target)
    ]
    text = documents.table(head, rows)
    sent = plan.communication(found, target)
    if sent:
        parameters, size, hours = sent
        text += (
            f"\n\nIn a step each of {target.workers} workers sends {size / 1e6:,.1f} MB of gradients ({parameters:,} "
            f"parameters x 4 bytes x 2 x {target.workers - 1} / {target.workers}); an epoch has "
            f"{target.training / target.batch_size / target.workers:,.0f} steps, so that is {_number(hours)} hours at "
            f"{8 * target.bandwidth / 1e9:g} Gbit/s, which was assumed and not measured."
        )
    return text


def broken(found: Sequence[Growth], memory: float) -> str:
    """How far one process goes, what gives way first at the top."""
    head = ("stage", "images in a day of a core", f"images in {memory / GIB:g} GiB", "remedy")
    rows = [
        (growth.stage.title, _images(in_a_day), _images(in_memory), plan.REMEDIES[growth.stage.name])
        for growth, in_a_day, in_memory in plan.limits(found, memory)
    ]
    return documents.table(head, rows)


def _images(count):
    if math.isinf(count):
        return "no limit seen"
    return f"{float(f'{count:.2g}'):,.0f}" if count < 1e9 else "over 1,000 million"


def _range(value, bounds):
    least, most = map(_number, bounds)
    return _number(value) + (f" ({least} to {most})" if value >= LEAST_TOLD else "")


def _number(value):
    if value < LEAST_TOLD:
        return f"under {LEAST_TOLD}"
    return f"{float(f'{value:.2g}'):,g}"


def _bytes(value):
    if value < 0.95 * GB:
        return f"{value / 1e6:,.0f} MB"
    return f"{value / GB:,.3g} GB" if value < 1000 * GB else f"{value / 1000 / GB:,.3g} TB"


def blocks(found: Sequence[Growth], target: Target, memory: float) -> dict[str, str]:
    """Every table by its name."""
    return {"measured": measured(found), "plan": planned(found, target), "limits": broken(found, memory)}


def picture(found: Sequence[Growth], target: Target) -> "Figure":
    """CPU seconds and memory against images on logarithmic axes, dashed where they are extrapolated."""
    from matplotlib.figure import Figure

    figure = Figure(SIZE, layout="constrained", dpi=110)
    axes = figure.subplots(1, 2)
    shown = [growth for growth in found if growth.axis.name in ("images", "codes")]
    for number, growth in enumerate(shown):
        colour = f"C{number % 10}" if number < 10 else "black"
        pairs = ((growth.cpu, growth.time, 1.0), (growth.memory, growth.space, GIB))
        for name, panel, (values, law, unit) in zip(("time", "memory"), axes, pairs, strict=True):
            most = plan.NEIGHBOURS if name in plan.CAPPED.get(growth.stage.name, ()) else math.inf
            sizes = sorted(values)
            grid = np.geomspace(sizes[0], max(target.images, sizes[-1]), 60)
            within = grid <= sizes[-1]
            curve = np.array([law.at(min(n, most)) for n in grid]) / unit
            panel.plot(sizes, [min(values[n]) / unit for n in sizes], "o", ms=4, color=colour, label=growth.stage.title)
            panel.plot(grid[within], curve[within], color=colour, lw=1)
            panel.plot(grid[~within], curve[~within], color=colour, lw=1, ls="--")
    axes[0].set(title="CPU seconds (EM: of an iteration)", xlabel="images", xscale="log", yscale="log")
    axes[1].set(title="memory of a process [GiB]", xlabel="images", xscale="log", yscale="log")
    for panel in axes:
        panel.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", fontsize=8, title="dashed: extrapolated")
    return figure


def worse(found: Sequence[Growth]) -> list[str]:
    """A line on each cost that grows faster than its algorithm says."""
    return [
        f"{growth.stage.title}: {name} by {growth.axis.name} grows faster than its algorithm "
        f"({laws.told(growth.time_law if name == 'time' else growth.memory_law)})"
        for growth in found
        for name in growth.worse
    ]
