"""Runs a notebook, whose files go to a temporary folder, and writes what it printed and drew back into it.

tools/run python tools/run_notebook.py docs/first_steps.ipynb
"""

import os
import pathlib
import sys
import tempfile

import nbclient
import nbformat
from jupyter_client import AsyncKernelManager

ROOT = pathlib.Path(__file__).parents[1]


def executed(path: pathlib.Path, folder: pathlib.Path) -> nbformat.NotebookNode:
    """The notebook at `path` with the outputs of a run in `folder`. Raises `CellExecutionError` where a cell does."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    # Sockets on disk, of which the path must be short, instead of TCP without encryption.
    with tempfile.TemporaryDirectory() as sockets:
        manager = AsyncKernelManager(kernel_name="python3", transport="ipc", ip=os.path.join(sockets, "k"))
        client = nbclient.NotebookClient(notebook, km=manager, timeout=600, record_timing=False)
        client.resources = {"metadata": {"path": str(folder)}}
        client.execute(env=os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"})
    return notebook


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as scratch:
            done = executed(pathlib.Path(name), pathlib.Path(scratch))
        nbformat.write(done, name)
