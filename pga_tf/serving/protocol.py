"""TensorFlow Serving's messages for a client that loads no TensorFlow, whose import takes seconds.

The packages of messages lie below `tensorflow` and need nothing of it but the name, so they are imported below an empty
package that stands in its place for that time.
"""

import contextlib
import importlib.util
import sys
import types

import numpy as np
from tensorboard.compat.proto import tensor_pb2
from tensorboard.util import tensor_util


@contextlib.contextmanager
def _messages_of_tensorflow():
    """Inside the block `tensorflow.core...` can be imported without TensorFlow; afterwards all is as it was."""
    if "tensorflow" in sys.modules:
        yield
        return
    empty = types.ModuleType("tensorflow")
    empty.__path__ = list(importlib.util.find_spec("tensorflow").submodule_search_locations)
    sys.modules["tensorflow"] = empty
    try:
        yield
    finally:
        # TensorFlow, where it is imported later, finds none of its parts there before it.
        for name in [name for name in sys.modules if name == "tensorflow" or name.startswith("tensorflow.")]:
            del sys.modules[name]


with _messages_of_tensorflow():
    from tensorflow.core.framework import types_pb2
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

__all__ = [
    "array",
    "dtype",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "model_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_service_pb2_grpc",
    "write_array",
]


def dtype(number):
    """NumPy's dtype of a `DataType`, object for strings. Raises `TypeError` for one that NumPy does not have."""
    name = types_pb2.DataType.Name(number).removeprefix("DT_").lower()
    known = {"float": "float32", "double": "float64", "half": "float16", "string": "object"}
    return np.dtype(known.get(name, name))


def write_array(message, values):
    """Writes an array of numbers, or of bytes, into a `TensorProto`."""
    # TensorBoard's copy of the message has another name and the same form.
    message.ParseFromString(tensor_util.make_tensor_proto(values).SerializeToString())


def array(message):
    """The array of a `TensorProto`; strings as bytes in an object array."""
    copy = tensor_pb2.TensorProto.FromString(message.SerializeToString())
    return tensor_util.make_ndarray(copy)
