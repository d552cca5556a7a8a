"""Trains a generative autoencoder: python -m pga_tf.train --flagfile=flagfiles/lpga_digits.flags."""

import dataclasses

from pga_tf import flags
from pga_tf.training import fitting, loop, trained
from pga_tf.training.run_directory import RunDirectory

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
    if finished and not config.run.dry_run:
        if fit.prior != "normal":
            draw, _ = trained.load(flags.config_of_run(config.run.workdir), prior="normal")
            finished = fitting.fit(config, draw, fit, own)
        if finished:
            RunDirectory(config.run.workdir).write_own_prior(dataclasses.asdict(fit) | dataclasses.asdict(own))
    return 0 if finished else 130


def all_help():
    return flags.training_help() + "\n" + flags.prior_help()


if __name__ == "__main__":
    define_flags()
    flags.run(main, usage=USAGE, help_text=all_help)
