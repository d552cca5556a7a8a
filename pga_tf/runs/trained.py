"""A trained run, ready to draw from."""

from pga_tf import priors
from pga_tf.core import checks
from pga_tf.training import build, drawing, fitting
from pga_tf.training.checkpoints import Checkpoints
from pga_tf.training.run_directory import RunDirectory

CHECKPOINTS = ("last", "best")
PRIOR_HELP = "distribution of codes: normal or one fitted to the run; default: the one that train was asked for"


def load(config, checkpoint="last", prior=""):
    """The model of the run that `config` describes, with the weights and prior that it samples with: (Drawing, step).

    It needs neither the run's data nor its devices.

    Args:
      config: `Config` of a run directory. checkpoint: "last", or "best" where it was trained with `--keep_best`.
      prior: a name from the registry; fitted ones are read from the run directory. "": the run's own, which is
        N(0, I) unless it was trained with another `--prior`.

    Raises `InputError` where there is no such checkpoint, or no such prior for it.
    """
    checks.require_member("--checkpoint", checkpoint, CHECKPOINTS)
    directory = RunDirectory(config.run.workdir)
    prior = prior or directory.read_own_prior()
    priors.PRIORS.get(prior)  # an unknown name is refused before anything is built
    model = build.build_model(config, directory.read_image_shape())
    folder = {"last": directory.checkpoints, "best": directory.best}[checkpoint]
    step = Checkpoints(folder, model, build.optimizers_of(model)).restore()
    if not step:
        checks.refuse(
            f"--workdir={directory.path}",
            expected=f"a checkpoint in {folder}",
            received="none",
            remedy="train first" if checkpoint == "last" else "train with --evaluate_every and --keep_best",
        )
    build.use_average_weights(config, model)
    return drawing.Drawing(model, fitting.load(config, model, prior), prior), step
