"""The gRPC surfaces of TensorFlow Serving: PredictionService and ModelService over a `Catalogue`."""

import functools

import grpc
import tensorflow as tf
from absl import logging
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    model_management_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from pga_tf.core import checks
from pga_tf.serving.local import errors, policy, tensors

SIGNATURES = "signature_def"


def _answering(method):
    """Answers every exception with a status: no request may end the server, or go without an answer."""

    @functools.wraps(method)
    def answer(self, request, context):
        try:
            return method(self, request, context)
        except Exception as error:  # whatever a request did
            found = errors.of(error)
            if found.code is grpc.StatusCode.INTERNAL:
                logging.exception("%s failed", method.__name__)
        return context.abort(found.code, found.text)

    return answer


def _unserved(name):
    def method(self, request, context):
        context.abort(grpc.StatusCode.UNIMPLEMENTED, f"{name} is not implemented; use Predict.")

    return method


class PredictionService(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, catalogue):
        self._catalogue = catalogue

    @_answering
    def Predict(self, request, context):
        servable = self._catalogue.find(request.model_spec)
        if not context.is_active():  # it waited until its deadline passed or its client left
            raise errors.ServingError(grpc.StatusCode.CANCELLED, "the client has gone")
        name = request.model_spec.signature_name
        outputs = servable.predict(name, request.inputs, tensors.from_proto, request.output_filter)
        response = predict_pb2.PredictResponse()
        _describe(response.model_spec, servable, name or "serving_default")
        for key, array in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(array))
        return response

    @_answering
    def GetModelMetadata(self, request, context):
        if not request.metadata_field:
            raise errors.invalid("GetModelMetadataRequest must specify at least one metadata_field")
        for field in request.metadata_field:
            if field != SIGNATURES:
                raise errors.invalid(f"Metadata field {field} is not supported")
        servable = self._catalogue.find(request.model_spec)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        _describe(response.model_spec, servable)
        response.metadata[SIGNATURES].Pack(servable.signature_defs)
        return response

    Classify, Regress, MultiInference = map(_unserved, ("Classify", "Regress", "MultiInference"))


class ModelService(model_service_pb2_grpc.ModelServiceServicer):
    def __init__(self, catalogue):
        self._catalogue = catalogue

    @_answering
    def GetModelStatus(self, request, context):
        return self._catalogue.status(request.model_spec)

    @_answering
    def HandleReloadConfigRequest(self, request, context):
        """Answers when the models of the new configuration are loaded, or could not be.

        Whoever reaches the port may send one: it may choose among what lies in the model base, and name nothing else.
        """
        what = "ReloadConfigRequest.config"
        try:
            policy.validate(request.config, what)
            policy.require_below(request.config, self._catalogue.model_base, what)
        except checks.InputError as error:
            raise errors.invalid(str(error)) from error
        self._catalogue.configure(request.config)
        return model_management_pb2.ReloadConfigResponse(status={"error_code": 0})


def _describe(spec, servable, signature=""):
    spec.name, spec.signature_name = servable.name, signature
    spec.version.value = servable.version
