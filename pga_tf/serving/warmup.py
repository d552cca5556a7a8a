"""Requests that TensorFlow Serving replays before it serves a version, so that no user waits for the first run."""

import pathlib

import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

FILE = "assets.extra/tf_serving_warmup_requests"  # where the server looks


def write(folder, name, inputs, batches):
    """Writes a request of each signature for each batch size.

    Args:
      folder: of the version. name: of the model. inputs: dict of signature to dict of input name to array, of at least
        as many rows as the largest of `batches`.
    """
    path = pathlib.Path(folder) / FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, arrays in inputs.items():
            for batch in batches:
                writer.write(_log(name, signature, arrays, batch).SerializeToString())


def _log(name, signature, arrays, batch):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in arrays.items():
        rows = value[:batch]
        # It is shapes that are warmed up: of floats the first one, throughout, is a proto of one number.
        content = rows.flat[0] if rows.dtype.kind == "f" else rows
        request.inputs[key].CopyFrom(tf.make_tensor_proto(content, rows.dtype, rows.shape))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))
