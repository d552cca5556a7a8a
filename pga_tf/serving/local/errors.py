"""Errors of a request: a gRPC status code and a text, which REST turns into its own status."""

import re

import grpc
import tensorflow as tf

HTTP = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.OUT_OF_RANGE: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
LONGEST = 2000  # bytes of a text: gRPC sends each as up to three in a header, of which a client takes 8 KiB
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_TRACE = re.compile(
    r"Graph execution error:\s*|Detected at node .*\n?|<stack traces unavailable>\s*"
    r"|\{\{function_node .*?\}\}\s*|\s*\[Op:\w+\] name:\s*"
)
_PLACE = re.compile(r"\s*\[\[\{\{node .*", re.DOTALL)


class ServingError(Exception):
    """A request that is answered with `code` (`grpc.StatusCode`) and `text`."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code
        line = " ".join(text.split())
        self.text = line.encode("utf-8", "backslashreplace")[:LONGEST].decode("utf-8", "ignore")


def invalid(text):
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, text)


def not_found(text):
    return ServingError(grpc.StatusCode.NOT_FOUND, text)


def of(error):
    """The `ServingError` for anything that was raised while a request was answered."""
    if isinstance(error, ServingError):
        return error
    if isinstance(error, tf.errors.OpError):  # its codes are gRPC's; its text is wrapped in places of the graph
        text = _PLACE.sub("", _TRACE.sub("", error.message)).strip()
        return ServingError(_CODES.get(error.error_code, grpc.StatusCode.UNKNOWN), text or error.message)
    if isinstance(error, MemoryError):
        return ServingError(grpc.StatusCode.RESOURCE_EXHAUSTED, "The server has no memory left for this request.")
    return ServingError(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")
