"""TensorFlow's import without what its C++ code says before any setting takes effect."""

import contextlib
import os
import re
import sys
import tempfile

NOISE = re.compile(
    "All log messages before absl::InitializeLog|oneDNN custom operations are on|Could not find cuda drivers|"
    "This TensorFlow binary is optimized|To enable the following instructions"
)


def import_tensorflow():
    """Imports TensorFlow; of what is written to stderr meanwhile, only what is not `NOISE` stays."""
    if "tensorflow" in sys.modules:
        return
    with without_noise():
        import tensorflow  # noqa: F401


@contextlib.contextmanager
def without_noise():
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
