"""The files of saved_models/ that TensorFlow Serving reads parse against its schemas, and agree with each other."""

import pathlib
import re

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format, wrappers_pb2

from pga_tf.serving import remote
from pga_tf.serving.local import policy

FOLDER = pathlib.Path(__file__).parents[2] / "saved_models"
FIELD = descriptor_pb2.FieldDescriptorProto
# tensorflow-serving-api has no Python protos for these two files; numbers and types are TensorFlow Serving's
BATCHING = {
    "max_batch_size": (1, ".google.protobuf.Int64Value"),
    "batch_timeout_micros": (2, ".google.protobuf.Int64Value"),
    "max_enqueued_batches": (3, ".google.protobuf.Int64Value"),
    "num_batch_threads": (4, ".google.protobuf.Int64Value"),
    "thread_pool_name": (5, ".google.protobuf.StringValue"),
    "allowed_batch_sizes": (6, [FIELD.TYPE_INT64]),
    "pad_variable_length_inputs": (7, FIELD.TYPE_BOOL),
}
PROMETHEUS = {"enable": (1, FIELD.TYPE_BOOL), "path": (2, FIELD.TYPE_STRING)}
MONITORING = {"prometheus_config": (1, ".test.PrometheusConfig")}


@pytest.fixture(scope="module")
def schemas():
    """Message classes by name. A field's type: a message's name, a scalar type, or a list of one if repeated."""
    file = descriptor_pb2.FileDescriptorProto(name="serving_files.proto", package="test", syntax="proto3")
    file.dependency.append("google/protobuf/wrappers.proto")
    messages = {"BatchingParameters": BATCHING, "PrometheusConfig": PROMETHEUS, "MonitoringConfig": MONITORING}
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            added = message.field.add(name=field, number=number, label=FIELD.LABEL_OPTIONAL)
            if isinstance(kind, str):
                added.type, added.type_name = FIELD.TYPE_MESSAGE, kind
            elif isinstance(kind, list):
                added.type, added.label = kind[0], FIELD.LABEL_REPEATED
            else:
                added.type = kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{name}")) for name in messages}


def parse(schemas, name, file):
    return text_format.Parse((FOLDER / file).read_text(), schemas[name]())


def test_batching_is_what_the_client_and_the_export_count_on(schemas):
    found = parse(schemas, "BatchingParameters", "batching.config")
    assert list(found.allowed_batch_sizes) == [1, 2, 4, 8, 16, 32, 64]
    assert found.max_batch_size.value == found.allowed_batch_sizes[-1] == remote.MAX_BATCH
    assert 0 < found.batch_timeout_micros.value < 100_000
    assert found.num_batch_threads.value >= 1
    assert found.max_enqueued_batches.value >= 1


def test_the_schema_refuses_what_the_server_would(schemas):
    with pytest.raises(text_format.ParseError):
        text_format.Parse("max_batch_size: 64", schemas["BatchingParameters"]())
    with pytest.raises(text_format.ParseError):
        text_format.Parse("max_batch { value: 64 }", schemas["BatchingParameters"]())


def test_monitoring_is_switched_on(schemas):
    found = parse(schemas, "MonitoringConfig", "monitoring.config").prometheus_config
    assert found.enable
    assert found.path == "/monitoring/prometheus/metrics"


def test_every_model_of_the_configuration_has_a_version_and_labels_of_versions_that_exist():
    path = FOLDER / "models.config"
    if not path.exists():
        pytest.skip("nothing has been exported yet")
    config = policy.parse(path.read_text(), str(path))
    assert config.model_config_list.config
    for model in config.model_config_list.config:
        versions = policy.on_disk(policy.folder(model, FOLDER))
        wanted = policy.wanted(model, versions)
        assert wanted, f"{model.name} has no version to serve"
        assert set(model.version_labels.values()) <= wanted, f"{model.name} has a label of a version not served"
        for folder in versions.values():
            assert (folder / "saved_model.pb").is_file()


def test_the_files_that_compose_and_readme_name_exist():
    for text in ((FOLDER / "compose.yaml").read_text(), (FOLDER / "README.md").read_text()):
        named = set(re.findall(r"=/(?:models|config)/([\w.]+)", text))
        assert named >= {"batching.config", "monitoring.config", "models.config"}
        for name in named - {"models.config"}:  # the export writes that one
            assert (FOLDER / name).is_file(), name


def test_the_image_is_the_release_that_the_requirements_pin():
    pinned = re.search(r"tensorflow-serving-api==(\S+)", (FOLDER.parent / "requirements.txt").read_text())[1]
    for name in ("compose.yaml", "README.md"):
        assert set(re.findall(r"tensorflow/serving:(\S+)", (FOLDER / name).read_text())) == {pinned}, name


def test_compose_binds_loopback_alone_and_mounts_for_reading():
    yaml = pytest.importorskip("yaml")
    service = yaml.safe_load((FOLDER / "compose.yaml").read_text())["services"]["serving"]
    assert service["ports"] == ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"]
    places = {"/models": "${MODEL_BASE:-.}", "/config": "."}
    assert service["volumes"] == [
        {"type": "bind", "source": source, "target": target, "read_only": True} for target, source in places.items()
    ]
    assert not any("/models/batching" in argument for argument in service["command"])  # another base has none
    assert "--allow_version_labels_for_unavailable_models=true" in service["command"]
    assert service["healthcheck"]["test"][0] == "CMD"
