"""For the site: each notebook in `docs/` as a page of its name, from what it was committed with; nothing is run."""

import itertools
import pathlib

import nbformat
from mkdocs.structure.files import File

SHOWN = ("image/png", "text/plain")


def on_files(files, config):
    """MkDocs's hook: adds the pages."""
    for notebook in list(files):
        if notebook.src_uri.endswith(".ipynb"):
            text = page(pathlib.Path(notebook.abs_src_path))
            files.append(File.generated(config, notebook.src_uri.removesuffix(".ipynb") + ".md", content=text))
    return files


def page(path):
    """Markdown of a notebook: text as it stands, code and printed lines in blocks, pictures inline."""
    parts = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
        elif cell.source:
            parts += [_block("python", cell.source), *_outputs(cell.outputs)]
    name = path.name
    return "\n\n".join([*parts, f"This page is the notebook [{name}]({name}), which the tests run."]) + "\n"


def _outputs(outputs):
    """Printed lines that follow each other, of either stream, as one block; then what was drawn or returned."""
    for printed, group in itertools.groupby(outputs, lambda output: output.output_type == "stream"):
        if printed:
            yield _block("text", "".join(output.text for output in group).rstrip())
            continue
        for output in group:
            kind = next(kind for kind in SHOWN if kind in output.data)
            shown = output.data[kind].strip()
            yield f"![](data:{kind};base64,{shown})" if kind == "image/png" else _block("text", shown)


def _block(language, text):
    return f"```{language}\n{text}\n```"
