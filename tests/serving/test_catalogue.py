"""The local server's catalogue: policies, labels, versions that break, configurations that change.

In this process, without the seconds that another one takes to start.
"""

import base64
import gc
import pathlib
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import model_management_pb2, predict_pb2

from pga_tf.core.checks import InputError
from pga_tf.serving.local import errors, policy, tensors
from pga_tf.serving.local.server import Server
from tests.serving import servers, toy_model
from tests.serving.servers import http, request

CODE = grpc.StatusCode


@pytest.fixture(scope="module", autouse=True)
def _little_garbage_to_look_through():
    """A catalogue collects garbage after each load: in this process it need not look at all of TensorFlow each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def base(tmp_path):
    toy_model.write(tmp_path, "toy", 1)
    return tmp_path


def start(base, *entries, **values):
    (base / "models.config").write_text(toy_model.config("/models", *entries))
    values = {"poll_seconds": 0.05, "config_poll_seconds": 0.05} | values
    return Server(base / "models.config").start(**values)


def states(server, model="toy"):
    spec = predict_pb2.PredictRequest().model_spec
    spec.name = model
    found = server._catalogue.status(spec).model_version_status
    return {entry.version: type(entry).State.Name(entry.state) for entry in found}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", {5}),
        ("model_version_policy { latest {} }", {5}),
        ("model_version_policy { latest { num_versions: 2 } }", {3, 5}),
        ("model_version_policy { latest { num_versions: 9 } }", {1, 3, 5}),
        ("model_version_policy { all {} }", {1, 3, 5}),
        ("model_version_policy { specific { versions: 1 versions: 4 } }", {1}),
    ],
)
def test_policies_choose_versions(text, wanted):
    config = policy.parse(toy_model.config("/models", ("toy", text)), "test")
    assert policy.wanted(config.model_config_list.config[0], {1, 3, 5}) == wanted


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model_config_list {", "expected a text proto ModelServerConfig"),
        ("model_config_list { config { name: 'a' } }", "a name and a base_path for each model"),
        ("model_config_list { config { nam: 'a' } }", 'has no field named "nam"'),
        (toy_model.config("/models", ("a", ""), ("a", "")), "expected each name once, received a twice"),
        ("custom_model_config {}", "expected model_config_list, received custom_model_config"),
        ("", "expected model_config_list, received nothing"),
        (toy_model.config("/models", ("a", "")).replace("tensorflow", "other"), "received other"),
    ],
)
def test_a_wrong_configuration_is_refused(text, message, tmp_path):
    (tmp_path / "models.config").write_text(text)
    with pytest.raises(InputError, match=message):
        Server(tmp_path / "models.config")


def test_a_missing_configuration_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected a model base .*nowhere\.config.*Remedy: export a model"):
        Server(tmp_path / "nowhere.config")


def test_the_model_base_stands_for_the_containers(tmp_path):
    config = policy.parse(toy_model.config("/models", ("toy", "")), "test").model_config_list.config[0]
    assert policy.folder(config, tmp_path) == tmp_path / "toy"
    config.base_path = "elsewhere/toy"
    assert policy.folder(config, tmp_path) == pathlib.Path("elsewhere/toy")


def test_a_taken_port_is_refused(base):
    server = start(base, ("toy", ""))
    try:
        for values in ({"port": server.port}, {"rest_port": server.rest_port}):
            with pytest.raises(InputError, match=r"expected a free port.* Remedy: stop the other server"):
                Server(base / "models.config", **values).start()
    finally:
        server.stop()


def test_a_broken_version_keeps_the_old_one_and_is_loaded_once_it_is_mended(base, caplog):
    server = start(base, ("toy", ""))
    try:
        (base / "toy" / "3").mkdir()
        servers.wait_until(lambda: states(server).get(3) == "END")
        time.sleep(0.5)
        assert states(server) == {1: "AVAILABLE", 3: "END"}
        assert caplog.text.count("version 3 of model toy does not load") == 1  # not tried again while nothing changes
        good = toy_model.write(base, "other", 3)
        for path in good.iterdir():
            path.rename(base / "toy" / "3" / path.name)
        servers.wait_until(lambda: states(server) == {1: "END", 3: "AVAILABLE"})
    finally:
        server.stop()


@pytest.mark.parametrize("warmup", [("encode", {"image": np.full([1, 8, 8, 1], 2.0, np.float32)}), ("dream", {})])
def test_a_version_that_fails_its_warm_up_is_not_served(base, warmup):
    toy_model.write(base, "toy", 2, warmup=[warmup])
    server = start(base, ("toy", "model_version_policy { all {} }"))
    try:
        assert states(server) == {1: "AVAILABLE", 2: "END"}
    finally:
        server.stop()


def test_an_emptied_folder_keeps_what_is_loaded(base):
    server = start(base, ("toy", ""))
    try:
        (base / "toy").rename(base / "away")
        time.sleep(0.2)
        assert states(server) == {1: "AVAILABLE"}
    finally:
        server.stop()


def test_a_changed_configuration_moves_labels_and_a_wrong_one_changes_nothing(base):
    toy_model.write(base, "toy", 2, gain=3.0)
    both = "model_version_policy { all {} } "
    server = start(base, ("toy", both + 'version_labels { key: "stable" value: 1 }'))
    asked = request("decode", z=np.ones([1, 4], np.float32)).model_spec
    asked.version_label = "stable"
    try:
        assert server._catalogue.find(asked).version == 1
        for wrong in ("model_config_list {", ""):
            (base / "models.config").write_text(wrong)
            time.sleep(0.3)
            assert server._catalogue.find(asked).version == 1
        text = toy_model.config("/models", ("toy", both + 'version_labels { key: "stable" value: 2 }'))
        (base / "models.config").write_text(text)
        servers.wait_until(lambda: server._catalogue.find(asked).version == 2)
    finally:
        server.stop()


def test_a_configuration_sent_by_grpc_replaces_the_old_one(base):
    toy_model.write(base, "second", 1)
    server = start(base, ("toy", ""), config_poll_seconds=0)
    running = servers.Running(None, base, f"127.0.0.1:{server.port}", f"127.0.0.1:{server.rest_port}")
    try:
        with running.channel() as channel:
            _, models = running.stubs(channel)
            asked = model_management_pb2.ReloadConfigRequest()
            asked.config.CopyFrom(policy.parse(toy_model.config("/models", ("second", "")), "test"))
            assert models.HandleReloadConfigRequest(asked, timeout=60).status.error_code == 0
            assert states(server, "second") == {1: "AVAILABLE"}
            assert http(running, "toy")[0] == 404
            asked.config.model_config_list.config[0].base_path = ""
            with pytest.raises(grpc.RpcError, match="a name and a base_path") as caught:
                models.HandleReloadConfigRequest(asked, timeout=60)
            assert caught.value.code() is CODE.INVALID_ARGUMENT
            assert states(server, "second") == {1: "AVAILABLE"}
    finally:
        server.stop()


def test_a_model_whose_folder_changes_is_another_model(base):
    toy_model.write(base, "second", 1, gain=-1.0)
    server = start(base, ("toy", ""))
    spec = request("decode").model_spec
    old = server._catalogue.find(spec)
    try:
        config = policy.parse(toy_model.config("/models", ("toy", "")), "test")
        config.model_config_list.config[0].base_path = "/models/second"
        server._catalogue.configure(config)
        new = server._catalogue.find(spec)
        images = [
            found.predict("decode", {"z": tf.make_tensor_proto(np.ones([1, 4], np.float32))}, tensors.from_proto)[
                "image"
            ]
            for found in (old, new)  # the old one still answers whoever holds it
        ]
        np.testing.assert_allclose(images[0], 1.0 - images[1], atol=1e-5)
    finally:
        server.stop()


def test_binary_outputs_that_say_so_are_base64(tmp_path):
    values = np.array([[b"\x89PNG", b""]], object)
    assert tensors.to_json("png_bytes", values) == [
        [{"b64": base64.b64encode(b"\x89PNG").decode()}, {"b64": ""}],
    ]
    assert tensors.to_json("text", np.array([b"a", b"b"], object)) == ["a", "b"]
    with pytest.raises(errors.ServingError, match='"_bytes"'):
        tensors.to_json("png", np.array([b"\x89PNG"], object))
