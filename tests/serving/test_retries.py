"""Servers that are down, busy, slow or not model servers at all, and what the client makes of them."""

import concurrent.futures
import contextlib
import http.server
import threading
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import get_model_metadata_pb2, predict_pb2, prediction_service_pb2_grpc

from pga_tf.core.checks import InputError
from pga_tf.serving import transport
from pga_tf.serving.remote import Remote
from tests.serving import servers


class Fake(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Doubles z `[B]`, after as many failures with `code` as asked for, and after `pause` seconds."""

    def __init__(self, failures=0, code=grpc.StatusCode.UNAVAILABLE, pause=0.0):
        self.failures, self.code, self.pause = failures, code, pause
        self.requests = 0

    def signatures(self):
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for side in ("inputs", "outputs"):
            info = getattr(signatures.signature_def["double"], side)["z"]
            info.dtype = tf.float32.as_datatype_enum
            info.tensor_shape.dim.add(size=-1)
        return signatures

    def GetModelMetadata(self, request, context):
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(self.signatures())
        return response

    def Predict(self, request, context):
        self.requests += 1
        time.sleep(self.pause)
        if self.requests <= self.failures:
            context.abort(self.code, "come back later")
        response = predict_pb2.PredictResponse()
        response.outputs["z"].CopyFrom(tf.make_tensor_proto(2 * tf.make_ndarray(request.inputs["z"])))
        return response


@contextlib.contextmanager
def serving(fake, port=0):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(fake, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def answering_http(status, body=b"{}", failures=10**6, pause=0.0):
    """An HTTP server that answers `failures` requests with `status` and `body`, and later ones with a status."""

    class Handler(http.server.BaseHTTPRequestHandler):
        requests = 0

        def do_GET(self):
            type(self).requests += 1
            time.sleep(pause)
            failing = self.requests <= failures
            content = body if failing else b'{"model_version_status": [{"version": "3", "state": "AVAILABLE"}]}'
            self.send_response(status if failing else 200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # a client that has given up is no news
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}", Handler
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def double(target, timeout=20.0):
    with Remote(target, "any", timeout=timeout) as model:
        return model.predict("double", z=np.ones(3))["z"]


def test_a_server_that_is_unavailable_twice_is_asked_a_third_time():
    fake = Fake(failures=2)
    with serving(fake) as target:
        np.testing.assert_array_equal(double(target), [2, 2, 2])
    assert fake.requests == 3


def test_a_server_that_stays_unavailable_is_given_up_at_the_deadline():
    fake, began = Fake(failures=10**6), time.monotonic()
    with serving(fake) as target, pytest.raises(InputError, match=r"UNAVAILABLE: come back later.* \(tried for "):
        double(target, timeout=1.2)
    assert 1.0 < time.monotonic() - began < 2.0
    assert fake.requests >= 4


def test_other_errors_are_not_tried_again_and_the_servers_words_are_passed_on():
    fake = Fake(failures=100, code=grpc.StatusCode.INVALID_ARGUMENT)
    with serving(fake) as target, pytest.raises(InputError, match="received INVALID_ARGUMENT: come back later"):
        double(target)
    assert fake.requests == 1


def test_a_slow_server_is_waited_for_until_the_deadline():
    began = time.monotonic()
    with serving(Fake(pause=3.0)) as target, pytest.raises(InputError, match=r"within 0.5 s.*raise --timeout"):
        double(target, timeout=0.5)
    assert time.monotonic() - began < 3.0


def test_a_refused_connection_is_tried_again_until_the_server_is_there():
    port = servers.free_port()
    with contextlib.ExitStack() as stack:
        timer = threading.Timer(0.4, lambda: stack.enter_context(serving(Fake(), port)))
        timer.start()
        np.testing.assert_array_equal(double(f"127.0.0.1:{port}"), [2, 2, 2])
        timer.join()


@pytest.mark.parametrize("rest", [False, True], ids=["grpc", "rest"])
def test_a_refused_connection_says_how_to_start_a_server(rest):
    target = f"127.0.0.1:{servers.free_port()}"
    with Remote(target, "toy", rest=rest, timeout=1.0) as model, pytest.raises(InputError) as caught:
        model.sample([0])
    other = "wants no --rest" if rest else "wants --rest"
    for part in (f"Server {target}: expected a model server", "onnection refused", "start it", "--target", other):
        assert part in str(caught.value)


def test_http_503_is_tried_again():
    with answering_http(503, b'{"error": "busy"}', failures=2) as (target, handler):
        with Remote(target, "any", rest=True) as model:
            assert model.status().model_version_status[0].version == 3
        assert handler.requests == 3


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (400, b'{"error": "bad pixel"}', "received INVALID_ARGUMENT: bad pixel"),
        (404, b'{"error": "no model"}', "a model and version that the server has loaded, received NOT_FOUND: no model"),
        (404, b"<html>", r"NOT_FOUND: 127.0.0.1:\d+ answered 404 with b'<html>'"),
        (504, b'{"error": "late"}', "expected an answer within"),
        (500, b"oops", "expected an answer, received UNKNOWN.*answered 500"),
        (200, b"not json", "expected an answer, received UNKNOWN.*answered 200"),
        (200, b'{"model_version_status": 3}', "answered what a model server would not"),
    ],
)
def test_http_statuses_become_messages(status, body, message):
    with answering_http(status, body) as (target, handler):
        with Remote(target, "any", rest=True) as model, pytest.raises(InputError, match=message):
            model.status()
        assert handler.requests == 1


def test_a_slow_http_server_is_waited_for_until_the_deadline():
    with answering_http(200, pause=2.0) as (target, _):
        began = time.monotonic()
        with Remote(target, "any", rest=True, timeout=0.3) as model, pytest.raises(InputError, match="within 0"):
            model.status()
        assert time.monotonic() - began < 1.5


def test_each_transport_on_the_port_of_the_other_is_told_so():
    def ask(target, rest, message):
        with Remote(target, "any", rest=rest, timeout=1.0) as model, pytest.raises(InputError, match=message):
            model.status()

    with serving(Fake()) as target:
        ask(target, True, "gRPC is spoken on another port")
    with answering_http(200) as (target, _):
        ask(target, False, "REST is spoken on another port")


class Clock:
    """Time that passes in `sleep` alone; `slept`: each pause."""

    def __init__(self):
        self.now, self.slept = 0.0, []

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds

    def retrying(self, request, timeout, fraction=1.0):
        def jitter(low, high):
            assert (low, high) == (0.5, 1.0)
            return fraction

        return transport.retrying(request, timeout, sleep=self.sleep, clock=lambda: self.now, jitter=jitter)


@pytest.mark.parametrize(
    ("timeout", "fraction", "pauses"),
    [
        (100.0, 1.0, [0.1, 0.2, 0.4, 0.8, 1.6, *[2.0] * 48, 0.85]),
        (4.0, 0.5, [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 0.4]),
        (1.0, 1.0, [0.1, 0.2, 0.4, 0.25]),  # the next would be 0.8 s, and end too late for another attempt
        (0.05, 1.0, []),
    ],
)
def test_pauses_double_up_to_a_limit_until_the_deadline(timeout, fraction, pauses):
    clock, calls = Clock(), []

    def request(seconds):
        calls.append(seconds)
        raise transport.TransportError(grpc.StatusCode.UNAVAILABLE, f"down {len(calls)}")

    with pytest.raises(transport.TransportError, match=f"UNAVAILABLE: down {len(pauses) + 1}$"):
        clock.retrying(request, timeout, fraction)
    np.testing.assert_allclose(clock.slept, pauses)
    np.testing.assert_allclose(calls, timeout - np.cumsum([0.0, *pauses]))


def test_a_last_attempt_without_time_does_not_hide_why_the_others_failed():
    codes = iter([grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])

    def request(_):
        code = next(codes)
        raise transport.TransportError(code, code.name.lower())

    with pytest.raises(transport.TransportError, match="UNAVAILABLE: unavailable; then deadline_exceeded"):
        Clock().retrying(request, 1.0)


class Answers:
    """A transport whose model doubles z, but answers something else."""

    def __init__(self, answer):
        self.answer = answer

    def metadata(self, timeout):
        return Fake().signatures()

    def predict(self, signature, inputs, outputs, timeout):
        return {"z": self.answer(len(inputs["z"]))}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda n: np.ones(n - 1), r"double: output z: expected float32 \[B\], B being 64, received float64 \[63\]"),
        (lambda n: np.float64(3.0), r"received float64 \[\]"),
        (lambda n: np.ones([n, 1]), r"received float64 \[64, 1\]"),
        (lambda n: np.array([b"a"] * n, object), r"received object \[64\]"),
        (
            lambda n: np.where(np.arange(n) == 5, np.nan, 1.0),
            "finite numbers, received NaN or infinity, first in row 5",
        ),
        (lambda n: np.where(np.arange(n) == (0 if n == 36 else -1), 1e39, 1.0), "first in row 64"),
    ],
)
def test_an_answer_that_is_none_is_refused_and_its_row_named(answer, message):
    model = Remote("nowhere:1", "any")
    model._transport = Answers(answer)
    with pytest.raises(InputError, match=message):
        model.predict("double", z=np.ones(100))


@pytest.mark.parametrize("body", [b"{}", b'{"outputs": {"b64": "!"}}', b'{"outputs": [[1], 2]}', b'{"outputs": null}'])
def test_a_foreign_answer_over_http_is_told_as_such(body):
    with answering_http(200, body) as (target, handler):
        handler.do_POST = handler.do_GET
        asked = Remote(target, "any", rest=True)._transport
        with pytest.raises(transport.TransportError, match=r"INTERNAL: .* answered what a model server would not"):
            asked.predict("double", {"z": np.ones(2)}, ["z"], 5.0)


def test_a_missing_output_over_grpc_is_told_as_such():
    with serving(Fake()) as target:
        asked = Remote(target, "any")._transport
        with pytest.raises(transport.TransportError, match=r"INTERNAL: .* answered what a model server would not"):
            asked.predict("double", {"z": np.ones(2)}, ["other"], 5.0)
        asked.close()
