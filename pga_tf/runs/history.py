"""How a run came to be: its losses and scores against steps, thinned for plots, and the commands that make it again."""

import dataclasses
import math

from pga_tf.core import commands
from pga_tf.runs import zoo

POINTS = 200  # of a curve
RATES = (
    "learning_rate",
    "gradient_norm",
    "images_per_second",
)  # the other quantities of metrics.jsonl are the method's


def of_run(directory):
    """What a `RunDirectory` logged: dict of "losses", "rates" and "scores", each a dict of name to (steps, values).

    Curves of more than `POINTS` lines are means over as many equal stretches, at their last steps. Scores are those of
    the protocol that was used last, since others are not comparable with them; "protocol" is that one's hash, or None.
    """
    logged, scored = directory.read_metrics(), directory.read_scores()
    losses, rates = {}, {}
    for name in dict.fromkeys(name for line in logged for name in line if name != "step"):
        (rates if name.split("/")[0] in RATES else losses)[name] = _curve(logged, name)
    protocol = scored[-1].get("protocol") if scored else None
    scored = [line for line in scored if line.get("protocol") == protocol]
    names = [name for line in scored for name in line if name not in ("step", "protocol")]
    scores = {name: _curve(scored, name) for name in dict.fromkeys(names)}
    return {"losses": losses, "rates": rates, "scores": scores, "protocol": protocol}


def _curve(lines, name):
    points = [(line["step"], line[name]) for line in lines if _finite(line.get(name))]
    size = max(1, math.ceil(len(points) / POINTS))
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    means = [float(f"{sum(value for _, value in part) / len(part):.6g}") for part in parts]
    return [part[-1][0] for part in parts], means


def _finite(value):
    return isinstance(value, int | float) and math.isfinite(value)


def commands_of_run(config, request, prior):
    """The command lines that train a run again, elsewhere, and that score it again as an `assessment.Request` asks."""
    given = {field.name: getattr(request, field.name) for field in dataclasses.fields(request)}
    others = {field.name: field.default for field in dataclasses.fields(request)}
    asked = {name: value for name, value in given.items() if name != "cache_dir" and value != others[name]}
    workdir = zoo.told(config.run.workdir)
    return [
        commands.line("train", flagfile=f"{config.run.workdir}/config.flags", workdir=f"{workdir}_again"),
        commands.line("evaluate", workdir=workdir, **({"prior": prior} if prior else {}), **asked),
    ]
