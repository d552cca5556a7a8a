"""models.config: which models there are, where they lie, and which of their versions are wanted."""

import contextlib
import pathlib
import re

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from pga_tf.core import checks

CONTAINER_BASE = pathlib.PurePosixPath("/models")  # where compose.yaml mounts the model base


def read(config_file):
    """The text of models.config. Raises `InputError` where there is none that can be read."""
    try:
        return pathlib.Path(config_file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        return checks.refuse(
            "--model_base and --model_config_file",
            expected="a model base with its models.config, a text proto ModelServerConfig",
            received=f"{config_file}: {getattr(error, 'strerror', None) or error}",
            remedy="export a model first, or name another base, such as --model_base=saved_models",
        )


def parse(text, what):
    """`ModelServerConfig` of a text proto; `what` names it in messages. Raises `InputError`."""
    try:
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        checks.refuse(
            what,
            expected="a text proto ModelServerConfig",
            received=" ".join(str(error).splitlines()),
            remedy="mend it by hand, or take it away and export or label the models again",
        )
    validate(config, what)
    return config


def validate(config, what):
    """Raises `InputError` for a configuration that TensorFlow Serving would refuse."""
    kind = config.WhichOneof("config")
    if kind != "model_config_list":  # none at all is what a file holds while it is being written
        checks.refuse(what, expected="model_config_list", received=kind or "nothing", remedy="list the models")
    names = [model.name for model in config.model_config_list.config]
    for model in config.model_config_list.config:
        if not model.name or not model.base_path:
            checks.refuse(
                what,
                expected="a name and a base_path for each model",
                received=text_format.MessageToString(model, as_one_line=True) or "neither",
                remedy="add them",
            )
        if "\0" in model.base_path:
            checks.refuse(
                f"{what}: model {model.name}",
                expected="a base_path",
                received=repr(model.base_path),
                remedy="leave out the byte 0, which no path holds",
            )
        if names.count(model.name) > 1:
            checks.refuse(what, expected="each name once", received=f"{model.name} twice", remedy="rename one")
        if model.model_platform not in ("", "tensorflow"):
            checks.refuse(
                f"{what}: model {model.name}",
                expected='model_platform: "tensorflow"',
                received=model.model_platform,
                remedy="export a SavedModel",
            )


def folder(model, model_base):
    """Folder of a `ModelConfig` on this machine: `model_base` stands for /models of the container."""
    path = pathlib.PurePosixPath(model.base_path)
    if path.is_relative_to(CONTAINER_BASE):
        return pathlib.Path(model_base) / path.relative_to(CONTAINER_BASE)
    return pathlib.Path(model.base_path)


def require_below(config, model_base, what):
    """Raises `InputError` unless every model of a configuration lies below `model_base`, wherever its links lead."""
    base = pathlib.Path(model_base).resolve()
    for model in config.model_config_list.config:
        try:
            path = folder(model, base).resolve()
        except (OSError, RuntimeError) as error:  # a loop of links, a name that is too long
            path = error
        if not isinstance(path, pathlib.Path) or not path.is_relative_to(base):
            checks.refuse(
                f"{what}: model {model.name}",
                expected=f"a base_path below {CONTAINER_BASE}, which stands for {base}",
                received=f"{model.base_path}, which is {path}",
                remedy="move the model there; folders elsewhere can be named in the server's own configuration file",
            )


def on_disk(path):
    """Version numbers that lie in a model's folder: int to folder; empty where there is no such folder.

    Of folders that say one number, such as 7 and 007, it is the shorter.
    """
    try:
        found = [entry for entry in path.iterdir() if re.fullmatch("[0-9]+", entry.name) and entry.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    numbered = {int(entry.name): entry for entry in sorted(found, key=lambda entry: -len(entry.name))}
    return {number: entry for number, entry in numbered.items() if number < 2**63}  # what messages can say


def contents(path):
    """What tells whether anything below a folder has changed: a set of (path, size, time of change)."""
    found = set()
    for entry in path.rglob("*"):
        with contextlib.suppress(OSError):  # moved while we looked, or a link that leads nowhere
            status = entry.stat()
            found.add((entry, status.st_size, status.st_ctime_ns))
    return found


def wanted(model, versions):
    """The numbers among `versions` that the model's policy wants served; the latest one by default."""
    policy = model.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    if kind == "all":
        return set(versions)
    if kind == "specific":
        return set(versions) & set(policy.specific.versions)
    count = policy.latest.num_versions if kind == "latest" else 0
    return set(sorted(versions)[-(count or 1) :])
