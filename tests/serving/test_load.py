"""Many clients at once: every answer is that of a lone request, whoever else asks, dies or swaps the version."""

import concurrent.futures
import itertools
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from tests.serving import servers, toy_model

CLIENTS = 64
SIZES = (1, 2, 3, 5, 8, 16, 33, 64)
SEEDS = 256
# Not bit-equal: matrix products of another number of rows add in another order.
TOLERANCE = {"rtol": 0, "atol": 1e-5}


@pytest.fixture(scope="module")
def alone(server):
    """Inputs, and what lone requests of one row answer for each."""
    images, codes = toy_model.images(SEEDS), np.random.default_rng(1).normal(size=(SEEDS, 4)).astype(np.float32)
    with server.remote() as model:
        return {
            "seeds": np.arange(SEEDS),
            "samples": np.concatenate([model.sample([seed]) for seed in range(SEEDS)]),
            "codes": codes,
            "decoded": np.concatenate([model.decode(code[None]) for code in codes]),
            "images": images,
            "encoded": np.concatenate([model.encode(image[None]) for image in images]),
        }


METHODS = {"sample": ("seeds", "samples"), "decode": ("codes", "decoded"), "encode": ("images", "encoded")}


def client(server, alone, number, requests, stop=None):
    """Sends up to `requests` requests of mixed methods and sizes and checks each answer; returns how many."""
    rng = np.random.default_rng(number)
    # Every eighth client talks REST, where a request costs more.
    with server.remote(rest=number % 8 == 7) as model:
        for count in range(requests):
            if stop is not None and time.monotonic() > stop:
                return count
            method = list(METHODS)[rng.integers(3)]
            sent, wanted = (alone[key] for key in METHODS[method])
            rows = rng.integers(SEEDS, size=SIZES[rng.integers(len(SIZES))])
            np.testing.assert_allclose(getattr(model, method)(sent[rows]), wanted[rows], **TOLERANCE)
    return requests


def crowd(server, alone, requests, seconds=None):
    stop = None if seconds is None else time.monotonic() + seconds
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        counts = list(pool.map(lambda number: client(server, alone, number, requests, stop), range(CLIENTS)))
    assert server.process.poll() is None
    return counts


def test_64_clients_get_what_a_lone_one_gets(server, alone):
    assert crowd(server, alone, requests=6) == [6] * CLIENTS


@pytest.mark.slow
def test_64_clients_for_30_seconds(server, alone):
    counts = crowd(server, alone, requests=100_000, seconds=30.0)
    assert min(counts) > 0
    print(f"{sum(counts)} requests in 30 s")


ENDLESS = """
import sys
import grpc
call = grpc.insecure_channel(sys.argv[1]).unary_unary("/tensorflow.serving.PredictionService/Predict")
request = sys.stdin.buffer.read()
while True:
    call(request)
    print("answered", flush=True)
"""


def test_a_client_that_is_killed_in_the_middle_of_a_request_harms_nobody(server, alone):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = "toy", "sample"
    request.inputs["seed"].CopyFrom(tf.make_tensor_proto(np.arange(64)))
    killed = [
        subprocess.Popen([sys.executable, "-c", ENDLESS, server.grpc], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    for process in killed:
        process.stdin.write(request.SerializeToString())
        process.stdin.close()
    for process in killed:
        assert process.stdout.readline() == b"answered\n"  # it is in the middle of its next request
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        others = [pool.submit(client, server, alone, number, 10) for number in (1, 2, 3, 7)]
        for process in killed:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
        for _ in range(10):
            _die_in_a_post(server.rest)
        assert [other.result() for other in others] == [10] * 4
    assert server.process.poll() is None


def _die_in_a_post(target):
    """Sends a request over HTTP and resets the connection before the answer, as a killed process does."""
    host, port = target.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        body = b'{"inputs": [' + b",".join([b"1"] * 64) + b"]}"
        connection.sendall(b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_version_swapped_under_load_and_back_fails_no_request(tmp_path):
    """Clients see the old version, then the new one, never a mixture within an answer and never an error."""
    toy_model.write(tmp_path, "toy", 1, gain=1.0)
    waiting = toy_model.write(tmp_path / "next", "toy", 2, gain=-1.0)
    codes = np.random.default_rng(2).normal(size=(64, 4)).astype(np.float32)
    with servers.running(tmp_path, ("toy", "")) as server:
        wanted = {}
        with server.remote() as model:
            wanted[1] = model.decode(codes)
        wanted[2] = 1.0 - wanted[1]  # the sigmoid of the negative logits
        done, seen, lock = threading.Event(), {1: 0, 2: 0}, threading.Lock()

        def ask(number):
            transport = server.remote(rest=number == 0)._transport  # without the retries of the client around it
            for size in itertools.cycle(SIZES):
                if done.is_set():
                    return transport.close()
                images = transport.predict("decode", {"z": codes[:size]}, ["image"], servers.PATIENCE)["image"]
                matching = [v for v in (1, 2) if np.allclose(images, wanted[v][:size], **TOLERANCE)]
                assert len(matching) == 1, "an answer of neither version"
                with lock:
                    seen[matching[0]] += 1
            return None

        def served(version):
            with lock:
                before = seen[version]
            servers.wait_until(lambda: seen[version] > before + 20 or any(f.done() for f in futures))

        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            futures = [pool.submit(ask, number) for number in range(6)]
            try:
                served(1)
                waiting.rename(tmp_path / "toy" / "2")
                served(2)
                (tmp_path / "toy" / "2").rename(waiting)
                served(1)
            finally:
                done.set()
            for future in futures:
                future.result()
        assert server.process.poll() is None
