"""ROOT/pipeline.html: the graph and each step's figures, on a page that opens offline."""

import pathlib
import urllib.parse

import numpy as np
from PIL import Image

from pga_tf.core import pages
from pipelines import layout

NAME = "pipeline.html"
KINDS = {"interrupted": "failed", "not run": "not-run"}  # by which style they are drawn, where it is another
SHOWN = (".html", ".json")  # what of an artifact a browser shows
STATES = {"run": "ran", "cached": "cached", "failed": "failed", "interrupted": "interrupted", "not run": "not run"}


def page(settings, results):
    """The page of `Settings` and the runner's results by name."""
    options, config = settings.options, settings.config
    done = [result for result in results.values() if result.state == "run"]
    counts = {told: sum(result.state == state for result in results.values()) for state, told in STATES.items()}
    facts = [
        ("method", config.run.method),
        ("dataset", config.data.dataset),
        ("steps", ", ".join(f"{count} {told}" for told, count in counts.items() if count)),
        ("time of those that ran", duration(sum(result.seconds for result in done))),
    ]
    return pages.render(
        "pipelines",
        "pipeline.html",
        title=f"Pipeline {options.name}: {config.run.method} on {config.data.dataset}",
        kicker="Pipeline",
        facts=facts,
        contents=[("graph", "Graph"), *((f"step-{name}", name) for name in results)],
        graph=layout.graph({name: result.step.needs() for name, result in results.items()}),
        steps=[_step(result, options.pipeline_root) for result in results.values()],
        needs={name: _inputs(result.step) for name, result in results.items()},
    )


def duration(seconds):
    """A time as people say it: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _step(result, root):
    """What the page tells of a step: dict of plain values."""
    execution = result.execution
    took = execution.seconds if result.state == "cached" and execution else result.seconds
    return {
        "name": result.step.name,
        "state": STATES[result.state],
        "kind": KINDS.get(result.state, result.state),
        "took": "" if result.state == "not run" or took is None else duration(took),
        "error": result.error,
        "figures": list(_told(execution.figures)) if execution else [],
        "outputs": [(name, *_links(artifact.path, root)) for name, artifact in execution.outputs.items()]
        if execution
        else [],
        "given": list(_told(execution.parameters | {"code": execution.code})) if execution else [],
        "pictures": [pages.picture(image, f"samples of {result.step.name}") for image in _pictures(execution)],
    }


def _inputs(step):
    """What a step takes: list of (step, output or nothing)."""
    return [*step.inputs.values(), *((name, "") for name in step.after)]


def _told(values):
    """(name, text) of values that say something."""
    for name, value in values.items():
        if value not in ("", None):
            yield name, _figure(value)


def _figure(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_figure(entry)}" for name, entry in value.items())
    return str(value)


def _links(folder, root):
    """(folder below the root, its address, (name, address) of those of its files that a browser shows)."""
    place = pathlib.Path(folder).relative_to(root)
    shown = [path.name for path in sorted(pathlib.Path(folder).iterdir()) if path.suffix in SHOWN]
    return str(place), _address(place), [(name, _address(place / name)) for name in shown]


def _address(path):
    return urllib.parse.quote(path.as_posix())


def _pictures(execution):
    for artifact in execution.outputs.values() if execution else ():
        for path in sorted(pathlib.Path(artifact.path).glob("samples.png")):
            with Image.open(path) as image:
                yield np.atleast_3d(np.asarray(image))
