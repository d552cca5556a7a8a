"""InfraValidator: the model as TensorFlow Serving would load it, tried in a process of its own."""

import pathlib

from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.runs.directory import RunDirectory
from pga_tf.serving import export
from pga_tf.settings.export import ExportOptions
from pipelines.components.artifacts import INFRA_BLESSED, INFRA_NOT_BLESSED, STAGED, write_blessing


def infra_validator(run_with_priors: str, exported: str, infra_blessing: str, name: str) -> dict:
    """Exports the run under its own prior to `exported/NAME/1`, and runs every signature in a fresh process.

    That process has neither Keras nor this package, and compares every output with the Python model's. The blessing is
    withheld, and nothing exported, if one differs or the model cannot be loaded there.

    Args:
      name: what the model is called in requests; its warm-up records carry it.

    Raises:
      InputError: the model cannot be written.
    """
    config, directory = config_lib.of_run(run_with_priors), RunDirectory(run_with_priors)
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
    options = ExportOptions(name=name, base=exported, version=int(STAGED))
    try:
        folder, found = export.export(draw.model, draw.prior, directory.read_image_shape(), options, facts)
    except export.NotTheModel as error:
        write_blessing(infra_blessing, INFRA_NOT_BLESSED, [str(error)])
        return {"blessed": False, "reasons": str(error)}
    write_blessing(infra_blessing, INFRA_BLESSED, [])
    size = sum(path.stat().st_size for path in pathlib.Path(folder).rglob("*") if path.is_file())
    judged = {"blessed": True, "reasons": ""}
    return judged | {"signatures": ", ".join(found), "largest difference": max(found.values()), "bytes": size}
