"""One loaded version of a model: its signatures, and how they are called."""

import itertools
import pathlib

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2

from pga_tf.serving import warmup
from pga_tf.serving.local import errors, tensors

MOST_WARMUP_RECORDS = 1000  # TensorFlow Serving refuses more
DEFAULT_SIGNATURE = "serving_default"


class Servable:
    """A SavedModel in memory. It lives as long as anyone holds it: a request ends on the version it began with."""

    def __init__(self, name, version, folder, max_batch):
        """Loads and warms up. Raises whatever TensorFlow raises for a broken SavedModel or warm-up record."""
        self.name, self.version, self._max_batch = name, version, max_batch
        self._loaded = tf.saved_model.load(str(folder))  # the functions below hold weak references to it
        self._functions = dict(self._loaded.signatures)
        self.signature_defs = _signature_defs(folder)
        self._signatures = dict(self.signature_defs.signature_def)
        self._warm_up(pathlib.Path(folder) / warmup.FILE)

    def input_names(self, signature_name):
        """Names of the inputs of a signature; empty if there is no such signature."""
        signature = self._signatures.get(signature_name or DEFAULT_SIGNATURE)
        return sorted(signature.inputs) if signature else []

    def predict(self, signature_name, inputs, decode, output_filter=()):
        """Outputs of a signature as arrays by name.

        Args:
          signature_name: empty for the default. inputs: dict of name to tensors as the client sent them.
          decode: `tensors.from_proto` or `tensors.from_json`. output_filter: names wanted; empty for all.

        Raises `ServingError`, also for outputs that are not finite, or `tf.errors.OpError` where the graph refuses a
        value.
        """
        key = signature_name or DEFAULT_SIGNATURE
        if key not in self._functions:
            raise errors.invalid(f'Serving signature key "{key}" not found.')
        signature = self._signatures[key]
        _require_names(inputs, signature.inputs)
        unknown = set(output_filter) - set(signature.outputs)
        if unknown:
            raise errors.invalid(f"output tensor alias not found in signature: {', '.join(sorted(unknown))}")
        arrays = {n: decode(n, value, signature.inputs[n], self._max_batch) for n, value in inputs.items()}
        sizes = {array.shape[0] for array in arrays.values() if array.ndim}
        if len(sizes) > 1:
            raise errors.invalid("Batching Run() input tensors must have equal 0th-dimension size")
        outputs = self._functions[key](**{n: tf.constant(array) for n, array in arrays.items()})
        wanted = {n: outputs[n].numpy() for n in signature.outputs if not output_filter or n in output_filter}
        for name, array in wanted.items():
            _require_finite(name, array)
        return wanted

    def _warm_up(self, path):
        if not path.is_file():
            return
        records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for count, record in enumerate(itertools.islice(records, MOST_WARMUP_RECORDS + 1)):
            if count == MOST_WARMUP_RECORDS:
                raise errors.invalid(f"Number of warmup records exceeds the maximum {MOST_WARMUP_RECORDS}: {path}")
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") != "predict_log":
                raise errors.invalid(f"{path}: record {count} is no predict_log")
            request = log.predict_log.request
            self.predict(request.model_spec.signature_name, request.inputs, tensors.from_proto)


def _signature_defs(folder):
    """`SignatureDefMap` of the meta graph tagged `serve`; `tf.saved_model.load` does not keep it."""
    saved = saved_model_pb2.SavedModel.FromString((pathlib.Path(folder) / "saved_model.pb").read_bytes())
    for graph in saved.meta_graphs:
        if "serve" in graph.meta_info_def.tags:
            return get_model_metadata_pb2.SignatureDefMap(signature_def=graph.signature_def)
    raise errors.not_found(f"Could not find meta graph def matching supplied tags: {{ serve }} in {folder}")


def _require_names(sent, wanted):
    sent, wanted = set(sent), set(wanted)
    if sent != wanted:
        listed = lambda names: "{" + ",".join(sorted(names)) + "}"
        raise errors.invalid(
            f"input size does not match signature: {len(sent)}!={len(wanted)} "
            f"len({listed(sent)}) != len({listed(wanted)}). "
            f"Sent extra: {listed(sent - wanted)}. Missing but required: {listed(wanted - sent)}."
        )


def _require_finite(name, array):
    if array.dtype != object and not np.isfinite(array).all():
        row = f", first in row {int(np.argwhere(~np.isfinite(array))[0][0])}" if array.ndim else ""
        raise errors.invalid(f'Output "{name}" is not finite{row}: the model has no answer to this input.')
