"""The commands within this process: what they do, without the seconds that a process of their own takes to start."""

import importlib
import inspect

from absl import flags as absl_flags
from absl.testing import flagsaver

from pga_tf.core import flagfiles

FLAGS = absl_flags.FLAGS


def call(name, *arguments, package="pga_tf"):
    """Does what `python -m PACKAGE.NAME *arguments` does; raises what that would print as its error."""
    module, others = importlib.import_module(f"{package}.{name}"), set(FLAGS)
    module.define_flags()
    try:
        with flagsaver.flagsaver():
            rest = FLAGS([name, *flagfiles.expanded(arguments)])[1:]
            return module.main(rest) if inspect.signature(module.main).parameters else module.main()
    finally:
        for flag in set(FLAGS) - others:
            delattr(FLAGS, flag)
