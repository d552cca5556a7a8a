"""TensorFlow Serving's messages without TensorFlow: equal to what TensorFlow writes and reads."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2

from pga_tf.serving import protocol

ARRAYS = [
    np.arange(6, dtype=np.float32).reshape(2, 3),
    np.arange(3, dtype=np.int64) - 2**40,
    np.array([b"a", b"\xff\x00"], object),
    np.array([True, False]),
    np.zeros([0, 3], np.float32),
    np.float16([0.1, 2.0]),
    np.float64([[0.1]]),
    np.uint8([[255]]),
]


@pytest.mark.parametrize("values", ARRAYS, ids=lambda values: f"{values.dtype}{list(values.shape)}")
def test_arrays_are_those_of_tensorflow(values):
    message = predict_pb2.PredictRequest()
    protocol.write_array(message.inputs["x"], values)
    for found in (tf.make_ndarray(message.inputs["x"]), protocol.array(tf.make_tensor_proto(values))):
        assert (found.dtype, found.shape) == (values.dtype, values.shape)
        np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("kind", [tf.float32, tf.float64, tf.half, tf.bfloat16, tf.int64, tf.uint8, tf.bool, tf.string])
def test_types_are_those_of_tensorflow(kind):
    assert protocol.dtype(kind.as_datatype_enum) == np.dtype(kind.as_numpy_dtype)


def test_tensorflow_can_still_be_imported_and_reads_the_same_messages():
    code = """
import sys
from pga_tf.serving import protocol, remote
assert not {"tensorflow", "keras"} & set(sys.modules)
import numpy as np
message = protocol.predict_pb2.PredictRequest()
protocol.write_array(message.inputs["x"], np.float32([1, 2]))
import tensorflow as tf
from tensorflow.core.protobuf import meta_graph_pb2
assert tf.reduce_sum(tf.make_ndarray(message.inputs["x"])).numpy() == 3.0
tf.train.Checkpoint(v=tf.Variable(1.0))
import pga_tf.serving.export
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
