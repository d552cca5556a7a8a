"""What a process of a Dask cluster runs, as it was when the process imported it: it must be equal on all machines."""

import importlib.metadata
import platform

from pipelines import code_hash, runner
from pipelines.beam.steps import STEPS

HERE = {
    "Python": platform.python_version(),
    **{name: importlib.metadata.version(name) for name in ("apache-beam", "dask", "distributed")},
    "this project's code with its libraries": runner.hash_of([code_hash.digest(step) for step in STEPS.values()]),
}
