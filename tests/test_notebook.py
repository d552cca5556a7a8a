"""The notebook: what it was committed with is whole, and all of it runs."""

import ast
import importlib
import pathlib
import re

import nbformat
import pytest

from tools import run_notebook

NOTEBOOK = pathlib.Path(__file__).parents[1] / "docs" / "first_steps.ipynb"
SCORES = re.compile(r"^(normal|mixture) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", re.MULTILINE)


def cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def pictures(notebook):
    """For each code cell, how many pictures it drew."""
    shown = [[output.get("data", {}) for output in cell.outputs] for cell in cells(notebook)]
    return [sum("image/png" in data for data in outputs) for outputs in shown]


def scores(notebook):
    """dict of prior to its printed scores."""
    printed = "".join(o.text for cell in cells(notebook) for o in cell.outputs if o.output_type == "stream")
    return {prior: [float(value) for value in values] for prior, *values in SCORES.findall(printed)}


def test_the_notebook_was_run_from_top_to_bottom_without_an_error():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert [cell.execution_count for cell in cells(notebook)] == list(range(1, len(cells(notebook)) + 1))
    assert sum(pictures(notebook)) == 5
    assert scores(notebook).keys() == {"normal", "mixture"}
    outputs = [output for cell in cells(notebook) for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]
    assert NOTEBOOK.stat().st_size < 300_000


def test_what_the_notebook_names_exists():
    for cell in cells(nbformat.read(NOTEBOOK, as_version=4)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "pga_tf":
                assert hasattr(importlib.import_module("pga_tf"), node.attr), node.attr


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    done, committed = run_notebook.executed(NOTEBOOK, tmp_path), nbformat.read(NOTEBOOK, as_version=4)
    assert pictures(done) == pictures(committed)
    found = scores(done)
    assert found.keys() == {"normal", "mixture"}
    for frechet, precision, recall, density, coverage in found.values():
        assert 0.0 < frechet < 100.0
        assert 0.3 < precision <= 1.0
        assert 0.1 < recall <= 1.0
        assert 0.1 < density < 2.0
        assert 0.3 < coverage <= 1.0
    assert (tmp_path / "runs" / "models" / "first_steps" / "1" / "saved_model.pb").exists()
