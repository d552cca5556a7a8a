"""PriorFitter: the trained run with the priors that were asked for."""

import dataclasses
import json
import pathlib
import shutil

from pga_tf.core import signals
from pga_tf.priors import PRIORS
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import fitting
from pipelines.components import configs
from pipelines.components.artifacts import dataset
from pipelines.components.configs import SEPARATOR, warnings


def prior_fitter(run: str, transformed: str, run_with_priors: str, flags: str) -> dict:
    """Copies the run to `run_with_priors` and fits priors there, or goes on fitting; the first is the run's own.

    An artifact is never changed once it is there, hence the copy; logs and sample grids stay with the first one.

    Args:
      run: output of `trainer`. flags: for each prior the lines of a flagfile, with `SEPARATOR` between.

    Raises:
      Stopped: a signal stopped it. InputError, NonFiniteError: as `pga_tf.training.fitting.fit`.
    """
    copy = pathlib.Path(run_with_priors)
    if not RunDirectory(copy).config.exists():
        # config.flags comes last: a copy that has it is whole.
        shutil.copytree(run, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("logs", "samples", "config.flags"))
        shutil.copy(RunDirectory(run).config, copy)
    config = config_lib.of_run(copy)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset=dataset(transformed)))
    wanted = [configs.prior_options(text) for text in flags.split(SEPARATOR)]
    figures = {}
    for fit, own in wanted:
        if not fit.prior or PRIORS.get(fit.prior).FIT == "nothing":
            continue
        if not fitting.fit(config, trained.load_model(config)[0], fit, own, out=warnings):
            raise signals.Stopped("a signal; the same command goes on from the last checkpoint")
        figures[fit.name] = json.loads((pathlib.Path(RunDirectory(copy).prior(fit.name)) / "facts.json").read_text())
    fit, own = wanted[0]
    RunDirectory(copy).write_own_prior(dataclasses.asdict(fit) | (dataclasses.asdict(own) if own else {}))
    return {"prior": trained.prior_of(config)} | figures
