"""The local server's catalogue: policies, labels, versions that break, configurations that change.

In this process, without the seconds that another one takes to start.
"""

import base64
import gc
import pathlib
import shutil
import time
import unittest.mock

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import model_management_pb2, predict_pb2

from pga_tf.core.checks import InputError
from pga_tf.serving import export, versions
from pga_tf.serving.local import errors, policy, rpc, tensors
from pga_tf.serving.local.server import Server
from pga_tf.settings.export import ExportOptions
from tests import commands
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


def links(base, outside):
    """Names below `base` that lead elsewhere, or nowhere."""
    (base / "out").symlink_to(outside)
    (base / "loop").symlink_to(base / "loop")
    (base / "inside").symlink_to(base / "second")


@pytest.mark.parametrize(
    ("path", "taken"),
    [
        ("/models/second", True),
        ("{base}/second", True),
        ("/models/toy/../second", True),
        ("/models/inside", True),
        ("/models/not_yet", True),
        ("{outside}/second", False),
        ("/models/../outside/second", False),
        ("/models/toy/../../outside/second", False),
        ("/models/out/second", False),
        ("/models/loop", False),
        ("outside/second", False),
        ("/", False),
        ("//models/second", False),
        ("/modelsecond", False),
        ("{base}side/second", False),
        ("/models/" + "x" * 300, True),
        ("/models/a\0b", False),
    ],
)
def test_a_client_may_name_folders_of_the_model_base_alone(server_of_links, path, taken):
    server, base, outside = server_of_links
    asked = policy.parse(toy_model.config("/models", ("toy", "")), "test")
    asked.model_config_list.config.add(name="second", base_path=path.format(base=base, outside=outside))
    service, context = rpc.ModelService(server._catalogue), unittest.mock.Mock()
    before = dict(server._catalogue._models)
    service.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(config=asked), context)
    if taken:
        context.abort.assert_not_called()
        assert {"toy", "second"} == server._catalogue._models.keys()
        assert states(server) == {1: "AVAILABLE"}
    else:
        (code, text), _ = context.abort.call_args
        assert code is CODE.INVALID_ARGUMENT
        assert "model second: expected a base_path" in text
        if "\0" not in path:
            assert f"below /models, which stands for {base}" in text
        assert server._catalogue._models == before


@pytest.fixture(scope="module")
def server_of_links(tmp_path_factory):
    """(server, its base, a folder beside it): `toy` is served, and `second` lies in both."""
    parent = tmp_path_factory.mktemp("reload")
    base, outside = parent / "base", parent / "outside"
    toy_model.write(base, "toy", 1)
    for folder in (base, outside):
        (folder / "second").mkdir(parents=True)
    links(base, outside)
    server = start(base, ("toy", ""), poll_seconds=0, config_poll_seconds=0)
    yield server, base, outside
    server.stop()


def test_the_operators_own_file_may_name_any_folder(tmp_path):
    toy_model.write(tmp_path / "outside", "toy", 1)
    base = tmp_path / "base"
    base.mkdir()
    text = toy_model.config(tmp_path / "outside", ("toy", ""))
    (base / "models.config").write_text(text)
    server = Server(base / "models.config").start(poll_seconds=0, config_poll_seconds=0.05)
    try:
        assert states(server) == {1: "AVAILABLE"}
        more = 'model_config_list { config { name: "x" base_path: "../outside/toy" }'
        (base / "models.config").write_text(text.replace("model_config_list {", more))
        servers.wait_until(lambda: "x" in server._catalogue._models)
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


def test_a_folder_holds_the_versions_that_a_message_can_name(tmp_path):
    names = [
        "1",
        "007",
        "7",
        "0",
        str(2**63 - 1),
        str(2**63),
        "1" * 200,
        "\u0663",
        "\u00b2",
        "3.5",
        "-4",
        "+5",
        "a",
        " 6",
        "8x",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    (tmp_path / "9").write_text("a file")
    (tmp_path / "10").symlink_to(tmp_path / "10")
    (tmp_path / "11").symlink_to(tmp_path / "1")
    found = policy.on_disk(tmp_path)
    assert sorted(found) == [0, 1, 7, 11, 2**63 - 1]
    assert found[7].name == "7"
    assert versions.Versions(tmp_path.parent, tmp_path.name).existing() == sorted(found)


GARBAGE = {
    "no file": lambda folder: (folder / "saved_model.pb").unlink(),
    "empty graph": lambda folder: (folder / "saved_model.pb").write_bytes(b""),
    "cut graph": lambda folder: cut(folder / "saved_model.pb"),
    "garbage graph": lambda folder: (folder / "saved_model.pb").write_bytes(b"\xff" * 4000),
    "graph is a folder": lambda folder: ((folder / "saved_model.pb").unlink(), (folder / "saved_model.pb").mkdir()),
    "no variables": lambda folder: shutil.rmtree(folder / "variables"),
    "cut index": lambda folder: cut(folder / "variables/variables.index"),
    "cut variables": lambda folder: cut(folder / "variables/variables.data-00000-of-00001"),
    "no data": lambda folder: (folder / "variables/variables.data-00000-of-00001").unlink(),
    "garbage warm-up": lambda folder: (folder / "assets.extra/tf_serving_warmup_requests").write_bytes(b"\xff" * 99),
    "a loop of links": lambda folder: (folder / "variables/loop").symlink_to("loop"),
}


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_damaged_versions_are_told_in_a_line_each_and_harm_no_other(base, caplog):
    damaged = dict(enumerate(GARBAGE, 2))
    for version, case in damaged.items():
        shutil.copytree(base / "toy" / "1", base / "toy" / str(version))
        GARBAGE[case](base / "toy" / str(version))
    (base / "loop").symlink_to(base / "loop")
    every = "model_version_policy { all {} }"
    server = start(base, ("toy", every), ("loop", ""), ("nothing", ""), poll_seconds=0, config_poll_seconds=0)
    running = servers.Running(None, base, "", f"127.0.0.1:{server.rest_port}")
    try:
        harmless = [v for v, case in damaged.items() if case == "a loop of links"]
        broken = {version: "END" for version in damaged if version not in harmless}
        assert states(server) == {1: "AVAILABLE", **dict.fromkeys(harmless, "AVAILABLE"), **broken}
        for record in caplog.records:
            assert "\n" not in record.getMessage()
            assert "Traceback" not in record.getMessage()
        assert "model loop has nothing to serve" in caplog.text
        assert "model nothing has nothing to serve: no version of it in " in caplog.text
        for version in damaged:
            status, answer = http(running, f"toy/versions/{version}")
            assert status == 200
            told = answer["model_version_status"][0]["status"]["error_message"]
            assert bool(told) == (version in broken)
            assert "\n" not in told
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_text("model_config_list {"), "expected a text proto ModelServerConfig"),
        (lambda path: path.write_bytes(b"\xff\xfe\0\0"), "expected a.* text proto ModelServerConfig"),
        (lambda path: path.write_text(GOOD.replace("value: 1", "value: 99999999999999999999")), "a text proto"),
        (lambda path: path.write_text(GOOD.replace('"stable"', '"\\377"')), "a text proto ModelServerConfig"),
        (lambda path: path.write_text(GOOD.replace("/models/toy", "a\\000b")), "received 'a.x00b'"),
        (lambda path: path.write_text("custom_model_config {}"), "expected model_config_list"),
        (lambda path: path.write_text("model_config_list { config { name: 'a' } }"), "a base_path for each model"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
@pytest.mark.parametrize("command", ["serve", "promote", "export"])
def test_a_damaged_models_config_is_one_sentence_to_every_command(tmp_path, damage, message, command):
    (tmp_path / "toy" / "1").mkdir(parents=True)
    (tmp_path / "toy" / "1" / "saved_model.pb").touch()
    damage(tmp_path / "models.config")
    run = {
        "serve": lambda: Server(tmp_path / "models.config"),
        "promote": lambda: commands.call("export", "--promote=1", "--name=toy", f"--export_base={tmp_path}"),
        "export": lambda: export.export(None, None, (8, 8, 1), ExportOptions("toy", str(tmp_path)), {}),
    }[command]
    with pytest.raises(InputError, match=message) as refused:
        run()
    assert "\n" not in str(refused.value)
    assert str(tmp_path / "models.config") in str(refused.value)


GOOD = toy_model.config("/models", ("toy", 'version_labels { key: "stable" value: 1 }'))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder.mkdir(), "expected a SavedModel in .*received no file saved_model.pb"),
        (lambda folder: folder.write_text(""), "expected a version of toy: there is none"),
        (lambda folder: folder.symlink_to(folder), "expected a version of toy: there is none"),
    ],
)
def test_garbage_is_not_promoted(tmp_path, make, message):
    (tmp_path / "toy").mkdir()
    make(tmp_path / "toy" / "1")
    with pytest.raises(InputError, match=message):
        commands.call("export", "--promote=1", "--name=toy", f"--export_base={tmp_path}")
    assert not (tmp_path / "models.config").exists()


@pytest.mark.parametrize("version", [2**63, 0])
def test_a_version_that_no_message_can_name_is_not_published(tmp_path, version):
    (tmp_path / "toy" / str(2**63 - 1)).mkdir(parents=True)
    with pytest.raises(InputError, match="expected at most 9223372036854775807"):
        versions.Versions(tmp_path, "toy").require_free(version)
