"""A real cluster of Dask's, a scheduler and two worker processes started as docs/pipeline.md says: the same bytes."""

import contextlib
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

pytest.importorskip("apache_beam", reason="needs Apache Beam, in an environment of requirements-pipeline.txt")
pytest.importorskip("distributed", reason="needs Dask, in an environment of requirements-pipeline.txt")

import distributed
from PIL import Image

from pga_tf.core.checks import InputError
from pipelines.beam import cluster as cluster_lib
from pipelines.beam import engine
from pipelines.beam.steps import STEPS
from pipelines.components import artifacts
from pipelines.components.example_gen import example_gen
from pipelines.store import Store, digest_of
from tests.pipelines import helpers

pytestmark = pytest.mark.slow
PRELOAD = ("--preload", "pipelines.beam.worker")
START = 120  # seconds for processes that import TensorFlow beside others


@contextlib.contextmanager
def started(*words, cwd=helpers.ROOT):
    """A process of Dask's for the time of the block."""
    command = [sys.executable, "-m", "dask", *words]  # which finds this project in the folder where it is started
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(command, cwd=cwd, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="module")
def address():
    """HOST:PORT of a scheduler with two workers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host, port = free.getsockname()
    own = ("--host", host, "--dashboard-address", ":0")
    with (
        started("scheduler", *own, "--port", str(port), *PRELOAD),
        started("worker", f"tcp://{host}:{port}", "--nworkers", "2", "--nthreads", "1", *PRELOAD),
    ):
        with distributed.Client(f"{host}:{port}", timeout=START, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=START)
        yield f"{host}:{port}"


def options(address):
    return ["--runner=DaskRunner", f"--dask_client_address={address}"]


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder of 600 photographs, some of them grey, deep, repeated or broken."""
    folder = tmp_path_factory.mktemp("photos")
    for i in range(600):
        generator = np.random.default_rng(i % 590)
        pixels = generator.integers(0, 256, (*generator.integers(20, 60, 2), 3), np.uint8)
        Image.fromarray(pixels if i % 3 else pixels[..., 0]).save(folder / f"{i:03d}.{'jpg' if i % 2 else 'png'}")
    Image.fromarray(np.linspace(0, 4000, 900).astype(np.uint16).reshape(30, 30)).save(folder / "deep.png")
    (folder / "broken.png").write_bytes(b"broken")
    return folder


@pytest.mark.parametrize("kind", ["digits", "photographs"])
def test_a_pipeline_leaves_what_one_process_leaves(address, photos, tmp_path, kind):
    dataset = "digits" if kind == "digits" else f"folder:{photos}"
    size = {} if kind == "digits" else {"image_size": 8}
    roots, runs = [], {"here": [], "there": [f"--beam_pipeline_args={' '.join(options(address))}"]}
    for name, flags in runs.items():
        allowed = {"max_corrupt": 0.1, "max_duplicates": 0.5}
        features = {"features": "digits" if kind == "digits" else "pixels"}
        chosen = helpers.tiny(tmp_path / name, dataset=dataset, options=allowed | features, **size)
        flags = [*flags, *(f"--{flag}={value}" for flag, value in allowed.items())]
        ran = subprocess.run(helpers.command("run", chosen, *flags), cwd=helpers.ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert not [line for line in ran.stderr.splitlines() if "distributed" in line or "dask" in line]
        roots.append(tmp_path / name)
    for step in ("ExampleGen", "StatisticsGen", "Transform"):
        here, there = (next(Store(root).executions(step)) for root in roots)
        assert here.code != there.code
        assert [a.digest for a in there.outputs.values()] == [a.digest for a in here.outputs.values()], step
        assert there.figures == here.figures
    evaluations = [next(Store(root).executions("Evaluator")).outputs["evaluation"].path for root in roots]
    here, there = (json.loads((path / artifacts.EVALUATION).read_text()) for path in evaluations)
    assert there["scores"] == here["scores"]
    assert there["card"] == here["card"]


def test_work_of_a_killed_worker_is_done_again(address, photos, tmp_path):
    folders = [tmp_path / name for name in ("here", "there")]
    for folder in folders:
        folder.mkdir()
    example_gen(str(folders[0]), f"folder:{photos}", 0.3, 3)
    with distributed.Client(address, set_as_default=False) as client:
        workers = client.run(os.getpid)
    killed = []

    def kill():
        """Kills the worker that writes the first part of the images, once that is there."""
        while not list(folders[1].glob("*/*/Split-train/*")):
            time.sleep(0.01)
        killed.extend(pid for pid in workers.values() if any(".beam." in path for path in opened(pid)))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    STEPS["ExampleGen"](options(address))(str(folders[1]), f"folder:{photos}", 0.3, 3)
    thread.join()
    assert killed
    assert digest_of(folders[1]) == digest_of(folders[0])


def opened(pid):
    """Paths of what a process has open."""
    with contextlib.suppress(OSError):
        return [os.readlink(link) for link in pathlib.Path(f"/proc/{pid}/fd").iterdir()]
    return []


def test_what_ends_every_worker_is_told_in_one_sentence(address):
    message = "expected workers that live until their work is done, received Attempted to run task"
    with pytest.raises(InputError, match=message), engine.pipeline(options(address)) as pipeline:
        engine.each(pipeline, [0], os._exit)


def test_errors_of_workers_are_those_of_one_process(address, tmp_path):
    with pytest.raises(FileNotFoundError, match="none"), engine.pipeline(options(address)) as pipeline:
        engine.each(pipeline, [str(tmp_path / "none")], os.listdir)


def test_a_worker_that_lacks_the_project_is_refused(address, tmp_path):
    with started("worker", f"tcp://{address}", "--nworkers", "1", "--no-nanny", cwd=tmp_path):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=START)
        with pytest.raises(InputError, match=r"Dask worker .* received No module named 'pipelines'\. Remedy: start"):
            cluster_lib.require(options(address), str(tmp_path), "digits")
    cluster_lib.require(options(address), str(tmp_path), "digits")


def test_a_folder_that_workers_do_not_see_is_refused(address, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_lib.sources, "places", lambda dataset: [str(tmp_path / "elsewhere")])
    with pytest.raises(InputError, match=r"Dask worker .* expected to see .*elsewhere, received nothing there"):
        cluster_lib.require(options(address), str(tmp_path), "digits")
