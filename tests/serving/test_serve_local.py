"""What a server answers to whatever clients send: TensorFlow Serving where it is installed, else the local one."""

import base64
import io
import socket
import struct

import grpc
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    regression_pb2,
)

from tests.serving import servers, toy_model
from tests.serving.servers import http, request

CODE = grpc.StatusCode
LOCAL_ONLY = pytest.mark.skipif(bool(servers.REAL), reason="TensorFlow Serving does this in another way")
X = np.full([1, 8, 8, 1], 0.5, np.float32)


@pytest.fixture(scope="module")
def stubs(server):
    with server.channel() as channel:
        yield server.stubs(channel)


def answered(stubs):
    response = stubs[0].Predict(request("encode", image=X), timeout=60)
    return tf.make_ndarray(response.outputs["z"]).shape == (1, 4)


def proto(shape, dtype=tf.float32, **values):
    made = tensor_pb2.TensorProto(dtype=dtype.as_datatype_enum, **values)
    made.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    return made


def with_pixel(value):
    image = X.copy()
    image[0, 3, 4, 0] = value
    return image


BAD = {
    "NaN": (request("encode", image=with_pixel(np.nan)), "NaN or infinity"),
    "infinite": (request("decode", z=np.float32([[1, np.inf, 0, 0]])), "NaN or infinity"),
    "above 1": (request("score", image=with_pixel(1.01)), "outside"),
    "below 0": (request("reconstruct", image=with_pixel(-0.01)), "outside"),
    "t above 1": (request("interpolate", image_a=X, image_b=X, t=np.float32([1.5])), "outside"),
    "rank": (request("encode", image=X[0]), ""),
    "width": (request("encode", image=np.zeros([1, 8, 9, 1], np.float32)), ""),
    "dtype": (request("encode", image=np.zeros([1, 8, 8, 1], np.float64)), ""),
    "seed as int32": (request("sample", seed=np.zeros([1], np.int32)), ""),
    "missing": (request("interpolate", image_a=X, image_b=X), "Missing but required: {t}"),
    "extra": (request("encode", image=X, more=X), "Sent extra: {more}"),
    "content too short": (request("decode", z=proto([1, 4], tensor_content=b"abc")), ""),
    "content too long": (request("decode", z=proto([1, 4], tensor_content=b"\0" * 64)), ""),
    "no dtype": (request("decode", z=tensor_pb2.TensorProto()), ""),
}
BAD_LOCALLY = {
    "signature": (request("dream", image=X), 'Serving signature key "dream" not found'),
    "lengths": (request("interpolate", image_a=X, image_b=X, t=np.float32([0, 1])), "equal 0th-dimension"),
    "rows": (request("sample", seed=np.arange(65)), "Task size 65 is larger than maximum input batch size 64"),
    "huge": (request("decode", z=proto([2**40, 4], float_val=[1.0])), "larger than maximum"),
    "unknown dtype": (request("decode", z=tensor_pb2.TensorProto(dtype=9999)), "type number 9999"),
    "negative size": (request("decode", z=proto([None, 4], float_val=[1.0])), "no definite shape"),
    "too many values": (request("decode", z=proto([1, 4], float_val=[1.0] * 9)), "do not fill"),
    "output": (request("decode", z=np.zeros([1, 4], np.float32)), "not found in signature: dreams"),
}
BAD_LOCALLY["output"][0].output_filter.append("dreams")


def refused(stubs, bad, text):
    with pytest.raises(grpc.RpcError) as caught:
        stubs[0].Predict(bad, timeout=60)
    assert caught.value.code() is CODE.INVALID_ARGUMENT, caught.value
    assert text in caught.value.details()
    assert answered(stubs)


@pytest.mark.parametrize("case", BAD)
def test_bad_values_are_invalid_and_leave_the_server_up(stubs, case):
    refused(stubs, *BAD[case])


@LOCAL_ONLY
@pytest.mark.parametrize("case", BAD_LOCALLY)
def test_bad_requests_are_invalid_and_leave_the_server_up(stubs, case):
    refused(stubs, *BAD_LOCALLY[case])


def test_a_graphs_refusal_is_told_without_its_trace(stubs):
    with pytest.raises(grpc.RpcError) as caught:
        stubs[0].Predict(BAD["NaN"][0], timeout=60)
    assert len(caught.value.details()) < 2100
    if not servers.REAL:
        assert caught.value.details() == "assertion failed: [image holds NaN or infinity]"


@pytest.mark.parametrize("signature", [*toy_model.INPUTS, ""])
def test_a_batch_of_none_is_answered(stubs, signature):
    specs = toy_model.INPUTS[signature or "sample"]
    inputs = {n: np.zeros([0, *shape[1:]], dtype.as_numpy_dtype) for n, (shape, dtype) in specs.items()}
    response = stubs[0].Predict(request(signature, **inputs), timeout=60)
    assert {tf.make_ndarray(value).shape[0] for value in response.outputs.values()} == {0}
    assert response.model_spec.signature_name == (signature or "serving_default")


def test_a_sample_depends_on_its_seed_alone(stubs):
    ask = lambda seeds: tf.make_ndarray(
        stubs[0].Predict(request("sample", seed=np.int64(seeds)), timeout=60).outputs["image"]
    )
    together = ask([5, 2**62, -7, 5])
    np.testing.assert_array_equal(together[0], together[3])
    for i, seed in enumerate([5, 2**62, -7]):
        np.testing.assert_allclose(ask([seed])[0], together[i], atol=1e-5)
    assert np.abs(together[0] - together[1]).max() > 0.01


def test_png_bytes_hold_the_pixels_of_the_sample(stubs):
    seeds = np.arange(3)
    pngs = stubs[0].Predict(request("sample_png", seed=seeds), timeout=60).outputs["png_bytes"].string_val
    images = tf.make_ndarray(stubs[0].Predict(request("sample", seed=seeds), timeout=60).outputs["image"])
    for png, image in zip(pngs, images, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), np.round(255 * image[..., 0]))


def test_an_output_filter_chooses(stubs):
    asked = request("score", image=X)
    asked.output_filter.append("log_prior")
    assert list(stubs[0].Predict(asked, timeout=60).outputs) == ["log_prior"]


def test_metadata_are_the_saved_models_signatures(server, stubs):
    asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    asked.model_spec.name = "toy"
    response = stubs[0].GetModelMetadata(asked, timeout=60)
    assert response.model_spec.version.value == 2
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert response.metadata["signature_def"].Unpack(signatures)
    for name, specs in toy_model.INPUTS.items():
        for key, (shape, dtype) in specs.items():
            info = signatures.signature_def[name].inputs[key]
            assert tf.TensorShape(info.tensor_shape).as_list() == shape
            assert info.dtype == dtype.as_datatype_enum


@pytest.mark.parametrize("version", [None, 1, 9])
def test_status_of_all_versions_or_one(stubs, version):
    asked = get_model_status_pb2.GetModelStatusRequest()
    asked.model_spec.name = "toy"
    if version is not None:
        asked.model_spec.version.value = version
    if version == 9:
        with pytest.raises(grpc.RpcError, match="Could not find version 9 of model toy") as caught:
            stubs[1].GetModelStatus(asked, timeout=60)
        assert caught.value.code() is CODE.NOT_FOUND
        return
    found = {(entry.version, entry.state) for entry in stubs[1].GetModelStatus(asked, timeout=60).model_version_status}
    available = get_model_status_pb2.ModelVersionStatus.AVAILABLE
    assert found == {(v, available) for v in ([2, 1] if version is None else [version])}


@LOCAL_ONLY
@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("Classify", classification_pb2.ClassificationRequest()),
        ("Regress", regression_pb2.RegressionRequest()),
        ("MultiInference", inference_pb2.MultiInferenceRequest()),
    ],
)
def test_other_inference_is_unimplemented(stubs, method, asked):
    with pytest.raises(grpc.RpcError, match="use Predict") as caught:
        getattr(stubs[0], method)(asked, timeout=60)
    assert caught.value.code() is CODE.UNIMPLEMENTED


def test_rest_takes_columns_and_rows(server, loaded):
    z = np.float32([[1, 2, 3, 4], [0, 0, 0, 0]])
    wanted = loaded[2].signatures["decode"](z=z)["image"]
    for content, key in (
        ({"inputs": {"z": z.tolist()}}, "outputs"),
        ({"inputs": z.tolist()}, "outputs"),
        ({"instances": z.tolist()}, "predictions"),
        ({"instances": [{"z": row} for row in z.tolist()]}, "predictions"),
    ):
        status, answer = http(server, "toy:predict", {"signature_name": "decode", **content})
        assert (status, list(answer)) == (200, [key])
        np.testing.assert_allclose(answer[key], wanted, atol=1e-6)
    _, answer = http(server, "toy/versions/1:predict", {"signature_name": "score", "instances": X.tolist()})
    assert answer["predictions"][0].keys() == {"reconstruction_error", "log_prior"}


@pytest.mark.parametrize(
    ("path", "content", "status", "text"),
    [
        ("toyy:predict", {"inputs": [0]}, 404, "Servable not found for request: Latest(toyy)"),
        ("toy/versions/9:predict", {"inputs": [0]}, 404, "Specific(toy, 9)"),
        ("toy/labels/beta:predict", {"inputs": [0]}, 400, "Unrecognized servable version label: beta"),
        ("toyy", None, 404, "Could not find any versions of model toyy"),
        ("toy:predict", b"{", 400, ""),
        ("toy:predict", b"[" * 100_000, 400, ""),
        ("toy:predict", b"\xff\xfe", 400, ""),
        ("toy:predict", {"inputs": [0], "instances": [0]}, 400, ""),
        ("toy:predict", [1], 400, ""),
        ("toy:predict", {"inputs": [[0, 1], [2]]}, 400, ""),
        ("toy:predict", {"inputs": ["x"]}, 400, ""),
        ("toy:predict", {"inputs": [0.5]}, 400, ""),
        ("toy:predict", {"inputs": [2**70]}, 400, ""),
        ("toy:predict", {"inputs": {"seed": [0], "x": [0]}}, 400, "Sent extra: {x}"),
        ("toy:predict", b'{"signature_name": "decode", "inputs": [[0, 0, 0, NaN]]}', 400, "NaN or infinity"),
        ("toy:predict", {"signature_name": "decode", "inputs": [[0, 0, 0, 1e39]]}, 400, ""),
        ("toy:predict", {"signature_name": "decode", "inputs": [[0, 0, 0]]}, 400, ""),
        ("toy:predict", {"signature_name": "dream", "inputs": [[0, 0, 0]]}, 400, ""),
        ("toy:predict", {"signature_name": 3, "inputs": [0]}, 400, ""),
    ],
)  # fmt: skip
def test_rest_errors_have_a_status_and_a_text(server, path, content, status, text):
    found, answer = http(server, path, content)
    assert (found, list(answer)) == (status, ["error"])
    assert text in answer["error"]
    assert http(server, "toy:predict", {"inputs": [0]})[0] == 200


def test_rest_gives_pictures_as_base64(server, loaded):
    status, answer = http(server, "toy/versions/1:predict", {"signature_name": "sample_png", "inputs": [0, 5]})
    assert status == 200
    image = loaded[1].signatures["sample"](seed=tf.constant([0, 5], tf.int64))["image"].numpy()
    shown = [np.asarray(Image.open(io.BytesIO(base64.b64decode(entry["b64"])))) for entry in answer["outputs"]]
    np.testing.assert_array_equal(shown, np.round(255 * image[..., 0]))


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01",  # TLS
        b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{",
        b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n{}",
        b"POST /v1/models/toy:predict HTTP/1.1\r\nContent-Length: -1\r\n\r\n{}",
        b"POST /v1/models/toy:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n",
        b"GET /" + b"a" * 100_000,
        b"DELETE /v1/models/toy HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\0" * 5000,
    ],
    ids=lambda sent: sent[:20],
)
@pytest.mark.parametrize("port", ["grpc", "rest"])
def test_no_bytes_on_a_port_take_the_server_down(server, stubs, port, sent):
    host, number = getattr(server, port).split(":")
    with socket.create_connection((host, int(number)), timeout=10) as client:
        client.sendall(sent)
        # Closed with a reset, as a killed client's connection is when it has unread data.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert answered(stubs)
    assert http(server, "toy")[0] == 200
