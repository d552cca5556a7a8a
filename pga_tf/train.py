"""Trains a generative autoencoder: python -m pga_tf.train --flagfile=flagfiles/lpga_digits.flags."""

from pga_tf import command_line, flags
from pga_tf.core import signals
from pga_tf.runs.config import require_possible
from pga_tf.settings.data import require_there

USAGE = """python -m pga_tf.train --flagfile=flagfiles/NAME.flags [--name=value ...]

Trains the method, or goes on training it where it was stopped, and leaves a run directory with checkpoints,
TensorBoard logs, metrics.jsonl and sample grids. With --prior=NAME that prior is fitted afterwards, and the run is
sampled, evaluated and exported with it from then on. Flags after --flagfile override those in it."""


def define_flags():
    flags.define_training_flags()
    flags.define_prior_flags()


def main():
    config, prior = flags.config_from_flags(), flags.prior_from_flags()
    require_possible(config)
    require_there(config.data)
    from pga_tf import run  # loads TensorFlow

    return 0 if run.train_config(config, *prior) else signals.STATUS


def all_help():
    return flags.training_help() + "\n" + flags.prior_help()


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=USAGE, help_text=all_help)
