"""InfraValidator: the model as TensorFlow Serving would load it, tried in a process of its own."""

import pathlib

from pga_tf import flags as flags_lib
from pga_tf.serving import export
from pga_tf.training import trained
from pga_tf.training.run_directory import RunDirectory
from pipelines.components.artifacts import INFRA_BLESSED, STAGED, write_blessing


def infra_validator(run_with_priors: str, exported: str, infra_blessing: str, name: str) -> dict:
    """Exports the run under its own prior to `exported/NAME/1`, runs every signature in a fresh process, blesses it.

    That process has neither Keras nor this package, and compares every output with the Python model's.

    Args:
      name: what the model is called in requests; its warm-up records carry it.

    Raises:
      InputError: the written model gives something else, or cannot be written; nothing is blessed then.
    """
    config, directory = flags_lib.config_of_run(run_with_priors), RunDirectory(run_with_priors)
    draw, step = trained.load(config)
    # Where artifacts lie says nothing of the model; Pusher enters the dataset.
    values = {key: value for key, value in config.values().items() if key not in ("workdir", "dataset")}
    facts = {
        "run": {"method": config.run.method, "step": step, "seed": config.run.seed},
        "checkpoint": "last",
        "weights": "moving average" if config.optimizer.ema else "as trained",
        "prior": draw.prior_name,
        "flags": values,
    }
    options = export.ExportOptions(name=name, base=exported, version=int(STAGED))
    folder, found = export.export(draw.model, draw.prior, directory.read_image_shape(), options, facts)
    write_blessing(infra_blessing, INFRA_BLESSED, [])
    size = sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())
    return {"signatures": ", ".join(found), "largest difference": max(found.values()), "bytes": size}
