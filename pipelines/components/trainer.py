"""Trainer: a run directory, trained or gone on with."""

import json

from pga_tf.core import signals
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from pipelines.components import configs
from pipelines.components.artifacts import dataset


def trainer(transformed: str, run: str, flags: str) -> dict:
    """Trains in the folder `run`, which may hold the beginning of the same training, to its last step.

    Args:
      transformed: output of `transform`. flags: lines of a flagfile, as `configs.training_flags` writes them.

    Raises:
      Stopped: a signal stopped it; the folder holds a checkpoint to go on from.
      InputError, NonFiniteError: as `pga_tf.training.loop.train`.
    """
    config = configs.training_config(flags, dataset=dataset(transformed), workdir=run)
    if not loop.train(config, out=configs.warnings):
        raise signals.Stopped("a signal; the same command goes on from the last checkpoint")
    metrics = RunDirectory(run).metrics
    lines = metrics.read_text().splitlines() if metrics.exists() else []
    return {"method": config.run.method} | ({"last logged": json.loads(lines[-1])} if lines else {})
