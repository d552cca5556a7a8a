"""ROOT/pipeline.html: the graph and each step's figures, on a page that opens offline."""

import base64
import collections
import html
import pathlib
import urllib.parse

NAME = "pipeline.html"
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
svg { max-width: 100%; height: auto } svg text { font: 13px system-ui, sans-serif; fill: #222 }
.run { fill: #d7ecd9; background: #d7ecd9 } .cached { fill: #e4e7f2; background: #e4e7f2 }
.failed { fill: #f6cfcb; background: #f6cfcb } .not-run { fill: #eee; background: #eee }
h2 { font-size: 1.05rem; margin: 1.6rem 0 .3rem } h2 span { font-weight: normal; padding: 0 .5em; border-radius: 3px }
table { border-collapse: collapse } td { border-top: 1px solid #ddd; padding: .15rem .8rem .15rem 0 }
td { vertical-align: top }
td:first-child { color: #666; white-space: nowrap } td { overflow-wrap: anywhere } pre { white-space: pre-wrap }
figure { margin: .5rem 0 } figure img { image-rendering: pixelated; min-width: 16rem; max-width: 100% }
"""
WIDTH, HEIGHT, GAP = 150, 40, 26


def page(settings, results):
    """The page of `Settings` and the runner's results by name."""
    title = f"Pipeline {settings.options.name}: {settings.config.run.method} on {settings.config.data.dataset}"
    body = [f"<h1>{_text(title)}</h1>", _graph(results)]
    body += [_section(result, settings.options.pipeline_root) for result in results.values()]
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _text(value):
    # surrogateescape: file names need not be UTF-8, and a page must be.
    return html.escape(str(value).encode("utf-8", "replace").decode())


def _class(state):
    return state.replace(" ", "-")


def _graph(results):
    """An SVG with a row for each depth of the graph. `results`: every step after those that it needs."""
    depth, place, filled = {}, {}, collections.Counter()
    for name, result in results.items():
        depth[name] = row = max((depth[need] + 1 for need in result.step.needs()), default=0)
        place[name] = (filled[row] * (WIDTH + GAP), row * (HEIGHT + GAP))
        filled[row] += 1
    lines, boxes = [], []
    for name, result in results.items():
        x, y = place[name]
        boxes.append(
            f'<a href="#{_text(name)}"><rect class="{_class(result.state)}" x="{x}" y="{y}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="5"/><text x="{x + 10}" y="{y + 17}">{_text(name)}</text>'
            f'<text x="{x + 10}" y="{y + 33}" opacity=".65">{_text(_state(result))}</text></a>'
        )
        for need in sorted(result.step.needs()):
            lines.append(_line(*place[need], x, y, around=depth[name] - depth[need] > 1))
    width = max(x for x, _ in place.values()) + WIDTH + 80
    height = max(y for _, y in place.values()) + HEIGHT
    size = f'width="{width}" height="{height + 4}" viewBox="-2 -2 {width} {height + 4}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(lines + boxes)}</svg>'


def _line(from_x, from_y, to_x, to_y, *, around):
    """From one box to another: straight down, or `around` the boxes between, on their right."""
    if around:
        start, end = (from_x + WIDTH, from_y + HEIGHT // 2), (to_x + WIDTH, to_y + HEIGHT // 2)
        path = f"M {start[0]} {start[1]} C {start[0] + 60} {start[1]}, {end[0] + 60} {end[1]}, {end[0]} {end[1]}"
    else:
        path = f"M {from_x + WIDTH // 2} {from_y + HEIGHT} L {to_x + WIDTH // 2} {to_y}"
    return f'<path d="{path}" fill="none" stroke="#999"/>'


def _state(result):
    return f"{result.state}, {result.seconds:.1f} s" if result.state in ("run", "failed") else result.state


def _section(result, root):
    execution = result.execution
    name, state = _text(result.step.name), _text(_state(result))
    parts = [f'<h2 id="{name}">{name} <span class="{_class(result.state)}">{state}</span></h2>']
    if result.error:
        parts.append(f"<pre>{_text(result.error)}</pre>")
    if execution:
        places = [(output, _links(artifact.path, root)) for output, artifact in execution.outputs.items()]
        parts.append(_table([*_cells(execution.figures), *places]))
        given = _table(_cells(execution.parameters | {"code": execution.code}))
        parts.append(f"<details><summary>parameters and code</summary>{given}</details>")
        parts += _pictures(execution)
    return "".join(parts)


def _table(rows):
    """Rows of (name, HTML)."""
    return "<table>" + "".join(f"<tr><td>{_text(name)}</td><td>{cell}</td></tr>" for name, cell in rows) + "</table>"


def _cells(values):
    """(name, HTML) of values that say something."""
    for name, value in values.items():
        if value not in ("", None):
            text = _text(_figure(value))
            yield name, f"<pre>{text}</pre>" if "\n" in text else text


def _links(folder, root):
    """The folder, and those of its files that a browser shows."""
    place = pathlib.Path(folder).relative_to(root)
    shown = [path.name for path in sorted(pathlib.Path(folder).iterdir()) if path.suffix in (".html", ".json")]
    links = "".join(f', <a href="{urllib.parse.quote(str(place / name))}">{_text(name)}</a>' for name in shown)
    return f"{_text(place)}{links}"


def _figure(value):
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_figure(entry)}" for name, entry in value.items())
    return str(value)


def _pictures(execution):
    for artifact in execution.outputs.values():
        for path in sorted(pathlib.Path(artifact.path).glob("samples.png")):
            data = base64.b64encode(path.read_bytes()).decode()
            yield f'<figure><img alt="samples" src="data:image/png;base64,{data}"></figure>'
