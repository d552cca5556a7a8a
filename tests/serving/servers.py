"""A model server in a process of its own: TensorFlow Serving where it is installed, else pga_tf.serve."""

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import grpc
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_service_pb2_grpc

from pga_tf.serving.remote import Remote
from tests.serving import toy_model

ROOT = pathlib.Path(__file__).parents[2]
REAL = shutil.which("tensorflow_model_server")
PATIENCE = 60  # seconds for whatever a test waits for: the machine may be busy


class Running:
    """`process`, and where it listens: `grpc` and `rest` as HOST:PORT; `base`: its folder of models."""

    def __init__(self, process, base, grpc_target, rest_target):
        self.process, self.base, self.grpc, self.rest = process, base, grpc_target, rest_target

    def remote(self, model="toy", *, rest=False, timeout=PATIENCE, **values):
        return Remote(self.rest if rest else self.grpc, model, rest=rest, timeout=timeout, **values)

    def stubs(self, channel):
        return prediction_service_pb2_grpc.PredictionServiceStub(channel), model_service_pb2_grpc.ModelServiceStub(
            channel
        )

    def channel(self):
        return grpc.insecure_channel(self.grpc)


@contextlib.contextmanager
def running(base, *entries):
    """Serves `base/models.config` made of `toy_model.config` entries, until the block ends."""
    base = pathlib.Path(base)
    (base / "models.config").write_text(toy_model.config(base, *entries))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    # To a file and not to a pipe: nobody reads a pipe while the test runs, and a full one stops its writer.
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(_command(base), stdout=subprocess.PIPE, stderr=log, text=True, env=environment)
        try:
            grpc_target, rest_target = _targets(process, log)
            yield Running(process, base, grpc_target, rest_target)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()


def _command(base):
    common = [f"--model_config_file={base}/models.config"]
    if REAL:
        ports = free_port(), free_port()
        return [
            REAL, *common, f"--port={ports[0]}", f"--rest_api_port={ports[1]}", "--file_system_poll_wait_seconds=1",
            "--allow_version_labels_for_unavailable_models",
        ]  # fmt: skip
    command = [sys.executable, "-m", "pga_tf.serve", "--port=0", "--rest_api_port=0", *common]
    return [*command, "--file_system_poll_wait_seconds=0.2", "--model_config_file_poll_wait_seconds=0.2"]


def _targets(process, log):
    if REAL:
        grpc_target, rest_target = (f"127.0.0.1:{argument.split('=')[1]}" for argument in process.args[2:4])
        wait_until(lambda: _listens(rest_target) or process.poll() is not None)
    else:
        found = re.fullmatch(r"serving gRPC on (\S+), REST on (\S+)\n", process.stdout.readline())
        grpc_target, rest_target = found.groups() if found else ("", "")
    if process.poll() is not None or not grpc_target:
        log.seek(0)
        raise AssertionError(f"the server did not start: {log.read()}")
    return grpc_target, rest_target


def _listens(target):
    host, port = target.split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), timeout=1):
        return True
    return False


def free_port():
    """A port of loopback on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds=PATIENCE):
    """Waits for `condition()`; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def request(signature, model="toy", **inputs):
    """A `PredictRequest` of arrays or `TensorProto`s."""
    made = predict_pb2.PredictRequest()
    made.model_spec.name, made.model_spec.signature_name = model, signature
    for name, value in inputs.items():
        proto = value if isinstance(value, tensor_pb2.TensorProto) else tf.make_tensor_proto(value)
        made.inputs[name].CopyFrom(proto)
    return made


def http(server, path, content=None):
    """(status, JSON) of a GET, or of a POST of `content`: bytes, or an object that becomes JSON."""
    body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
    try:
        with urllib.request.urlopen(f"http://{server.rest}/v1/models/{path}", body, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)
