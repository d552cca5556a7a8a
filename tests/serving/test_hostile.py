"""What a local server answers to bytes that no client would send: a status below 500 and a reason, in strict JSON."""

import json
import re
import socket

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import predict_pb2

from pga_tf.serving.local import rest, tensors
from pga_tf.serving.local.errors import ServingError
from pga_tf.serving.local.server import Server
from tests.serving import servers, toy_model

POST = b"POST /v1/models/toy:predict HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /v1/models/toy HTTP/1.1\r\nHost: x\r\n"
GOOD = b'{"inputs": [0]}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"
WIDE = b'["%s"%s]' % (b"a" * 10**6, b", 0" * 10**5)  # as one array of strings: 400 GB


class Odd(tf.Module):
    """Signatures that no export has: outputs that are not finite, without rows, text, of TensorFlow's own types."""

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def logs(self, x):
        return {"same": x, "log": tf.math.log(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="x")])
    def text(self, x):
        return {"text": x}

    @tf.function(input_signature=[tf.TensorSpec([None], name="x")])
    def half(self, x):
        return {"half": tf.cast(x, tf.bfloat16)}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    base = tmp_path_factory.mktemp("hostile")
    toy_model.write(base, "toy", 1)
    odd = Odd()
    names = ("logs", "total", "text", "half")
    tf.saved_model.save(odd, str(base / "odd" / "1"), signatures={name: getattr(odd, name) for name in names})
    (base / "models.config").write_text(toy_model.config("/models", ("toy", ""), ("odd", "")))
    started = Server(base / "models.config").start(poll_seconds=0, config_poll_seconds=0)
    address = f"127.0.0.1:{started.port}", f"127.0.0.1:{started.rest_port}"
    yield servers.Running(None, base, *address)
    started.stop()


def sent(body, more=b"", first=POST):
    return first + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


def answers(server, content, *, close=True):
    """[(status, JSON)] of what the server answers to bytes; those of an answer without a body have None."""
    host, port = server.rest.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as client:
        client.sendall(content)
        if close:
            client.shutdown(socket.SHUT_WR)
        received = b""
        while part := client.recv(2**16):
            received += part
    found = []
    while received:
        head, _, received = received.partition(b"\r\n\r\n")
        status = int(re.match(rb"HTTP/1\.1 (\d{3}) [ -~]*\r?\n?", head + b"\r\n")[1])
        length = int((re.search(rb"Content-Length: (\d+)", head) or [0, 0])[1])
        body, received = received[:length], received[length:]
        found.append((status, json.loads(body, parse_constant=pytest.fail) if body else None))
    return found


def asked(model, signature, text, key="inputs"):
    body = b'{"signature_name": "%s", "%s": %s}' % (signature.encode(), key.encode(), text)
    return sent(body, first=POST.replace(b"toy", model.encode()))


HOSTILE = {
    # the first line
    "no address": (b"GET http://[/ HTTP/1.1\r\n\r\n", 400, "Invalid IPv6 URL"),
    "no address to post to": (POST.replace(b"/v1", b"http://[x/v1") + b"Content-Length: 2\r\n\r\n{}", 400, "IPv6"),
    "percent and no digits": (b"GET /v1/models/%zz HTTP/1.1\r\n\r\n", 400, "two hexadecimal digits"),
    "percent at the end": (b"GET /v1/models/toy% HTTP/1.1\r\n\r\n", 400, "two hexadecimal digits"),
    "percent in a label": (b"GET /v1/models/toy/labels/%f HTTP/1.1\r\n\r\n", 400, "two hexadecimal digits"),
    "quoted no UTF-8": (b"GET /v1/models/%ff HTTP/1.1\r\n\r\n", 400, "Malformed request target"),
    "raw no UTF-8": (b"GET /v1/models/\xff HTTP/1.1\r\n\r\n", 400, "printable ASCII"),
    "a byte of 0": (b"GET /v1/models/\0 HTTP/1.1\r\n\r\n", 400, "printable ASCII"),
    "a version of 70 bits": (b"GET /v1/models/toy/versions/%d HTTP/1.1\r\n\r\n" % 2**70, 400, "integer of 64 bits"),
    "a version of 63 bits": (b"GET /v1/models/toy/versions/%d HTTP/1.1\r\n\r\n" % 2**63, 400, "integer of 64 bits"),
    "6000 digits": (b"GET /v1/models/toy/versions/" + b"9" * 6000 + b" HTTP/1.1\r\n\r\n", 400, "integer of 64 bits"),
    "a negative version": (b"GET /v1/models/toy/versions/-1 HTTP/1.1\r\n\r\n", 404, "Malformed request"),
    "elsewhere": (b"GET /v2/models/toy HTTP/1.1\r\n\r\n", 404, "Malformed request"),
    "upwards": (b"GET /v1/models/../../etc/passwd HTTP/1.1\r\n\r\n", 404, "Malformed request"),
    "too long a target": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414, ""),
    "two words": (b"GET /v1/models/toy\r\n", 400, "METHOD TARGET HTTP/1.1"),
    "four words": (b"GET /v1/models/toy a HTTP/1.1\r\n\r\n", 400, "METHOD TARGET HTTP/1.1"),
    "HTTP/0.9": (b"GET /v1/models/toy HTTP/0.9\r\n\r\n", 400, "METHOD TARGET HTTP/1.1"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, ""),
    "HTTP/1": (b"GET /v1/models/toy HTTP/1\r\n\r\n", 400, "Bad request version"),
    "an empty line": (b"\r\n", 400, "METHOD TARGET HTTP/1.1"),
    "TLS": (b"\x16\x03\x01\x02\x00\x01", 400, "METHOD TARGET HTTP/1.1"),
    "zeros": (b"\0" * 5000, 400, "METHOD TARGET HTTP/1.1"),
    # methods
    **{name: (GET.replace(b"GET", name.encode()) + b"\r\n", 405, f"{name} is not allowed; use GET or POST")
       for name in ("PUT", "DELETE", "OPTIONS", "PATCH")},
    **{name: (GET.replace(b"GET", name.encode()) + b"\r\n", 501, "Unsupported method")
       for name in ("TRACE", "CONNECT", "get", "BREW", "__class__")},
    "OPTIONS *": (b"OPTIONS * HTTP/1.1\r\n\r\n", 405, ""),
    "PUT with a body": (sent(GOOD, first=POST.replace(b"POST", b"PUT")), 405, ""),
    # headers
    "a header of 70 kB": (GET + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431, ""),
    "200 headers": (GET + b"X: 1\r\n" * 200 + b"\r\n", 431, ""),
    "no colon": (GET + b"nothing\r\n\r\n", 400, "NAME: VALUE"),
    "a space before the colon": (POST + b"Content-Length : 15\r\n\r\n" + GOOD, 400, "NAME: VALUE"),
    "a header without a name": (GET + b": x\r\n\r\n", 400, "NAME: VALUE"),
    "no ASCII in a name": (GET + b"\xff\xfe: x\r\n\r\n", 400, "NAME: VALUE"),
    "negative length": (POST + b"Content-Length: -1\r\n\r\n{}", 400, "received '-1'"),
    "signed length": (POST + b"Content-Length: +2\r\n\r\n{}", 400, "received '+2'"),
    "length in hex": (POST + b"Content-Length: 0x2\r\n\r\n{}", 400, "received '0x2'"),
    "length in words": (POST + b"Content-Length: two\r\n\r\n{}", 400, "received 'two'"),
    "an empty length": (POST + b"Content-Length: \r\n\r\n{}", 400, "received ''"),
    "a superscript": (POST + b"Content-Length: \xb2\r\n\r\n{}", 400, "expected a number of bytes"),
    "lengths in one": (POST + b"Content-Length: 2, 2\r\n\r\n{}", 400, "received '2, 2'"),
    "two lengths": (POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x", 400, "one Content-Length"),
    "two equal lengths": (POST + b"Content-Length: 2\r\ncontent-length: 2\r\n\r\n{}", 400, "one Content-Length"),
    "100 GB": (POST + b"Content-Length: 99999999999\r\n\r\n{}", 413, "99999999999 bytes is larger"),
    "5000 digits of length": (POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n{}", 413, "is larger"),
    "no length": (POST + b"\r\n", 411, "with a Content-Length"),
    "length and coding": (sent(GOOD, CHUNKED), 400, "no Transfer-Encoding beside it"),
    "coding and length": (POST + b"Content-Length: 15\r\nTransfer-Encoding: identity\r\n\r\n" + GOOD, 400, "beside it"),
    "chunks": (POST + CHUNKED + b"\r\nf\r\n" + GOOD + b"\r\n0\r\n\r\n", 411, "chunked is not supported"),
    "chunks to a GET": (GET + CHUNKED + b"\r\n0\r\n\r\n", 411, "chunked is not supported"),
    "gzip": (sent(GOOD, b"Content-Encoding: gzip\r\n"), 415, "Content-Encoding is not supported"),
    "another expectation": (sent(GOOD, b"Expect: the-best\r\n"), 417, "the-best is not supported"),
    "too much is expected": (POST + b"Expect: 100-continue\r\nContent-Length: 999999999\r\n\r\n", 413, "is larger"),
    "a body cut short": (POST + b"Content-Length: 100\r\n\r\n{", 400, "ended after 1 of 100 bytes"),
    "headers cut short": (POST + b"Content-Le", 400, "NAME: VALUE"),
    # JSON
    "no JSON": (sent(b"{"), 400, "JSON Parse error"),
    "nothing": (sent(b""), 400, "JSON Parse error"),
    "a BOM": (sent(b"\xef\xbb\xbf" + GOOD), 400, "JSON Parse error"),
    "UTF-16": (sent(GOOD.decode().encode("utf-16")), 400, "JSON Parse error"),
    "a surrogate in UTF-8": (sent(b'{"inputs": ["\xed\xa0\x80"]}'), 400, "JSON Parse error"),
    "100,000 deep": (sent(b"[" * 100_000), 400, "JSON Parse error"),
    "900 deep": (sent(b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}"), 400, "at most 64 deep"),
    "900 deep text": (asked("odd", "text", b"[" * 900 + b"]" * 900), 400, ""),
    "5000 digits": (sent(b'{"inputs": [' + b"9" * 5000 + b"]}"), 400, "JSON Parse error"),
    **{name: (asked("toy", "decode", b"[[0, 0, 0, %s]]" % name.encode()), 400, f"{name}: JSON has no NaN or infinity")
       for name in ("NaN", "Infinity", "-Infinity")},
    "NaN that is not asked for": (sent(b'{"inputs": [0], "more": NaN}'), 400, "JSON has no NaN"),
    "beyond float64": (asked("toy", "decode", b"[[0, 0, 0, 1e400]]"), 400, "numbers that float32 can hold"),
    "beyond float32": (asked("toy", "decode", b"[[0, 0, 0, -1e39]]"), 400, "numbers that float32 can hold"),
    "a long string among numbers": (asked("toy", "sample", WIDE), 400, "expected numbers"),
    "a lone surrogate": (asked("odd", "text", b'["\\ud800"]'), 400, "surrogates not allowed"),
    "no base64": (asked("odd", "text", b'[{"b64": "!"}]'), 400, "is no tensor of string"),
    "a signature of surrogates": (asked("toy", "\\ud800", b"[0]"), 400, "not found"),
    # outputs
    "log of -1": (asked("odd", "logs", b"[1, 2, -1]"), 400, 'Output "log" is not finite, first in row 2'),
    "log of 0": (asked("odd", "logs", b"[1, 0]", "instances"), 400, 'Output "log" is not finite, first in row 1'),
    "a sum that overflows": (asked("odd", "total", b"[3e38, 3e38]"), 400, 'Output "total" is not finite: '),
    "a sum in rows": (asked("odd", "total", b"[1, 2]", "instances"), 400, "cannot be told in rows"),
    "text that is binary": (asked("odd", "text", b'[{"b64": "/w=="}]'), 400, "is binary"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_request_is_refused_with_a_reason(server, case, caplog):
    content, status, text = HOSTILE[case]
    ((found, answer),) = answers(server, content)
    assert (found, list(answer)) == (status, ["error"])
    assert text in answer["error"]
    assert not caplog.records
    assert answers(server, sent(GOOD))[0][0] == 200


def test_a_refusal_arrives_though_the_client_goes_on_sending(server):
    """Closing a connection with bytes unread resets it, and what was answered is lost."""
    body = b"x" * 2**22
    for content in (sent(body, b"Content-Encoding: gzip\r\n"), b"GET /" + body):
        assert answers(server, content, close=False)[0][0] in (414, 415)


def test_nothing_of_a_body_is_taken_for_the_next_request(server):
    hidden = b"GET /v1/models/other HTTP/1.1\r\n\r\n"
    assert [status for status, _ in answers(server, sent(hidden, first=GET) + GET + b"\r\n")] == [200, 200]
    assert [status for status, _ in answers(server, sent(GOOD) + sent(GOOD) + sent(b"{") + sent(GOOD))] == [
        200,
        200,
        400,
    ]
    assert [status for status, _ in answers(server, sent(GOOD, CHUNKED) + hidden)] == [400]


def test_a_client_that_waits_to_be_told_to_go_on_is_told(server):
    assert [s for s, _ in answers(server, sent(GOOD, b"Expect: 100-continue\r\n"))] == [100, 200]
    assert [s for s, _ in answers(server, sent(GOOD, b"Expect: 100-continue\r\n").replace(b"1.1", b"1.0"))] == [200]


def test_head_is_answered_without_a_body(server):
    assert answers(server, GET.replace(b"GET", b"HEAD") + b"\r\n", close=False) == [(405, None)]


def test_a_body_that_does_not_come_is_waited_for_no_longer_than_a_while(server, monkeypatch):
    monkeypatch.setattr(rest.Handler, "timeout", 0.2)
    ((status, answer),) = answers(server, POST + b"Content-Length: 100\r\n\r\n{", close=False)
    assert (status, answer["error"]) == (408, "No byte of the body came for 0.2 s.")


def test_types_that_numpy_has_not_are_numbers_in_json(server):
    assert answers(server, asked("odd", "half", b"[0.5, 3]")) == [(200, {"outputs": [0.5, 3.0]})]


def test_a_target_may_name_the_host_and_quote(server):
    for target in (
        b"http://any/v1/models/toy?x=%zz",
        b"/v1/models/%74oy",
        b"//v1/models/toy",
        b"/v1/models/toy/versions/01",
    ):
        assert answers(server, GET.replace(b"/v1/models/toy", target) + b"\r\n")[0][0] == 200


PIECES = (
    b"\r\n", b"\0", b"%", b" ", b":", b"[", b"{", b'"', b"-", b"\xff", b"HTTP/1.1", b"http://[", b"/versions/", CHUNKED,
    b"Content-Length: 3\r\n", b"null", b"NaN", b"1e999", b"9" * 20, b"[[[", b"\\ud800", b'{"b64": 1}',
)  # fmt: skip


def mutated(rng, content):
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(content) + 1))
        until = at + int(rng.integers(12))
        piece = PIECES[rng.integers(len(PIECES))]
        content = [
            content[:at] + piece + content[at:],
            content[:at] + content[until:],
            content[:at] + bytes(rng.integers(256, size=2, dtype=np.uint8)) + content[at + 2 :],
            content[:until] + content[at:],
            content[: max(at, 1)],
        ][rng.integers(5)]
    return content


def test_requests_changed_at_random_are_answered_with_less_than_500(server, caplog):
    rng = np.random.default_rng(0)
    bases = [
        GET + b"\r\n",
        sent(GOOD),
        asked("toy", "score", json.dumps(toy_model.images(1).tolist()).encode()),
        asked("odd", "logs", b'{"x": [1, 2]}'),
        asked("odd", "text", b'[{"b64": "AAAA"}, "a"]', "instances"),
    ]
    seen = set()
    for i in range(400):
        content = mutated(rng, bases[i % len(bases)])
        found = answers(server, content)
        assert found or not content.strip(), content
        assert all(status < 500 or status in (501, 505) for status, _ in found), (content, found)
        seen |= {status for status, _ in found}
    assert seen >= {200, 400, 404}  # else nothing was changed, or all was beyond recognition
    assert not caplog.records


def test_messages_changed_at_random_are_answered_over_grpc(server):
    rng = np.random.default_rng(1)
    requests = [
        servers.request("score", image=toy_model.images(1)).SerializeToString(),
        servers.request("logs", "odd", x=np.float32([1, 2])).SerializeToString(),
        servers.request("text", "odd", x=np.array([b"a", b"b"])).SerializeToString(),
    ]
    codes = set()
    with server.channel() as channel:
        ask = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        for i in range(200):
            content = mutated(rng, requests[i % len(requests)])
            try:
                predict_pb2.PredictRequest.FromString(content)
            except Exception:  # what gRPC itself answers
                continue
            try:
                ask(content, timeout=20)
            except grpc.RpcError as error:
                codes.add(error.code())
    assert codes == {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}


def test_a_text_in_any_script_reaches_a_client_of_grpc(server):
    """A status is a header of at most 8 KiB, in which each byte beyond ASCII takes three."""
    with server.channel() as channel, pytest.raises(grpc.RpcError) as caught:
        server.stubs(channel)[0].Predict(servers.request("sample", "\U0001f600" * 4000, seed=[0]), timeout=20)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert "Servable not found for request: Latest(\U0001f600" in caught.value.details()


def test_outputs_that_are_not_finite_are_refused_over_grpc_too(server):
    with server.channel() as channel, pytest.raises(grpc.RpcError, match='Output "log" is not finite, first in row 1'):
        server.stubs(channel)[0].Predict(servers.request("logs", "odd", x=np.float32([1, 0])), timeout=20)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        ([[[["a"] * 3]]], tf.float32),
        ([None], tf.float32),
        ([{}], tf.float32),
        ([1, [2]], tf.float32),
        ([10**400], tf.float32),
        ([2**63], tf.int64),
        ([-1], tf.uint8),
        ([1.0], tf.int32),
        ([True], tf.int32),
        ([1e6], tf.float16),
        ([3e38 * 2], tf.bfloat16),
        ([1], tf.string),
    ],
)
def test_json_that_is_no_tensor_of_its_dtype_is_refused(value, dtype):
    info = meta_graph_pb2.TensorInfo(dtype=dtype.as_datatype_enum)
    info.tensor_shape.CopyFrom(tf.TensorShape([None]).as_proto())
    with pytest.raises(ServingError, match=f'Input "x" is no tensor of {dtype.name}: '):
        tensors.from_json("x", value, info, 64)
