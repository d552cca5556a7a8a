"""A run in TensorBoard's HParams tab: its options when it is trained, its scores when it is evaluated."""

import math
import os

import tensorflow as tf
from tensorboard.plugins.hparams import api

from pga_tf.core import pictures
from pga_tf.evaluation.protocols import OURS


def write_options(writer, config):
    """Enters the options of a `Config` as the hyperparameters of the run that `writer` logs."""
    values = {k: v for k, v in config.values().items() if k not in ("workdir", "dry_run")}
    with writer.as_default(0):  # its records hold text alone, which a path need not be
        api.hparams({k: pictures.shown(v) if isinstance(v, str) else v for k, v in values.items()})


def write_scores(directory, result, own):
    """Enters the scores of an evaluation, which become columns beside the hyperparameters.

    They are scalars of the run's logs at the step that was scored: `evaluation/frechet` and its like under the prior
    that the run is sampled with, named `own`, and `evaluation/NAME/frechet` under another one; likewise under another
    protocol than ours.

    Args:
      directory: the `RunDirectory`. result: what evaluation.json holds.
    """
    prior, step = result["card"]["generated"]["prior"], result["run"]["step"]
    protocol = result["card"]["protocol"].split(",")[0]
    group = "/".join(["evaluation", *([prior] if prior != own else []), *([protocol] if protocol != OURS else [])])
    writer = tf.summary.create_file_writer(os.fsencode(directory.logs), filename_suffix=".evaluation")
    with writer.as_default(step):
        for name, entry in result["scores"].items():
            if math.isfinite(entry["value"]):
                tf.summary.scalar(f"{group}/{name}", entry["value"])
    writer.close()
