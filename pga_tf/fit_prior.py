"""Fits a prior to a trained autoencoder: python -m pga_tf.fit_prior --workdir=runs/lpga_digits --prior=mixture."""

from absl import flags as absl_flags

from pga_tf import command_line, flags
from pga_tf.core import checks, commands, signals

USAGE = """python -m pga_tf.fit_prior --workdir=RUN --prior=NAME [--name=value ...]

Fits the prior to the codes of the run's autoencoder, or goes on fitting it where it was stopped, and leaves it in
RUN/priors/NAME/. Then `sample` and `evaluate` take --prior=NAME."""

FLAGS = absl_flags.FLAGS


def define_flags():
    absl_flags.DEFINE_string("workdir", None, "run directory of pga_tf.train")
    flags.define_weights_flag()
    flags.define_data_flags()
    flags.define_prior_flags()


def main():
    if not FLAGS.workdir:
        checks.refuse("--workdir", expected="a run directory", received="none", remedy="pass --workdir=runs/NAME")
    fit, own = flags.prior_from_flags()
    if not fit.prior:
        checks.refuse("--prior", expected="a prior to fit", received="none", remedy="pass --prior=mixture")
    config = flags.config_of_run()
    from pga_tf.runs import trained  # loads TensorFlow
    from pga_tf.training import fitting

    model, _ = trained.load_model(config, FLAGS.checkpoint)
    if not fitting.fit(config, model, fit, own):
        return signals.STATUS
    given = {"workdir": FLAGS.workdir, "prior": fit.name}
    given |= {"checkpoint": FLAGS.checkpoint} if FLAGS.checkpoint != "last" else {}
    print(f"  samples:      {commands.line('sample', **given)}")
    print(f"  scores:       {commands.line('evaluate', **given)}")
    return 0


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE, help_text=flags.prior_help)
