"""Several workers, processes on loopback, train the run that one process does: `--workers`."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.runs import config as config_lib
from pga_tf.runs.directory import RunDirectory
from pga_tf.training import loop
from tests.methods import builders
from tests.training import helpers

ROOT = pathlib.Path(__file__).parents[2]
SHORT = {"steps": 4, "checkpoint_every": 2, "image_every": 4, "network": "mlp", "keep_checkpoints": 9}
CASES = {
    "vae": {"method": "vae", "ema": 0.9, "batch_norm": "shared", "evaluate_every": 2, "evaluate_samples": 50},
    "lpga": {"method": "lpga", "batch_norm": "per_source"},
    "gan": {"method": "gan", "critic_updates": 5, **builders.WGAN_GP},
    "wae": {"method": "wae", "head_start": 3, "dataset": "digits", "network": "conv_8"},
}


def start(*configs):
    """The command at each of two workers; of one configuration, or of one for each."""
    configs = configs * (2 // len(configs))
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in configs]
    addresses = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    processes = []
    for k, config in enumerate(configs):
        flags = [flag for flag in helpers.flags(config) if not flag.startswith("--workers")]
        task = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": k}}
        variables = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_CONFIG": json.dumps(task)}
        command = [sys.executable, "-m", "pga_tf.train", "--workers", *flags]
        processes.append(
            subprocess.Popen(
                command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
        )
    return processes


def ended(processes):
    """(exit status, what was printed) of each."""
    said = [process.communicate(timeout=300)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, said, strict=True)]


def test_a_cluster_that_cannot_be_is_refused_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(InputError, match=r"--workers \(TF_CONFIG\): .*received none"):
        loop.train(helpers.config(tmp_path / "run", workers=True), out=str)
    with pytest.raises(InputError, match="--batch_size"):  # what is wrong at one is told there, before it waits
        loop.train(helpers.config(tmp_path / "run", workers=True, batch_size=0), out=str)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_two_workers_train_what_one_process_does(tmp_path, case):
    """With momentum and without Adam, which makes a step of any gradient: that of a bias before a norm is rounding."""
    settings = SHORT | CASES[case]
    for code, said in ended(start(helpers.config(tmp_path / "two", **settings))):
        assert code == 0, said
    assert "worker 1 of 2: trained" in said
    loop.train(helpers.config(tmp_path / "one", **settings), out=str)
    one, two = helpers.state(tmp_path / "one"), helpers.state(tmp_path / "two")
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(two[name], value, rtol=1e-3, atol=1e-4, err_msg=name)
    assert [line | {"images_per_second": 0} for line in helpers.logged(tmp_path / "two")] == [
        pytest.approx(line | {"images_per_second": 0}, rel=1e-3, abs=1e-4) for line in helpers.logged(tmp_path / "one")
    ]
    run = config_lib.of_run(tmp_path / "two").run  # a run of two replicas, wherever they are
    assert (run.replicas, run.workers) == (2, False)
    assert (tmp_path / "two" / "samples" / "step_0000004.png").exists()
    assert len(RunDirectory(tmp_path / "two").read_scores()) == (2 if case == "vae" else 0)


LONGER = {"method": "lpga", "batch_norm": "per_source", "network": "mlp", "optimizer": "adam", "learning_rate": 1e-3}
LONGER |= {"steps": 120, "checkpoint_every": 10, "log_every": 10}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A run of two workers that nothing ended before its time."""
    path = tmp_path_factory.mktemp("unbroken")
    told = ended(start(helpers.config(path, **LONGER)))
    assert [code for code, _ in told] == [0, 0], told
    return path


@pytest.mark.slow
@pytest.mark.parametrize(("number", "which"), [(signal.SIGKILL, 0), (signal.SIGKILL, 1), (signal.SIGTERM, 1)])
def test_the_end_of_one_worker_ends_all_and_they_go_on_bit_for_bit(tmp_path, unbroken, number, which):
    broken = helpers.config(tmp_path / "broken", **LONGER)
    processes, deadline = start(broken), time.monotonic() + 200
    while not list(tmp_path.glob("broken/checkpoints/step-*.index")) and time.monotonic() < deadline:
        time.sleep(0.02)
        assert all(process.poll() is None for process in processes)
    processes[which].send_signal(number)
    told = ended(processes)
    codes = [130, 130] if number == signal.SIGTERM else [130, -signal.SIGKILL][:: 1 if which else -1]
    assert [code for code, _ in told] == codes, told
    if number == signal.SIGKILL:
        assert "stopped by the loss of another worker (" in told[1 - which][1]
    else:
        assert "stopped by SIGTERM after step" in told[0][1]
    assert helpers.step_of(helpers.state(tmp_path / "broken")) < LONGER["steps"]
    told = ended(start(broken))
    assert [code for code, _ in told] == [0, 0], told
    assert "starting after step 0" not in told[0][1]
    helpers.assert_same_state(helpers.state(tmp_path / "broken"), helpers.state(unbroken))
    assert [line["step"] for line in helpers.logged(tmp_path / "broken")] == list(range(10, 121, 10))


@pytest.mark.slow
def test_other_numbers_of_workers_and_what_differs_among_them(tmp_path):
    settings = SHORT | {"method": "vae", "batch_size": 12}
    loop.train(helpers.config(tmp_path / "run", **settings | {"steps": 2}), out=str)
    for code, said in ended(start(helpers.config(tmp_path / "run", **settings))):
        assert code == 2
        assert "--replicas=2 (the run there: 1)" in said
    told = ended(start(helpers.config(tmp_path / "run", **settings, allow_other_replicas=True)))
    assert [code for code, _ in told] == [0, 0], told
    assert "--replicas=2 from step 2 on; it was 1 before" in told[0][1]
    changes = [json.loads(line) for line in RunDirectory(tmp_path / "run").changes.read_text().splitlines()]
    assert changes == [{"step": 2, "what": "replicas", "was": "1", "is": "2"}]

    alike = helpers.config(tmp_path / "other", **settings)
    told = ended(start(alike, helpers.config(tmp_path / "other", **settings | {"learning_rate": 0.1})))
    for code, said in told:
        assert code == 2
        assert "--learning_rate: expected 0.05, as the chief has it, received 0.1 at worker 1" in said
    for code, said in ended(start(helpers.config(tmp_path / "other", **settings, replicas=3))):
        assert code == 2
        assert "--workers and --replicas: expected --workers alone, or 2" in said
    assert not (tmp_path / "other").exists()
