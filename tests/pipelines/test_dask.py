"""A real cluster of Dask's, a scheduler and two worker processes started as docs/pipeline.md says: the same bytes."""

import contextlib
import json
import os
import pathlib
import re
import shlex
import signal
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
from tests.serving import servers

pytestmark = pytest.mark.slow
START = 120  # seconds for processes that import TensorFlow beside others


@contextlib.contextmanager
def started(words, cwd=helpers.ROOT):
    """A process of `python -m dask` for the time of the block, which finds this project if it is started there."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([sys.executable, "-m", "dask", *words], cwd=cwd, env=env, **quiet)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def running():
    """(process, HOST:PORT) of a scheduler with two workers, which the commands of docs/pipeline.md start elsewhere."""
    port = str(servers.free_port())
    text = (helpers.ROOT / "docs" / "pipeline.md").read_text().replace("8786", port)
    scheduler, worker = (shlex.split(words) for words in re.findall(r"^ +tools/run python -m dask (.*)$", text, re.M))
    (place,) = re.findall(r"--dask_client_address=([\w.]+:\d+)'", text)
    with started([*scheduler, "--dashboard-address", ":0"]) as process, started(worker):
        with distributed.Client(place, timeout=START, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=START)
        yield process, place


@pytest.fixture(scope="module")
def address():
    with running() as (_, place):
        yield place


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
    message = "expected a scheduler and workers that live until their work is done, received Attempted to run"
    with pytest.raises(InputError, match=message), engine.pipeline(options(address)) as pipeline:
        engine.each(pipeline, [0], os._exit)


def test_the_end_of_the_scheduler_is_told_in_one_sentence(tmp_path, capfd):
    with running() as (process, place):

        def kill():
            while not (tmp_path / "begun").exists():
                time.sleep(0.01)
            process.kill()

        thread = threading.Thread(target=kill)
        thread.start()
        message = "expected a scheduler and workers that live until their work is done, received work that was"
        with pytest.raises(InputError, match=message), engine.pipeline(options(place)) as pipeline:
            engine.each(pipeline, [tmp_path / "begun"], _begin)
        thread.join()
    assert "Traceback" not in capfd.readouterr().err


def _begin(path):
    path.touch()
    time.sleep(START)


def test_errors_of_workers_are_those_of_one_process(address, tmp_path):
    with pytest.raises(FileNotFoundError, match="none"), engine.pipeline(options(address)) as pipeline:
        engine.each(pipeline, [str(tmp_path / "none")], os.listdir)


def test_a_worker_that_lacks_the_project_is_refused(address, tmp_path):
    with started(["worker", f"tcp://{address}", "--no-nanny"], cwd=tmp_path):
        with distributed.Client(address, set_as_default=False) as client:
            client.wait_for_workers(3, timeout=START)
        with pytest.raises(InputError, match=r"Dask worker .* received No module named 'pipelines'\. Remedy: start"):
            cluster_lib.require(options(address), str(tmp_path), "digits")
    cluster_lib.require(options(address), str(tmp_path), "digits")


def test_a_folder_that_workers_do_not_see_is_refused(address, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster_lib.sources, "places", lambda dataset: [str(tmp_path / "elsewhere")])
    with pytest.raises(InputError, match=r"Dask worker .* expected to see .*elsewhere, received nothing there"):
        cluster_lib.require(options(address), str(tmp_path), "digits")
