"""TensorFlow Serving's REST API as seen by a client, with the standard library alone."""

import base64
import http.client
import json
import time
import urllib.parse

import grpc
import numpy as np
from google.protobuf import json_format

from pga_tf.serving import protocol
from pga_tf.serving.transport import MAX_MESSAGE, TransportError

CHUNK = 2**16
CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class RestTransport:
    """Requests for one model, each over its own connection. Calls raise `TransportError`."""

    def __init__(self, address):
        self._target = address.target
        self._path = f"/v1/models/{urllib.parse.quote(address.model, safe='')}"
        if address.version is not None:
            self._path += f"/versions/{address.version}"
        elif address.label is not None:
            self._path += f"/labels/{urllib.parse.quote(address.label, safe='')}"

    def close(self):
        pass

    def metadata(self, timeout):
        """`SignatureDefMap` of the model."""
        answer = self._ask("GET", f"{self._path}/metadata", None, timeout)
        return _parsed(
            protocol.get_model_metadata_pb2.SignatureDefMap(), lambda: answer["metadata"]["signature_def"], self._target
        )

    def status(self, timeout):
        """`GetModelStatusResponse` of the model."""
        answer = self._ask("GET", self._path, None, timeout)
        return _parsed(protocol.get_model_status_pb2.GetModelStatusResponse(), lambda: answer, self._target)

    def predict(self, signature, inputs, outputs, timeout):
        """Arrays by output name, from arrays by input name. `outputs`: names of all outputs of the signature."""
        content = {"signature_name": signature, "inputs": {n: _to_json(array) for n, array in inputs.items()}}
        answer = self._ask("POST", f"{self._path}:predict", json.dumps(content).encode(), timeout)
        try:
            # The answer leaves out the name of one output.
            found = {outputs[0]: answer["outputs"]} if len(outputs) == 1 else answer["outputs"]
            return {name: _from_json(found[name]) for name in outputs}
        except (KeyError, TypeError, ValueError) as error:
            raise _foreign(self._target, error) from error

    def _ask(self, method, path, body, timeout):
        deadline = time.monotonic() + timeout
        connection = http.client.HTTPConnection(self._target, timeout=max(timeout, 1e-3))
        try:
            connection.connect()
            socket = connection.sock  # `connection` forgets it once the response has begun
            connection.request(method, path, body, {"Content-Type": "application/json", "Connection": "close"})
            response = connection.getresponse()
            return _content(response.status, _read(response, socket, deadline), self._target)
        except TimeoutError as error:
            text = f"no answer within {timeout:.3g} s"
            raise TransportError(grpc.StatusCode.DEADLINE_EXCEEDED, text) from error
        except http.client.RemoteDisconnected as error:
            raise TransportError(grpc.StatusCode.UNAVAILABLE, str(error)) from error
        except http.client.HTTPException as error:
            text = f"{self._target} does not speak HTTP: {type(error).__name__} {error}"
            raise TransportError(grpc.StatusCode.INTERNAL, text) from error
        except OSError as error:  # refused, reset, no such host
            raise TransportError(grpc.StatusCode.UNAVAILABLE, str(error)) from error
        finally:
            connection.close()


def _read(response, socket, deadline):
    """The whole body; a server that sends it in drops is not waited for longer than the deadline."""
    parts, size = [], 0
    while part := response.read1(CHUNK):
        parts.append(part)
        size += len(part)
        if size > MAX_MESSAGE:
            raise TransportError(grpc.StatusCode.RESOURCE_EXHAUSTED, f"an answer of more than {MAX_MESSAGE} bytes")
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        socket.settimeout(left)
    return b"".join(parts)


def _content(status, body, target):
    try:
        content = json.loads(body)
    except ValueError:
        content = None
    if status == 200 and isinstance(content, dict):
        return content
    if isinstance(content, dict) and "error" in content:
        text = str(content["error"])
    else:
        text = f"{target} answered {status} with {body[:80]!r}"
    raise TransportError(CODES.get(status, grpc.StatusCode.UNKNOWN), text)


def _parsed(message, take, target):
    try:
        return json_format.ParseDict(take(), message, ignore_unknown_fields=True)
    except (KeyError, TypeError, json_format.ParseError) as error:
        raise _foreign(target, error) from error


def _foreign(target, error):
    text = f"{target} answered what a model server would not: {error!r}"
    return TransportError(grpc.StatusCode.INTERNAL, text)


def _to_json(array):
    array = np.asarray(array)
    if array.dtype.kind in "OS":
        return [{"b64": base64.b64encode(value).decode()} for value in array.tolist()]
    return array.tolist()


def _from_json(value):
    """Numbers as float64 or int64; strings as bytes in an object array. Raises `ValueError` for anything else."""
    flat = value
    while isinstance(flat, list) and flat:
        flat = flat[0]
    if isinstance(flat, dict | str) and isinstance(value, list):
        decode = lambda v: base64.b64decode(v["b64"], validate=True) if isinstance(v, dict) else v.encode()
        return np.array([decode(v) for v in value], object)
    array = np.asarray(value)
    if array.dtype.kind not in "iufb":
        raise ValueError(f"expected numbers or strings, received {array.dtype.name}")
    return array
