"""A pipeline on a Beam runner, and the folder in which its workers leave what they find.

The steps use what every runner has: elements, functions of one, and one grouping. Results are files, not collections:
side inputs, sums of everything and sinks are computed by some runners on one worker, by Dask's over and over.
"""

import contextlib
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
      InputError: options that Beam does not take, or a cluster of Dask's that could not do the work.
    """
    made = beam.Pipeline(options=options.parsed(beam_args))
    try:
        with made:
            yield made
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "distributed":
            raise
        checks.refuse(
            "Dask's cluster",
            expected="workers that live until their work is done",
            received=str(error).partition("\n")[0].rstrip(".") or type(error).__name__,
            remedy="look at the output of scheduler and workers, mend what ended them, and run the same command again",
        )
    finally:
        client = getattr(getattr(made, "result", None), "client", None)  # Dask's, which nobody else closes
        if client:
            client.close()


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
    """The collection that `function(element, *arguments)`, which yields, makes of every one of `elements`."""
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
