"""Trains a generative autoencoder: python -m pga_tf.train --flagfile=flagfiles/lpga_digits.flags."""

import dataclasses

from pga_tf import flags
from pga_tf.methods import METHODS
from pga_tf.runs import trained
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import fitting, loop

USAGE = """python -m pga_tf.train --flagfile=flagfiles/NAME.flags [--name=value ...]

Trains the method, or goes on training it where it was stopped, and leaves a run directory with checkpoints,
TensorBoard logs, metrics.jsonl and sample grids. With --prior=NAME that prior is fitted afterwards, and the run is
sampled, evaluated and exported with it from then on. Flags after --flagfile override those in it."""


def define_flags():
    flags.define_training_flags()
    flags.define_prior_flags()


def main():
    config = flags.config_from_flags()
    fit, own = flags.prior_from_flags()
    finished = loop.train(config)
    if not finished or config.run.dry_run:
        return 0 if finished else 130
    config = flags.config_of_run(config.run.workdir)
    if fit.prior and not fitting.fit(config, trained.load_model(config)[0], fit, own):
        return 130
    if fit.prior or METHODS.get(config.run.method).PRIOR:  # else the run keeps the one that was fitted to it since
        chosen = dataclasses.asdict(fit) | (dataclasses.asdict(own) if own else {})
        RunDirectory(config.run.workdir).write_own_prior(chosen)
    print(loop.hints(config))
    return 0


def all_help():
    return flags.training_help() + "\n" + flags.prior_help()


if __name__ == "__main__":
    define_flags()
    flags.run(main, usage=USAGE, help_text=all_help)
