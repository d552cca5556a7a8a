"""TensorFlow Serving's model base: NAME/VERSION/ folders that appear whole, and models.config beside them."""

import contextlib
import fcntl
import pathlib
import re
import shutil
import tempfile

from google.protobuf import text_format
from tensorflow_serving.config import file_system_storage_path_source_pb2 as storage
from tensorflow_serving.config import model_server_config_pb2

from pga_tf.core import checks, files
from pga_tf.serving.local import policy

BASE = "runs/models"  # where models are exported to, and served from, unless a user says otherwise
LABELS = ("stable", "canary")
MOUNT = "/models"  # where TensorFlow Serving's container has the model base
CONFIG = "models.config"
HEADER = "# Written by pga_tf.export. Served are the labelled versions; a client asks for one by number or label.\n"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


class Versions:
    """The versions of one model in a model base.

    Raises `InputError` for a name that could not be a folder's and part of a URL.
    """

    def __init__(self, base, name):
        if not NAME.fullmatch(name):
            checks.refuse(
                "--name",
                expected="letters, digits, `_`, `.` and `-`, a letter or digit first",
                received=repr(name),
                remedy="try --name=lpga_digits",
            )
        self.base, self.name = pathlib.Path(files.home(base)), name
        self.folder = self.base / name

    def existing(self):
        """Numbers of the versions there, in order."""
        return sorted(policy.on_disk(self.folder))

    def require_free(self, version):
        """The version to write: `version`, or the one after the newest for 0. Raises `InputError` where it exists."""
        there = self.existing()
        if version in there:
            checks.refuse(
                f"--version={version}",
                expected=f"a version that {self.folder} does not have; it has {', '.join(map(str, there))}",
                received=version,
                remedy=f"leave it out to get {there[-1] + 1}",
            )
        version = version or (there[-1] + 1 if there else 1)
        if version >= 2**63:
            checks.refuse(
                f"--version={version}",
                expected="an integer of 64 bits",
                received=version,
                remedy=f"choose a smaller one that {self.folder} does not have",
            )
        return version

    @contextlib.contextmanager
    def publishing(self, version):
        """Gives a folder to write to, and makes it version `version` if the block ends without an error.

        One process at a time writes versions of a model, and what an interrupted one left is removed by the next.
        Raises `InputError` for a version that exists, a folder that cannot be written, or a disk that is full.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(self.base / f".{self.name}.lock", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    checks.refuse(
                        f"--name={self.name}",
                        expected=f"a model in {self.base} that no other process exports",
                        received="one in use",
                        remedy="wait for the other process",
                    )
                for stale in self.folder.glob(".exporting-*"):
                    shutil.rmtree(stale)
                version = self.require_free(version)
                written = pathlib.Path(tempfile.mkdtemp(prefix=".exporting-", dir=self.folder))
                try:
                    yield version, written
                    written.chmod(0o755)
                    written.rename(self.folder / str(version))
                finally:
                    shutil.rmtree(written, ignore_errors=True)
                    with contextlib.suppress(OSError):
                        self.folder.rmdir()  # where nothing was published, nothing stays
        except OSError as error:
            checks.refuse(
                f"--export_base={self.base}",
                expected="a folder that can be written, with room for the model",
                received=f"{type(error).__name__}: {error.strerror or error}",
                remedy="free some space, choose another one, or change its permissions; nothing was published",
            )


def read_config(base):
    """The `ModelServerConfig` of a model base; an empty one where there is none. Raises `InputError` if unreadable."""
    path = pathlib.Path(files.home(base)) / CONFIG
    try:
        text = path.read_text()
    except (FileNotFoundError, NotADirectoryError):
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        checks.refuse(
            str(path),
            expected="a text proto ModelServerConfig",
            received=getattr(error, "strerror", None) or error,
            remedy="restore it, or take it away and export or label the models again",
        )
    return policy.parse(text, str(path)) if text.strip() else model_server_config_pb2.ModelServerConfig()


def labels(config, name):
    """dict of label to version of one model in a `ModelServerConfig`."""
    return {label: version for m in config.model_config_list.config if m.name == name
            for label, version in m.version_labels.items()}  # fmt: skip


def set_label(versions, label, version):
    """Makes `version` the one that `label` names in models.config, and the labelled versions the ones served.

    A version that becomes stable is a canary no more. Other models' entries stay as they are. Raises `InputError` for a
    version that is not there.
    """
    checks.require_member("--label", label, LABELS)
    if version not in versions.existing():
        checks.refuse(
            f"--version={version}",
            expected=f"a version of {versions.name}: {', '.join(map(str, versions.existing())) or 'there is none'}",
            received=version,
            remedy="export it first",
        )
    folder = policy.on_disk(versions.folder)[version]
    if not (folder / "saved_model.pb").is_file():
        checks.refuse(
            f"--version={version}",
            expected=f"a SavedModel in {folder}",
            received="no file saved_model.pb",
            remedy="take that folder away, and export the version again",
        )
    config = read_config(versions.base)
    entries = [entry for entry in config.model_config_list.config if entry.name == versions.name]
    entry = entries[0] if entries else config.model_config_list.config.add(name=versions.name)
    entry.base_path, entry.model_platform = f"{MOUNT}/{versions.name}", "tensorflow"
    entry.version_labels[label] = version
    if label == "stable" and entry.version_labels.get("canary") == version:
        del entry.version_labels["canary"]
    served = sorted(set(entry.version_labels.values()) & set(versions.existing()))
    choice = storage.FileSystemStoragePathSourceConfig.ServableVersionPolicy
    entry.model_version_policy.CopyFrom(choice(specific=choice.Specific(versions=served)))
    files.write_text(versions.base / CONFIG, HEADER + text_format.MessageToString(config))
