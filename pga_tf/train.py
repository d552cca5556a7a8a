"""Trains a generative autoencoder: python -m pga_tf.train --flagfile=flagfiles/lpga_digits.flags."""

from pga_tf import flags
from pga_tf.training import loop

USAGE = """python -m pga_tf.train --flagfile=flagfiles/NAME.flags [--name=value ...]

Trains the method, or goes on training it where it was stopped, and leaves a run directory with checkpoints,
TensorBoard logs, metrics.jsonl and sample grids. Flags after --flagfile override those in it."""


def main():
    finished = loop.train(flags.config_from_flags())
    return 0 if finished else 130


if __name__ == "__main__":
    flags.define_training_flags()
    flags.run(main, usage=USAGE, help_text=flags.training_help)
