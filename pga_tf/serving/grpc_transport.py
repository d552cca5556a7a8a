"""TensorFlow Serving's gRPC API as seen by a client."""

import grpc

from pga_tf.serving import protocol
from pga_tf.serving.transport import MAX_MESSAGE, TransportError

OPTIONS = (
    ("grpc.max_send_message_length", MAX_MESSAGE),
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    # Left to itself a channel waits a second after a refused connection, whatever our own pauses are.
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 500),
    ("grpc.enable_http_proxy", 0),  # a model server is reached directly
)


class GrpcTransport:
    """One channel to one model; safe to use from several threads. Calls raise `TransportError`."""

    def __init__(self, address):
        self._address = address
        self._channel = grpc.insecure_channel(address.target, options=OPTIONS)
        self._prediction = protocol.prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._models = protocol.model_service_pb2_grpc.ModelServiceStub(self._channel)

    def close(self):
        self._channel.close()

    def metadata(self, timeout):
        """`SignatureDefMap` of the model."""
        request = protocol.get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._spec(), metadata_field=["signature_def"]
        )
        response = _call(self._prediction.GetModelMetadata, request, timeout)
        signatures = protocol.get_model_metadata_pb2.SignatureDefMap()
        response.metadata["signature_def"].Unpack(signatures)
        return signatures

    def status(self, timeout):
        """`GetModelStatusResponse` of the model."""
        request = protocol.get_model_status_pb2.GetModelStatusRequest(model_spec=self._spec())
        return _call(self._models.GetModelStatus, request, timeout)

    def predict(self, signature, inputs, outputs, timeout):
        """Arrays by output name, from arrays by input name. `outputs`: names of all outputs of the signature."""
        request = protocol.predict_pb2.PredictRequest(model_spec=self._spec(signature))
        for name, array in inputs.items():
            protocol.write_array(request.inputs[name], array)
        response = _call(self._prediction.Predict, request, timeout)
        try:
            return {name: protocol.array(response.outputs[name]) for name in outputs}
        except (TypeError, ValueError) as error:  # an output that is missing is a message without a type
            text = f"{self._address.target} answered what a model server would not: {error!r}"
            raise TransportError(grpc.StatusCode.INTERNAL, text) from error

    def _spec(self, signature=""):
        address = self._address
        spec = protocol.model_pb2.ModelSpec(name=address.model, signature_name=signature)
        if address.version is not None:
            spec.version.value = address.version
        if address.label is not None:
            spec.version_label = address.label
        return spec


def _call(method, request, timeout):
    try:
        return method(request, timeout=timeout)
    except grpc.RpcError as error:
        raise TransportError(error.code(), error.details() or "") from error
    except ValueError as error:  # what gRPC raises for a closed channel
        raise TransportError(grpc.StatusCode.CANCELLED, str(error)) from error
