"""ROOT/pipeline.html: the graph and each step's figures, on a page that opens offline."""

import base64
import html
import pathlib

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
    for result in results.values():
        body.append(_section(result))
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
    """An SVG with a column for each depth of the graph."""
    depth = dict.fromkeys(results, 0)
    for _ in results:  # as many rounds as the longest path could have steps
        for name, result in results.items():
            depth[name] = max((depth[need] + 1 for need in result.step.needs()), default=0)
    place, filled = {}, {}
    for name in results:
        row = filled.get(depth[name], 0)
        filled[depth[name]] = row + 1
        place[name] = (row * (WIDTH + GAP), depth[name] * (HEIGHT + GAP))
    lines, boxes = [], []
    for name, result in results.items():
        x, y = place[name]
        boxes.append(
            f'<a href="#{_text(name)}"><rect class="{_class(result.state)}" x="{x}" y="{y}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="5"/><text x="{x + 10}" y="{y + 17}">{_text(name)}</text>'
            f'<text x="{x + 10}" y="{y + 33}" opacity=".65">{_text(_state(result))}</text></a>'
        )
        for need in sorted(result.step.needs()):
            a, b = place[need]
            skips = depth[name] - depth[need] > 1
            # A line to a later step bends around those between.
            bend = f"C {a + WIDTH + 60} {b + HEIGHT // 2}, {x + WIDTH + 60} {y + HEIGHT // 2}," if skips else "L"
            ends = (
                (a + WIDTH, b + HEIGHT // 2, x + WIDTH, y + HEIGHT // 2)
                if skips
                else (a + WIDTH // 2, b + HEIGHT, x + WIDTH // 2, y)
            )
            lines.append(f'<path d="M {ends[0]} {ends[1]} {bend} {ends[2]} {ends[3]}" fill="none" stroke="#999"/>')
    width = max(x for x, _ in place.values()) + WIDTH + 80
    height = max(y for _, y in place.values()) + HEIGHT
    size = f'width="{width}" height="{height + 4}" viewBox="-2 -2 {width} {height + 4}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(lines + boxes)}</svg>'


def _state(result):
    return f"{result.state}, {result.seconds:.1f} s" if result.state in ("run", "failed") else result.state


def _section(result):
    execution, rows = result.execution, []
    if execution:
        rows = [(name, _figure(value)) for name, value in execution.figures.items() if value not in ("", None)]
        rows += [(name, str(artifact.path)) for name, artifact in execution.outputs.items()]
        rows += [
            ("code", execution.code),
            *((name, _figure(value)) for name, value in execution.parameters.items() if value not in ("", None)),
        ]
    cells = "".join(f"<tr><td>{_text(name)}</td><td>{_cell(value)}</td></tr>" for name, value in rows)
    error = f"<pre>{_text(result.error)}</pre>" if result.error else ""
    pictures = "".join(_pictures(execution)) if execution else ""
    name, state = _text(result.step.name), _text(_state(result))
    head = f'<h2 id="{name}">{name} <span class="{_class(result.state)}">{state}</span></h2>'
    return f"{head}{error}<table>{cells}</table>{pictures}"


def _figure(value):
    if isinstance(value, float):
        return f"{value:.5g}"
    return (
        ", ".join(f"{name} {_figure(entry)}" for name, entry in value.items())
        if isinstance(value, dict)
        else str(value)
    )


def _cell(value):
    if "\n" not in value:
        return _text(value)
    return f"<details><summary>{len(value.splitlines())} lines</summary><pre>{_text(value)}</pre></details>"


def _pictures(execution):
    for artifact in execution.outputs.values():
        for path in sorted(pathlib.Path(artifact.path).glob("samples.png")):
            data = base64.b64encode(path.read_bytes()).decode()
            yield f'<figure><img alt="samples" src="data:image/png;base64,{data}"></figure>'
