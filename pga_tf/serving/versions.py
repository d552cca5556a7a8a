"""TensorFlow Serving's model base: NAME/VERSION/ folders that appear whole, and models.config beside them."""

import contextlib
import pathlib
import re
import shutil
import tempfile

from google.protobuf import text_format
from tensorflow_serving.config import file_system_storage_path_source_pb2 as storage
from tensorflow_serving.config import model_server_config_pb2

from pga_tf.core import checks, files, locks
from pga_tf.serving.local import policy
from pga_tf.settings.export import LABELS

MOUNT = "/models"  # where TensorFlow Serving's container has the model base
CONFIG = "models.config"
HEADER = "# Written by pga_tf.export. Served are the labelled versions; a client asks for one by number or label.\n"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
LARGEST = 2**63 - 1  # version that models.config can hold
TEMPORARY = ".exporting-"  # begins the names of folders that no server reads
INTENDED = ".label"  # file in a version's folder with the label that it is to get; gone once models.config has it
CONFIG_SECONDS = 10.0  # that others may take to change models.config, which is a matter of moments


class Versions:
    """The versions of one model in a model base.

    Raises `InputError` for a name that could not be a folder's and part of a URL.
    """

    def __init__(self, base, name):
        if not NAME.fullmatch(name) or name == CONFIG:
            checks.refuse(
                "--name",
                expected=f"letters, digits, `_`, `.` and `-`, a letter or digit first, and not {CONFIG}",
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
        chosen = version or (there[-1] + 1 if there else 1)
        if chosen > LARGEST:
            remedy = "name a smaller one that is free" if there else "leave it out to get 1"
            checks.refuse("--version", expected=f"at most {LARGEST}", received=chosen, remedy=remedy)
        return chosen

    @contextlib.contextmanager
    def publishing(self, version, label=""):
        """Gives a folder to write to, and makes it version `version` under a label if the block ends without an error.

        One process at a time writes versions of a model. What one that was killed left is finished, or removed, by the
        next. `label`: "" for stable where the model has no stable version, else canary.

        Raises `InputError` for a version that exists, a folder that cannot be written, or a disk that is full.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._alone(), contextlib.ExitStack() as stack:
                stack.callback(self._remove_if_empty)  # where nothing was published, nothing stays
                self._finish()
                version = self.require_free(version)
                written = pathlib.Path(tempfile.mkdtemp(prefix=TEMPORARY, dir=self.folder))
                stack.callback(shutil.rmtree, written, ignore_errors=True)
                yield version, written
                self._publish(written, version, label)
        except OSError as error:
            checks.refuse(
                f"--export_base={self.base}",
                expected="a folder that can be written, with room for the model",
                received=f"{type(error).__name__}: {error.strerror or error}",
                remedy="free some space, choose another one, or change its permissions; nothing was published",
            )

    def finish(self):
        """Enters versions that a kill left without their label: list of (version, label).

        Where another process is at work on the model, this is for it to do. Raises `OSError` for a base that cannot be
        written, `InputError` for a models.config that cannot be read.
        """
        if self.folder.is_dir():
            with contextlib.suppress(locks.Held), self._alone():
                return self._finish()
        return []

    def _remove_if_empty(self):
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _alone(self):
        what, expected = f"--name={self.name}", f"a model in {self.base} that no other process exports"
        return locks.exclusive(self.base / f".{self.name}.lock", what, expected=expected)

    def _finish(self):
        for stale in self.folder.glob(f"{TEMPORARY}*"):
            shutil.rmtree(stale)
        entered = []
        for version in unlabelled(self):
            intended = self.folder / str(version) / INTENDED
            label = intended.read_text()
            _enter(self, label, version)
            intended.unlink()
            entered.append((version, label))
        return entered

    def _publish(self, written, version, label):
        label = label or ("canary" if labels(read_config(self.base), self.name).get("stable") else "stable")
        place = self.folder / str(version)
        (written / INTENDED).write_text(label)
        written.chmod(0o755)
        files.sync_below(written)
        written.rename(place)
        try:
            files.sync(self.folder)
            _enter(self, label, version)
        except BaseException:
            place.rename(written)
            raise
        (place / INTENDED).unlink()


def unlabelled(versions):
    """Numbers of the versions that a kill, or a process at work, left without the label that they are to get."""
    return [number for number in versions.existing() if (versions.folder / str(number) / INTENDED).is_file()]


def finish_all(base):
    """Enters what kills left unlabelled in a model base: list of sentences, on what was done or could not be."""
    told = []
    for name in sorted({path.parents[1].name for path in pathlib.Path(base).glob(f"*/[0-9]*/{INTENDED}")}):
        if not NAME.fullmatch(name):  # a copy that someone put aside
            continue
        versions = Versions(base, name)
        try:
            told += [
                f"version {n} of {name}, whose export was killed, is {label} now" for n, label in versions.finish()
            ]
        except (OSError, checks.InputError) as error:
            told += [
                f"version {n} of {name} is not served, for its export was killed: {error}" for n in unlabelled(versions)
            ]
    return told


def require_base(base):
    """Raises `InputError` for a model base that is no folder, or has a models.config that cannot be read."""
    if pathlib.Path(base).exists() and not pathlib.Path(base).is_dir():
        checks.refuse(f"{base}", expected="a folder, a model base", received="a file", remedy="name another one")
    read_config(base)


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
    version that is not there, or a base that cannot be written.
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
    try:
        versions.finish()
        _enter(versions, label, version)
    except OSError as error:
        checks.refuse(
            f"{versions.base / CONFIG}",
            expected="a file that can be written",
            received=f"{type(error).__name__}: {error.strerror or error}",
            remedy="free some space, or change its permissions; nothing was changed",
        )


def _enter(versions, label, version):
    what = f"{versions.base / CONFIG}"
    lock = versions.base / f".{CONFIG}.lock"
    with locks.exclusive(lock, what, expected="a file that no other process changes", seconds=CONFIG_SECONDS):
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
