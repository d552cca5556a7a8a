"""Processes that a test may kill, forked from a server that never used TensorFlow: a fork of a user of it may hang.

What a child does is a function, which may be local; what a test patched in its own process is not patched in a child.
"""

import multiprocessing
import os
import pathlib

import cloudpickle

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.pipelines.test_state", "tests.serving.test_versions"])  # imported once for all


def start(function, *args, told: pathlib.Path | None = None):
    """A process that calls `function(*args)`; `told`: a folder for what it prints, as `out` and `err`."""
    process = _FORKS.Process(target=_call, args=(cloudpickle.dumps((function, args)), told and os.fspath(told)))
    process.start()
    return process


def exit_code(function, *args):
    """Of a process that calls `function(*args)`: its exit code, that of a signal below 0."""
    process = start(function, *args)
    process.join(60)
    return process.exitcode


def _call(pickled, told):
    for name, number in (("out", 1), ("err", 2)) if told else ():
        os.dup2(os.open(os.path.join(told, name), os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    function, args = cloudpickle.loads(pickled)
    function(*args)
