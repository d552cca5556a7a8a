"""A trained run, ready to draw from."""

from pga_tf.core import checks
from pga_tf.evaluation.protocols import OURS, PROTOCOLS
from pga_tf.methods import METHODS
from pga_tf.runs import build, drawing, fitted, packed
from pga_tf.runs.checkpoints import Checkpoints
from pga_tf.runs.directory import CHECKPOINTS, RunDirectory


def load(config, checkpoint="last", prior="", protocol=PROTOCOLS[OURS]):
    """The model of the run that `config` describes, with the weights and prior that it samples with: (Drawing, step).

    It needs neither the run's data nor its devices.

    Args:
      config: `Config` of a run directory. checkpoint: "last", or "best" where it was trained with `--keep_best`.
      prior: a name from the registry; fitted ones are read from the run directory. "": the run's own, see `prior_of`.

      protocol: the `evaluation.protocols.Protocol` by which samples are drawn.

    Raises `InputError` where there is no such checkpoint, or no such prior for it.
    """
    prior = prior or prior_of(config)
    fitted.require_known(config, prior)  # an unknown name is refused before anything is built
    model, step = load_model(config, checkpoint)
    return drawing.Drawing(model, fitted.load(config, model, prior), prior, protocol), step


def load_model(config, checkpoint="last"):
    """(the run's model with the weights that it samples with, their step); all else as `load`."""
    checks.require_member("--checkpoint", checkpoint, CHECKPOINTS)
    directory = RunDirectory(config.run.workdir)
    model = build.build_model(config, directory.read_image_shape())
    if directory.weights.exists():
        if checkpoint != CHECKPOINTS[0]:
            checks.refuse("--checkpoint", expected=CHECKPOINTS[0], received=checkpoint, remedy="a packed run has one")
        return model, packed.read(directory.weights, model)
    folder = {"last": directory.checkpoints, "best": directory.best}[checkpoint]
    others = {"remedy": "take --checkpoint=last"} if checkpoint == "best" else {}
    step = Checkpoints(folder, model, **others).restore()
    if not step:
        checks.refuse(
            f"--workdir={directory.path}",
            expected=f"a checkpoint in {folder}",
            received="none",
            remedy="train first" if checkpoint == "last" else "train with --evaluate_every and --keep_best",
        )
    if model.averages:
        model.averages.apply()
    return model, step


def prior_of(config):
    """The name of the prior that a run is sampled with where none is named: the one noted, else its method's own.

    Raises `InputError` where its method has none and none is noted: codes of such a method follow no known law, and
    nothing is drawn from N(0, I) in their place.
    """
    found = noted_prior(config)
    if found is None:
        there = fitted.names(config)
        checks.refuse(
            f"--workdir={config.run.workdir}",
            expected=f"a prior, for --method={config.run.method} has none of its own",
            received=f"none named; fitted are {', '.join(there)}" if there else "none fitted",
            remedy=f"add --prior={there[0]}" if there else fitted.command(config),
        )
    return found


def noted_prior(config):
    """As `prior_of`, but None where there is none. Raises `InputError` for a prior.flags that cannot be read."""
    directory = RunDirectory(config.run.workdir)
    noted = directory.read_own_prior()
    if noted:
        fitted.require_known(config, noted, f"--prior in {directory.own_prior}")
    return noted or METHODS.get(config.run.method).prior_of(config.method)
