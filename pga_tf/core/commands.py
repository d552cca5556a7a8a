"""Commands to print, such that they work where they are pasted: as this process itself was started."""

import os
import shlex

STARTED_AS = "PGA_TF_STARTED_AS"  # set by tools/run and by pga-tf; what goes before a module's name


def line(command: str, **flags: object) -> str:
    """The command line of `pga_tf.COMMAND` with flags: `tools/run python -m pga_tf.sample --workdir=X`."""
    prefix = os.environ.get(STARTED_AS, "python -m")
    return _joined(prefix, command if prefix == "pga-tf" else f"pga_tf.{command}", flags)


def as_started(text: str) -> str:
    """`text` with each `python -m pga_tf.COMMAND` in it as this process itself was started."""
    prefix = os.environ.get(STARTED_AS, "python -m")
    if prefix == "pga-tf":
        return text.replace("python -m pipelines.run", "pga-tf pipeline").replace("python -m pga_tf.", "pga-tf ")
    return text.replace("python -m ", f"{prefix} ")


def tensorboard(logdir):
    """The command line of TensorBoard in the same environment: `tools/run python -m tensorboard.main --logdir=X`."""
    prefix = os.environ.get(STARTED_AS, "python -m")
    return _joined("python -m" if prefix == "pga-tf" else prefix, "tensorboard.main", {"logdir": logdir})


def _joined(prefix, name, flags):
    return " ".join([prefix, name, *(shlex.quote(f"--{flag}={value}") for flag, value in flags.items())])
