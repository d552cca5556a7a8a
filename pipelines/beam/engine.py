"""A pipeline on a Beam runner, and the folder in which its workers leave what they find.

The steps use what every runner has: elements, functions of one, and one grouping. Results are files, not collections:
side inputs, sums of everything and sinks are computed by some runners on one worker, by Dask's over and over.
"""

import contextlib
import logging
import os
import pathlib
import shutil
import uuid

import apache_beam as beam

from pga_tf.core import checks
from pipelines.beam import options


@contextlib.contextmanager
def pipeline(beam_args):
    """A `beam.Pipeline` with the options `beam_args`, a list of texts; its work is done when the block ends.

    Raises:
      InputError: options that Beam does not take, or a cluster of Dask's that ended before its work.
    """
    made = beam.Pipeline(options=options.parsed(beam_args))
    try:
        with made:
            yield made
        # Beam's runner waits for errors alone, not for work that nobody does any more.
        undone = [future.status for future in getattr(made.result, "futures", ()) if future.status != "finished"]
        if undone:
            _refuse(f"work that was {undone[0]}")
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "distributed":
            raise
        _refuse(str(error).partition("\n")[0].rstrip(".") or type(error).__name__)
    finally:
        client = getattr(getattr(made, "result", None), "client", None)  # Dask's, which nobody else closes
        if client:
            with _untold():
                client.close()


def _refuse(received):
    checks.refuse(
        "Dask's cluster",
        expected="a scheduler and workers that live until their work is done",
        received=received,
        remedy="look at what they printed, mend what ended them, and run the same command again",
    )


@contextlib.contextmanager
def _untold():
    """A client that is closed while it looks for a scheduler that died logs that it does so; `_refuse` has said it."""
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def scratch(folder):
    """A folder inside `folder` by its absolute path, which workers elsewhere want, until the block ends."""
    made = pathlib.Path(os.path.abspath(folder)) / f".beam.{uuid.uuid4().hex}"
    made.mkdir()
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def each(source, elements, function, *arguments):
    """The collection of what `function(element, *arguments)` yields, if anything, for every one of `elements`."""
    spread = source | beam.Create(elements) | beam.Reshuffle()
    return spread | beam.FlatMap(function, *arguments)


@contextlib.contextmanager
def placing(path, folder):
    """The path of a new file in `folder`, a scratch one, to write; it is moved onto `path` when the block ends.

    Runners repeat work and race with themselves: whoever comes last puts the same file there.
    """
    own = pathlib.Path(folder, uuid.uuid4().hex)
    yield own
    os.replace(own, path)
