"""What a cluster of Dask's must have for the work, asked of it before any: workers, this code, these files."""

import functools
import os
import pkgutil
import tempfile

from pga_tf.core import checks, files
from pipelines import code_hash, sources
from pipelines.beam import options

SECONDS = 10  # to wait for a scheduler, and for a worker, unless --dask_connection_timeout says otherwise
ABOUT = "pipelines.beam.worker:HERE"  # for pkgutil.resolve_name, which a worker has even where it lacks this
DOCUMENT = "docs/pipeline.md shows the commands"


def require(beam_args, root, dataset):
    """Asks a cluster of Dask's whether it can work for a pipeline; nothing is asked of other runners.

    Args:
      beam_args: options of the runner, a list of texts. root: the pipeline's folder. dataset: as `sources.parts`.

    Raises:
      InputError: options that Beam does not take, or a scheduler that does not answer, or has no workers, or one that
        cannot import this project as it is here, or that sees other files.
    """
    parsed = options.parsed(beam_args)
    if not options.on_dask(parsed):
        return
    from apache_beam.runners.dask.dask_runner import DaskOptions

    given = parsed.view_as(DaskOptions)
    place = given.address or given.scheduler_file
    if not place:
        checks.refuse(
            "--runner=DaskRunner",
            expected="--dask_client_address=HOST:PORT of a scheduler",
            received="none",
            remedy=f"start one; {DOCUMENT}",
        )
    with _client(given, place) as client:
        _require_code(f"Dask scheduler {place}", lambda: client.run_on_scheduler(pkgutil.resolve_name, ABOUT))
        workers = _workers(client, given.timeout or SECONDS, place)
        files.require_folder(root, "--pipeline_root")
        with tempfile.NamedTemporaryFile(dir=root, prefix=".seen.") as file:
            seen = {path: path for path in sources.places(dataset)}
            seen[os.path.abspath(file.name)] = os.path.abspath(root)
            for worker in workers:
                _require_worker(functools.partial(client.submit, workers=[worker], pure=False), worker, seen)


def _require_worker(ask, worker, seen):
    """Raises `InputError` unless a worker has the code and sees the paths `seen`, a dict to what messages call them."""
    what = f"Dask worker {worker}"
    _require_code(what, lambda: ask(pkgutil.resolve_name, ABOUT).result())
    for path, shown in seen.items():
        if not ask(os.path.exists, path).result():
            checks.refuse(
                what,
                expected=f"to see {shown}",
                received="nothing there",
                remedy="put it in a folder that all workers share",
            )


def _client(given, place):
    from distributed import Client

    try:
        return Client(
            given.address, scheduler_file=given.scheduler_file, timeout=given.timeout or SECONDS, set_as_default=False
        )
    except (OSError, ValueError) as error:
        checks.refuse(
            f"Dask scheduler {place}",
            expected="one that answers",
            received=str(error).partition("\n")[0].rstrip("."),
            remedy=f"start it, or correct --dask_client_address; {DOCUMENT}",
        )


def _workers(client, seconds, place):
    """Addresses of the workers, once there are any: some clusters start one only when there is work for it."""
    asked = client.submit(len, "", pure=False)
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError:
        checks.refuse(
            f"Dask scheduler {place}",
            expected="workers",
            received=f"none in {seconds} s",
            remedy=f"start some; {DOCUMENT}",
        )
    asked.result()
    return sorted(client.scheduler_info(n_workers=-1)["workers"])


def _require_code(what, found):
    """Raises `InputError` unless `found()`, the `ABOUT` of a process called `what`, says what this process's says."""
    try:
        there = found()
    except Exception as error:  # an import answers what another environment lacks with errors of many types
        checks.refuse(
            what,
            expected="one that can import this project and Apache Beam",
            received=(str(error) or type(error).__name__).partition("\n")[0],
            remedy=f"start it with PYTHONPATH={code_hash.ROOT}, in an environment like this one; {DOCUMENT}",
        )
    for name, expected in pkgutil.resolve_name(ABOUT).items():
        if there.get(name) != expected:
            checks.refuse(
                what,
                expected=f"{name} as here, {expected}",
                received=there.get(name),
                remedy="start scheduler and workers anew, all with one environment and one copy of this project",
            )
