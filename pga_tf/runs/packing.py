"""Packed runs: all that samples, scores and exports need of a trained run, and nothing that training needs.

A packed run is a run directory with the weights of `packed` in the place of checkpoints, one prior, and no logs.
"""

import dataclasses
import os
import pathlib
import shutil
from typing import Any

import numpy as np

from pga_tf.core import checks, files, locks
from pga_tf.methods.method import Method
from pga_tf.runs import config as config_lib
from pga_tf.runs import fitted, packed, trained
from pga_tf.runs.directory import RunDirectory
from pga_tf.settings.export import KINDS


def pack(
    config: config_lib.Config,
    model: Method,
    prior: str,
    folder: str | os.PathLike,
    *,
    optimize: str = KINDS[0],
    evaluation: dict[str, Any] | None = None,
) -> pathlib.Path:
    """Writes a run with the weights that `model` has and one prior into the new `folder`, whole or not at all.

    Kernels that are stored in fewer bits are the packed model's weights from then on, also for its prior.

    Args:
      prior: what the packed run is sampled with, a name that the run of `config` has.
      optimize: of `KINDS`, how kernels are stored.
      evaluation: what was found of these weights under this prior, which goes along where none of them is rounded.

    Raises `InputError` for a folder that holds something or cannot be written, and a prior that is not there.
    """
    checks.require_member("--optimize", optimize, KINDS)
    fitted.load(config, model, prior)
    folder = pathlib.Path(files.home(folder))
    what = f"--pack={folder}"
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        checks.refuse(what, expected="a new folder", received="one that holds something", remedy="name another one")
    files.require_folder(folder.parent, what)
    made, lock = (folder.with_name(f".{folder.name}.{end}") for end in ("packing", "lock"))
    with locks.exclusive(lock, what, expected="a folder that no other process writes"):
        shutil.rmtree(made, ignore_errors=True)  # of one that was killed
        try:
            _write(config, model, prior, RunDirectory(made), optimize, evaluation)
            files.sync_below(made)
            os.rename(made, folder)
        finally:
            shutil.rmtree(made, ignore_errors=True)
            lock.unlink(missing_ok=True)
    files.sync(folder.parent)
    return folder


def _write(config, model, prior, made, optimize, evaluation):
    source = RunDirectory(config.run.workdir)
    made.path.mkdir()
    nowhere = dataclasses.replace(config, run=dataclasses.replace(config.run, workdir=""))
    made.write_config(nowhere, source.read_image_shape(), source.read_kernels())
    if data := source.read_data():
        made.write_data(data)
    if note := source.read_note():
        files.write_text(made.note, f"{note}\n")
    packed.write(made.weights, model, optimize)
    written, _ = trained.load_model(config_lib.of_run(made.path))
    fitted.copy(config, prior, made, written)
    if evaluation and all(np.array_equal(*pair) for pair in zip(model.weights, written.weights, strict=True)):
        made.evaluation.mkdir()
        files.write_json(made.evaluation / "evaluation.json", evaluation)
