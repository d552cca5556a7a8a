"""TensorFlow's import without what its C++ code says before any setting takes effect; its log without what misleads.

Functions are compiled anew for each model and prior here, which TensorFlow takes for a mistake of whoever calls them;
and where it says that it writes an export is a temporary folder.
"""

import contextlib
import importlib.machinery
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator

from pga_tf.core import signals

NOISE = re.compile(
    "All log messages before absl::InitializeLog|oneDNN custom operations are on|Could not find cuda drivers|"
    "This TensorFlow binary is optimized|To enable the following instructions"
)
MISLEADING = re.compile("triggered tf.function retracing|Assets written to")


class _Quietly:
    """Finds TensorFlow as Python does, and has it imported without its noise; a signal then ends a command at once."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        spec = importlib.machinery.PathFinder.find_spec(name, path) if name == "tensorflow" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def quietly(module):
            with signals.loading(), without_noise():
                execute(module)

        spec.loader.exec_module = quietly
        return spec


def hold_back_noise() -> None:
    """From here on the import of TensorFlow, wherever it comes, writes to stderr only what is not `NOISE`.

    Its log keeps all but what is `MISLEADING`.
    """
    if _Quietly not in sys.meta_path:
        sys.meta_path.insert(0, _Quietly)
        logging.getLogger("tensorflow").addFilter(lambda record: not MISLEADING.search(record.getMessage()))


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Inside the block stderr's file descriptor is held back; afterwards all lines but `NOISE` are written to it."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, _kept_descriptor() as own:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(own, 2)
            held.seek(0)
            for line in held.read().splitlines(keepends=True):
                if not NOISE.search(line.decode(errors="replace")):
                    os.write(2, line)


@contextlib.contextmanager
def _kept_descriptor():
    own = os.dup(2)
    try:
        yield own
    finally:
        os.close(own)
