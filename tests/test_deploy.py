"""The manifests of deploy/ are what the published schemas allow, and agree with each other and with what they start.

No schema of Kubernetes knows TFJob: its pods are held to that of Pod, the rest to a schema of the fields used here.
"""

import copy
import json
import os
import pathlib
import re
import shlex
import subprocess
import tomllib

import pytest

from pga_tf.core import cluster, signals
from tests.printed_commands_test import flags_of, given

yaml = pytest.importorskip("yaml")  # the environment of TFX lacks what is for development
kubernetes_validate = pytest.importorskip("kubernetes_validate")
jsonschema = pytest.importorskip("jsonschema")

ROOT = pathlib.Path(__file__).parents[1]
OLDEST = "1.33"  # the first one in which all fields used are stable or on by default
FILES = sorted((ROOT / "deploy").glob("*.yaml"))
DOCUMENTS = {
    (path.stem, document["kind"], document["metadata"]["name"]): document
    for path in FILES
    for document in yaml.safe_load_all(path.read_text())
}
EXACT = {"type": "object", "additionalProperties": False}
REPLICAS = EXACT | {
    "required": ["replicas", "restartPolicy", "template"],
    "properties": {
        "replicas": {"type": "integer", "minimum": 1},
        "restartPolicy": {"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
        "template": {"type": "object"},
    },
}
TFJOB = EXACT | {
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "kubeflow.org/v1"},
        "kind": {"const": "TFJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": EXACT | {
            "required": ["tfReplicaSpecs"],
            "properties": {
                "runPolicy": EXACT | {"properties": {"cleanPodPolicy": {"enum": ["None", "Running", "All"]}}},
                "tfReplicaSpecs": EXACT | {"properties": dict.fromkeys(("Chief", "Worker"), REPLICAS)},
            },
        },
    },
}  # fmt: skip


def validate(document, version=OLDEST):
    """Raises a `ValidationError` of jsonschema for what the schemas do not allow."""
    if document["kind"] != "TFJob":
        kubernetes_validate.validate(document, version, strict=True)
        return
    jsonschema.validate(document, TFJOB)
    for replicas in document["spec"]["tfReplicaSpecs"].values():
        validate({"apiVersion": "v1", "kind": "Pod", **replicas["template"]}, version)


def document(kind, name):
    return next(held for (_, *known), held in DOCUMENTS.items() if known == [kind, name])


def templates():
    """(kind, pod template) of each workload."""
    for held in DOCUMENTS.values():
        spec = held.get("spec", {})
        if held["kind"] == "TFJob":
            yield from (("TFJob", replicas["template"]) for replicas in spec["tfReplicaSpecs"].values())
        elif held["kind"] == "CronJob":
            yield "CronJob", spec["jobTemplate"]["spec"]["template"]
        elif "template" in spec:
            yield held["kind"], spec["template"]


TEMPLATES = list(templates())
TRAINING = document("Job", "pga-train")
SERVING = document("Deployment", "pga-serving")["spec"]["template"]
COMPOSE = yaml.safe_load((ROOT / "saved_models/compose.yaml").read_text())["services"]["serving"]


def container(template):
    (held,) = template["spec"]["containers"]
    return held


def mounts(template):
    """Of each folder in the container: the volume's source, and whether it is mounted for reading only."""
    sources = {volume["name"]: volume for volume in template["spec"]["volumes"]}
    return {
        mount["mountPath"]: (sources[mount["name"]], mount.get("readOnly", False))
        for mount in container(template)["volumeMounts"]
    }


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
@pytest.mark.parametrize("key", DOCUMENTS, ids="-".join)
def test_every_document_is_what_the_published_schema_allows(key, version):
    validate(DOCUMENTS[key], version)


@pytest.mark.parametrize(
    ("kind", "name", "place", "value"),
    [
        ("ConfigMap", "pga-serving", ("data", "batching.config"), 64),
        ("Deployment", "pga-serving", ("spec", "replica"), 2),
        ("Deployment", "pga-serving", ("spec", "template", "spec", "containers", 0, "readinessProbe", "port"), 8501),
        ("Service", "pga-serving", ("spec", "ports", 0, "port"), "grpc"),
        ("HorizontalPodAutoscaler", "pga-serving", ("spec", "maxReplicas"), "8"),
        ("PodDisruptionBudget", "pga-serving", ("spec", "matchLabels"), {}),
        ("Job", "pga-train", ("spec", "completions"), "2"),
        ("Job", "pga-train", ("spec", "podFailurePolicy", "rules", 0, "onExitCodes", "codes"), [1]),
        ("CronJob", "pga-pipeline", ("spec", "jobTemplate", "backoffLimit"), 20),
        ("PersistentVolumeClaim", "pga-models", ("spec", "accessModes"), "ReadWriteMany"),
        ("TFJob", "pga-train", ("spec", "tfReplicaSpecs", "Chief", "restartPolicy"), "OnExitCode"),
        ("TFJob", "pga-train", ("spec", "tfReplicaSpecs", "Worker", "template", "spec", "container"), []),
    ],
)
def test_a_wrong_key_or_type_is_seen(kind, name, place, value):
    wrong = copy.deepcopy(document(kind, name))
    *path, last = place
    at = wrong
    for part in path:
        at = at[part]
    at[last] = value
    with pytest.raises(jsonschema.ValidationError):
        validate(wrong)


def test_selectors_match_the_labels_of_pods():
    labels = [template["metadata"].get("labels", {}) for kind, template in TEMPLATES if kind != "TFJob"]
    checked = 0
    for held in DOCUMENTS.values():
        selector = held.get("spec", {}).get("selector")
        if selector:
            wanted = selector.get("matchLabels", selector)
            assert [label for label in labels if wanted.items() <= label.items()] == [wanted], held["kind"]
            checked += 1
    assert checked == 4
    target = document("HorizontalPodAutoscaler", "pga-serving")["spec"]["scaleTargetRef"]
    scaled = document(target["kind"], target["name"])
    assert scaled["apiVersion"] == target["apiVersion"]
    assert "replicas" not in scaled["spec"]  # each apply would set it back


def test_serving_is_what_compose_starts():
    held = container(SERVING)
    assert held["image"] == COMPOSE["image"]
    assert held["args"] == COMPOSE["command"]
    folders = {bound["target"]: bound["read_only"] for bound in COMPOSE["volumes"]}
    assert {place: reading for place, (_, reading) in mounts(SERVING).items()} == folders
    files = document("ConfigMap", "pga-serving")["data"]
    assert files.keys() == {word.rpartition("/")[2] for word in held["args"] if "=/config/" in word}
    for name, text in files.items():
        assert text == (ROOT / "saved_models" / name).read_text(), f"{name} is not that of saved_models/"
    assert mounts(SERVING)["/config"][0]["configMap"]["name"] == "pga-serving"
    threads = re.search(r"num_batch_threads \{ value: (\d+)", files["batching.config"])[1]
    assert held["resources"]["requests"]["cpu"] == threads


def test_ports_and_probes_are_those_of_the_server():
    held = container(SERVING)
    ports = {port["name"]: port["containerPort"] for port in held["ports"]}
    assert [f"127.0.0.1:{port}:{port}" for port in ports.values()] == COMPOSE["ports"]
    for port in document("Service", "pga-serving")["spec"]["ports"]:
        assert port["port"] == ports[port["targetPort"]]
    model = re.search(r'name: "(\w+)"', (ROOT / "saved_models/models.config").read_text())[1]
    for name in ("startupProbe", "readinessProbe"):
        assert held[name]["httpGet"] == {"path": f"/v1/models/{model}/metadata", "port": "rest"}
    assert held["livenessProbe"]["tcpSocket"]["port"] in ports
    notes = SERVING["metadata"]["annotations"]
    assert notes["prometheus.io/port"] == str(ports["rest"])
    assert f'"{notes["prometheus.io/path"]}"' in (ROOT / "saved_models/monitoring.config").read_text()


def test_volumes_are_claimed_and_may_be_where_they_are_mounted():
    claims, users = {name: held for (_, kind, name), held in DOCUMENTS.items() if kind == "PersistentVolumeClaim"}, {}
    for kind, template in TEMPLATES:
        for source, reading in mounts(template).values():
            if "persistentVolumeClaim" in source:
                claim = source["persistentVolumeClaim"]
                assert claim.get("readOnly", False) == reading
                users.setdefault(claim["claimName"], set()).add(kind)
    assert claims.keys() == users.keys()
    for name, kinds in users.items():
        expected = "ReadWriteOnce" if kinds == {"CronJob"} else "ReadWriteMany"
        assert claims[name]["spec"]["accessModes"] == [expected], name


def command(template):
    """Words of the command that a container of ours ends in."""
    held = container(template)
    return held["command"] if "args" not in held else shlex.split(held["args"][0].splitlines()[-1])[1:]


@pytest.mark.parametrize("template", [t for _, t in TEMPLATES if t is not SERVING])
def test_commands_flags_and_their_folders_exist(template):
    python, dash, module, *arguments = command(template)
    assert (python, dash) == ("python", "-m")
    with flags_of(module) as known:
        assert set(given(arguments)) <= known
    values = dict(word.removeprefix("--").split("=", 1) for word in arguments if "=" in word)
    assert (ROOT / values.pop("flagfile")).is_file()
    assert values
    for folder in values.values():
        mounted = "/" + folder.split("/")[1]
        assert not mounts(template)[mounted][1], f"{folder} cannot be written"
    data = {entry["name"]: entry.get("value") for entry in container(template)["env"]}["TFDS_DATA_DIR"]
    assert data in mounts(template)


def test_the_pipeline_pushes_to_where_serving_reads():
    template = document("CronJob", "pga-pipeline")["spec"]["jobTemplate"]["spec"]["template"]
    (base,) = (word.partition("=")[2] for word in command(template) if word.startswith("--push_base="))
    (config,) = (word.partition("=")[2] for word in container(SERVING)["args"] if "model_config_file=" in word)
    assert config == f"{base}/models.config"
    claims = [mounts(held)[base][0]["persistentVolumeClaim"]["claimName"] for held in (template, SERVING)]
    assert claims[0] == claims[1]


def test_training_and_tfjob_run_the_same_command_on_as_many_workers():
    replicas = document("TFJob", "pga-train")["spec"]["tfReplicaSpecs"]
    assert replicas["Chief"]["replicas"] == 1
    assert sum(held["replicas"] for held in replicas.values()) == TRAINING["spec"]["completions"]
    for held in replicas.values():
        assert command(held["template"]) == command(TRAINING["spec"]["template"])
        assert container(held["template"])["name"] == "tensorflow"
        assert {"name": "tfjob-port", "containerPort": 2222} in container(held["template"])["ports"]


@pytest.mark.parametrize("count", [TRAINING["spec"]["completions"], 1, 12])
def test_each_pod_of_the_job_knows_its_place(count, tmp_path):
    """The container's own lines under bash, with a `python` that shows what it was started with."""
    spec = TRAINING["spec"]
    held, job, service = (
        container(spec["template"]),
        TRAINING["metadata"]["name"],
        spec["template"]["spec"]["subdomain"],
    )
    assert document("Service", service)["spec"]["clusterIP"] == "None"
    assert spec["parallelism"] == spec["completions"]  # all at once, for they wait for each other
    given_by_job = {entry["name"]: entry["value"] for entry in held["env"]}
    assert given_by_job["WORKERS"] == str(spec["completions"])
    assert "$(" not in held["args"][0]  # Kubernetes would put variables in there itself
    assert "$$" not in held["args"][0]
    fake = tmp_path / "python"
    fake.write_text('#!/usr/bin/env bash\nprintf "%s\\n" "$TF_CONFIG" "$@"\n')
    fake.chmod(0o755)
    for index in range(count):
        environment = given_by_job | {"WORKERS": str(count), "JOB_COMPLETION_INDEX": str(index)}
        environment["PATH"] = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        line = [*held["command"], *held["args"]]
        shown = subprocess.run(line, env=environment, capture_output=True, text=True, check=True, timeout=60)
        config, *words = shown.stdout.splitlines()
        assert ["python", *words] == command(spec["template"])
        found = cluster.of_environment({"TF_CONFIG": config})
        assert (found.rank, found.count, found.left_out) == (index, count, ())
        port = held["ports"][0]["containerPort"]
        assert found.addresses["worker"] == tuple(f"{job}-{k}.{service}:{port}" for k in range(count))


def test_a_worker_that_is_killed_is_started_again_and_an_error_is_not():
    pipeline = document("CronJob", "pga-pipeline")["spec"]["jobTemplate"]["spec"]
    for job in (TRAINING["spec"], pipeline):
        (ends,) = (rule["onExitCodes"] for rule in job["podFailurePolicy"]["rules"] if rule["action"] == "FailJob")
        assert ends["operator"] == "In"
        assert not {signals.STATUS, 128 + 9, 128 + 15} & set(ends["values"])
        assert {1, 2} <= set(ends["values"])
        assert ends["containerName"] == container(job["template"])["name"]
        assert job["template"]["spec"]["restartPolicy"] == "Never"  # a failure policy goes by pods
        assert job.get("backoffLimitPerIndex", job.get("backoffLimit")) > 0
    assert "backoffLimit" not in TRAINING["spec"]  # which counts every worker's end
    assert TRAINING["spec"]["successPolicy"] == {"rules": [{"succeededIndexes": "0"}]}  # the chief's
    for replicas in document("TFJob", "pga-train")["spec"]["tfReplicaSpecs"].values():
        assert replicas["restartPolicy"] == "ExitCode"  # from 128 on
    assert signals.STATUS >= 128


def test_the_image_has_the_pins_of_the_project_and_what_the_commands_need(tmp_path):
    text = (ROOT / "deploy/Dockerfile").read_text()
    (base,) = re.findall(r"^FROM python:([\d.]+)-slim$", text, re.MULTILINE)
    assert f'">={base},' in (ROOT / "pyproject.toml").read_text()
    (program,) = re.findall(r"sed '([^']+)' requirements.txt >run.txt", text)
    kept = subprocess.run(["sed", program, ROOT / "requirements.txt"], capture_output=True, text=True, check=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    names = lambda lines: {re.match(r"[\w-]+", line)[0].lower() for line in lines if line[:1].isalpha()}
    assert names(kept.stdout.splitlines()) == names(declared)
    copied = {source for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE) for source in line.split()}
    assert all((ROOT / source).exists() for source in copied)
    assert copied >= {"pga_tf", "pipelines", "flagfiles", "constraints.txt"}
    ours = [template for _, template in TEMPLATES if template is not SERVING]
    (image,) = {container(template)["image"] for template in ours}
    assert f"-t {image} ." in text
    (user,) = {json.dumps(template["spec"]["securityContext"], sort_keys=True) for _, template in TEMPLATES}
    assert f"USER {json.loads(user)['runAsUser']}" in text.splitlines()
