"""The REST surface of TensorFlow Serving: predict, status and metadata over a `Catalogue`.

What is no request that this server can read is refused with a 4xx status and a reason, and the connection closed.
"""

import contextlib
import http.server
import json
import re
import socket
import time
import urllib.parse

import grpc
from absl import logging
from google.protobuf import json_format
from tensorflow_serving.apis import model_pb2

from pga_tf.serving.local import errors, tensors

MAX_BODY = 2**28  # bytes
IDLE_SECONDS = 60  # a connection that sends nothing for so long is closed
LINGER_SECONDS = 2  # in which a client that was refused may still send
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(_MODEL + r":(?P<method>predict|classify|regress)")
_STATUS = re.compile(_MODEL + r"(?P<metadata>/metadata)?")


class Refused(Exception):
    """A request that HTTP itself has a `status` for, and gRPC no code."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status, self.text = status, text


class Handler(http.server.BaseHTTPRequestHandler):
    catalogue = None  # set by `handler_for`
    protocol_version = "HTTP/1.1"
    default_request_version = "HTTP/1.0"  # of a line that says none: HTTP/0.9 would be answered without a status
    timeout = IDLE_SECONDS
    command, requestline, request_version = "", "", ""  # until the first line is read
    refused = False

    def do_GET(self):
        self._answer(self._get)

    def do_POST(self):
        self._answer(self._post)

    def _not_allowed(self):
        self.send_error(405, f"{self.command} is not allowed; use GET or POST.")

    do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_PUT = _not_allowed

    def log_message(self, format, *args):
        pass  # a line for each request is no help

    def parse_request(self):
        words = self.raw_requestline.split()
        if len(words) != 3 or words[2] == b"HTTP/0.9":  # some of which the base class drops, or answers as HTTP/0.9
            self.send_error(400, "Expected METHOD TARGET HTTP/1.1 in the first line.")
            return False
        return super().parse_request()

    def handle_expect_100(self):
        return True  # `_body` says to go on, once it knows that it would take the body

    def send_error(self, code, message=None, explain=None):
        """The base class's refusals, as JSON."""
        self._refuse(code, message or self.responses[code][0])

    def finish(self):
        super().finish()
        if self.refused:
            _drain(self.connection)

    def _answer(self, method):
        try:
            body = self._body()
            status, text = 200, json.dumps(method(self._path(), body), allow_nan=False)
        except ConnectionError:
            raise  # the client has gone: there is nobody to answer
        except Refused as error:
            self._refuse(error.status, error.text)
        except Exception as error:  # whatever a request did
            found = errors.of(error)
            status = errors.HTTP.get(found.code, 500)
            if status == 500:
                logging.exception("%s failed", self.path)
            self._refuse(status, found.text)
        else:
            self._send(status, text)

    def _refuse(self, status, text):
        self.refused = self.close_connection = True  # what follows of the request may not have been read
        self._send(status, json.dumps({"error": text}))

    def _send(self, status, text):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == 405:
            self.send_header("Allow", "GET, POST")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _path(self):
        if not re.fullmatch("[!-~]+", self.path):
            raise errors.invalid(f"Malformed request target: {self.path!r}: expected printable ASCII")
        try:
            return urllib.parse.urlsplit(self.path).path
        except ValueError as error:
            raise errors.invalid(f"Malformed request target: {self.path!r}: {error}") from error

    def _get(self, path, _):
        found = _STATUS.fullmatch(path)
        if not found:
            raise errors.not_found(f"Malformed request: GET {self.path}")
        spec = _spec(found)
        if not found["metadata"]:
            return _dict(self.catalogue.status(spec))
        servable = self.catalogue.find(spec)
        served = {"name": servable.name, "signature_name": "", "version": str(servable.version)}
        return {"model_spec": served, "metadata": {"signature_def": _dict(servable.signature_defs)}}

    def _post(self, path, body):
        found = _PREDICT.fullmatch(path)
        if not found:
            raise errors.not_found(f"Malformed request: POST {self.path}")
        if found["method"] != "predict":
            text = f"{found['method']} is not implemented; use predict."
            raise errors.ServingError(grpc.StatusCode.UNIMPLEMENTED, text)
        try:
            request = json.loads(body.decode(), parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            raise errors.invalid(f"JSON Parse error: {error}") from error
        return _predict(self.catalogue.find(_spec(found)), request)

    def _body(self):
        """The body, to its end, of GET too: what is left of it would be taken for the next request.

        Raises `Refused` for a request of which it is not certain where it ends, and for encodings.
        """
        if self.headers.defects or self.headers.get_payload():  # a proxy may see other headers in it
            raise Refused(400, "Malformed header: expected NAME: VALUE in every line.")
        length, coding = (self.headers.get_all(name, []) for name in ("Content-Length", "Transfer-Encoding"))
        if len(length) + len(coding) > 1:
            raise Refused(400, "Expected one Content-Length, and no Transfer-Encoding beside it.")
        if coding:
            raise Refused(411, f"Transfer-Encoding: {coding[0]} is not supported; send a Content-Length.")
        if self.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
            raise Refused(415, "Content-Encoding is not supported; send the JSON as it is.")
        if not length and self.command == "POST":
            raise Refused(411, "Expected a body with a Content-Length.")
        count = _bytes(length[0]) if length else 0
        expect = self.headers.get("Expect", "").lower()
        if expect not in ("", "100-continue"):
            raise Refused(417, f"Expect: {expect} is not supported.")
        if expect and self.request_version != "HTTP/1.0":
            super().handle_expect_100()
        try:
            body = self.rfile.read(count)
        except TimeoutError as error:
            raise Refused(408, f"No byte of the body came for {self.timeout} s.") from error
        if len(body) < count:
            raise Refused(400, f"The body ended after {len(body)} of {count} bytes.")
        return body


def _bytes(text):
    """What Content-Length says. Raises `Refused` for no number, or one that is too large."""
    if not re.fullmatch("[0-9]+", text.strip()):
        raise Refused(400, f"Content-Length: expected a number of bytes, received {text[:80]!r}.")
    digits = text.strip().lstrip("0")
    if len(digits) > len(str(MAX_BODY)) or int(digits or 0) > MAX_BODY:
        raise Refused(413, f"A body of {digits[:20]} bytes is larger than {MAX_BODY}.")
    return int(digits or 0)


def _no_constant(name):
    raise ValueError(f"{name}: JSON has no NaN or infinity")


def _drain(connection):
    """Reads what a refused client still sends: a close on unread bytes resets the connection, and takes the answer."""
    deadline = time.monotonic() + LINGER_SECONDS
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(2**16):
                return


def handler_for(catalogue):
    return type("BoundHandler", (Handler,), {"catalogue": catalogue})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # connections that wait to be accepted; the default of 5 resets bursts of clients

    def handle_error(self, request, client_address):
        logging.debug("a client at %s left", client_address, exc_info=True)


def _spec(found):
    spec = model_pb2.ModelSpec(name=_unquoted(found["name"]))
    if found["version"]:
        digits = found["version"].lstrip("0") or "0"
        if len(digits) > 19 or int(digits) >= 2**63:
            raise errors.invalid(f"Version {digits[:20]} is no integer of 64 bits.")
        spec.version.value = int(digits)
    if found["label"]:
        spec.version_label = _unquoted(found["label"])
    return spec


def _unquoted(text):
    try:
        if re.search("%(?![0-9A-Fa-f]{2})", text):
            raise ValueError("expected two hexadecimal digits after %")
        return urllib.parse.unquote(text, errors="strict")
    except ValueError as error:
        raise errors.invalid(f"Malformed request target: {text!r}: {error}") from error


def _dict(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _predict(servable, request):
    """Answers a request in columns (`inputs`, `outputs`) or in rows (`instances`, `predictions`)."""
    if not isinstance(request, dict) or ("inputs" in request) == ("instances" in request):
        raise errors.invalid('Expected a JSON object with either "inputs" or "instances".')
    name = request.get("signature_name", "")
    if not isinstance(name, str):
        raise errors.invalid('"signature_name" must be a string.')
    names = servable.input_names(name)
    in_rows = "instances" in request
    values = _columns(request["instances"]) if in_rows else request["inputs"]
    if not isinstance(values, dict) or values.keys() == {"b64"}:
        if len(names) > 1:
            raise errors.invalid(f"Expected an object with the inputs {', '.join(sorted(names))}.")
        values = {names[0] if names else "": values}
    outputs = servable.predict(name, values, tensors.from_json)
    answer = {key: tensors.to_json(key, array) for key, array in outputs.items()}
    if not in_rows:
        return {"outputs": next(iter(answer.values())) if len(answer) == 1 else answer}
    lengths = {array.shape[0] if array.ndim else None for array in outputs.values()}
    if len(lengths) != 1 or None in lengths:
        raise errors.invalid('The outputs cannot be told in rows; ask with "inputs".')
    if len(answer) == 1:
        return {"predictions": next(iter(answer.values()))}
    return {"predictions": [dict(zip(answer, row, strict=True)) for row in zip(*answer.values(), strict=True)]}


def _columns(rows):
    """A list of objects as an object of lists; a list of plain values stays as it is."""
    if not isinstance(rows, list):
        raise errors.invalid('"instances" must be a list.')
    if not rows or not isinstance(rows[0], dict) or rows[0].keys() == {"b64"}:
        return rows
    if any(not isinstance(row, dict) or row.keys() != rows[0].keys() for row in rows):
        raise errors.invalid("Every instance must have the same inputs.")
    return {key: [row[key] for row in rows] for key in rows[0]}
