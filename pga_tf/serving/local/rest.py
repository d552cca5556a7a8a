"""The REST surface of TensorFlow Serving: predict, status and metadata over a `Catalogue`."""

import http.server
import json
import re
import urllib.parse

import grpc
from absl import logging
from google.protobuf import json_format
from tensorflow_serving.apis import model_pb2

from pga_tf.serving.local import errors, tensors

MAX_BODY = 2**28  # bytes
IDLE_SECONDS = 60  # a connection that sends nothing for so long is closed
_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d{1,18})|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(_MODEL + r":(?P<method>predict|classify|regress)")
_STATUS = re.compile(_MODEL + r"(?P<metadata>/metadata)?")


class Handler(http.server.BaseHTTPRequestHandler):
    catalogue = None  # set by `handler_for`
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def do_GET(self):
        self._answer(self._get)

    def do_POST(self):
        self._answer(self._post)

    def log_message(self, format, *args):
        pass  # a line for each request is no help

    def _answer(self, method):
        try:
            status, content = 200, method()
        except (ConnectionError, TimeoutError):
            raise  # the client has gone: there is nobody to answer
        except Exception as error:  # whatever a request did
            found = errors.of(error)
            status, content = errors.HTTP.get(found.code, 500), {"error": found.text}
            self.close_connection = True  # its body may not have been read
            if status == 500:
                logging.exception("%s failed", self.path)
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _get(self):
        found = _STATUS.fullmatch(urllib.parse.urlsplit(self.path).path)
        if not found:
            raise errors.not_found(f"Malformed request: GET {self.path}")
        spec = _spec(found)
        if not found["metadata"]:
            return _dict(self.catalogue.status(spec))
        servable = self.catalogue.find(spec)
        served = {"name": servable.name, "signature_name": "", "version": str(servable.version)}
        return {"model_spec": served, "metadata": {"signature_def": _dict(servable.signature_defs)}}

    def _post(self):
        body = self._body()
        found = _PREDICT.fullmatch(urllib.parse.urlsplit(self.path).path)
        if not found:
            raise errors.not_found(f"Malformed request: POST {self.path}")
        if found["method"] != "predict":
            text = f"{found['method']} is not implemented; use predict."
            raise errors.ServingError(grpc.StatusCode.UNIMPLEMENTED, text)
        try:
            request = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise errors.invalid(f"JSON Parse error: {error}") from error
        return _predict(self.catalogue.find(_spec(found)), request)

    def _body(self):
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise errors.invalid("Expected a body with a Content-Length.")
        if int(length) > MAX_BODY:
            raise errors.invalid(f"Body of {length} bytes is larger than {MAX_BODY}.")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            raise ConnectionAbortedError("the client left in the middle of its request")
        return body


def handler_for(catalogue):
    return type("BoundHandler", (Handler,), {"catalogue": catalogue})


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # connections that wait to be accepted; the default of 5 resets bursts of clients

    def handle_error(self, request, client_address):
        logging.debug("a client at %s left", client_address, exc_info=True)


def _spec(found):
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(found["name"]))
    if found["version"]:
        spec.version.value = int(found["version"])
    if found["label"]:
        spec.version_label = urllib.parse.unquote(found["label"])
    return spec


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
