"""`pga-tf COMMAND ...`: the commands of an installed package under one name; each is `python -m` of its module."""

import os
import runpy
import sys

from pga_tf.core import signals

COMMANDS = {
    "train": "pga_tf.train",
    "sample": "pga_tf.sample",
    "evaluate": "pga_tf.evaluate",
    "fit_prior": "pga_tf.fit_prior",
    "export": "pga_tf.export",
    "serve": "pga_tf.serve",
    "client": "pga_tf.client",
    "reproduce": "pga_tf.reproduce",
    "pipeline": "pipelines.run",
}
USAGE = (
    "usage: pga-tf COMMAND [--name=value ...]\n\ncommands: "
    + ", ".join(COMMANDS)
    + "\n\npga-tf COMMAND --help says more"
)


def main() -> int:
    """Runs the command that `sys.argv` names; 2 for one that does not exist."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    if asked in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if asked not in COMMANDS:
        print(f"error: pga-tf: expected a command, received {asked or 'none'}.\n{USAGE}", file=sys.stderr)
        return 2
    signals.end_at_once()
    os.environ["PGA_TF_STARTED_AS"] = "pga-tf"  # for the commands that it prints
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # as tools/run does: no line about GPUs that are not there
    sys.argv = [f"pga-tf {asked}", *sys.argv[2:]]
    runpy.run_module(COMMANDS[asked], run_name="__main__")
    return 0


if __name__ == "__main__":
    sys.exit(main())
