"""`python -m pga_tf.ledger.child PID MODULE ...`: `python -m MODULE ...`, stopped politely when its parent has gone.

A killed `reproduce` so leaves no training behind that goes on by itself. Only Linux tells of a parent's end.
"""

import contextlib
import ctypes
import os
import runpy
import signal
import sys

PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of prctl(2)


def main(parent: int, module: str, arguments: list[str]) -> None:
    """Runs `module` as a program with `arguments`."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PARENT_DEATH_SIGNAL, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(f"the process {parent} that asked for {module} has gone")
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
