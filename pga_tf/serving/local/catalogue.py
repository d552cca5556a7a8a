"""The models that a server has: which versions are loaded, in what state, and which one a request gets."""

import dataclasses
import gc
import threading

from absl import logging
from tensorflow_serving.apis import get_model_status_pb2

from pga_tf.serving.local import errors, policy
from pga_tf.serving.local.servable import Servable

State = get_model_status_pb2.ModelVersionStatus.State


@dataclasses.dataclass
class _Model:
    config: object  # ModelConfig
    loaded: dict = dataclasses.field(default_factory=dict)  # version to Servable
    states: dict = dataclasses.field(default_factory=dict)  # version to (state, ServingError or None); a history
    failed: dict = dataclasses.field(default_factory=dict)  # version to what its folder held when it did not load
    trouble: str = ""  # why the last look found nothing to serve


class Catalogue:
    """Loads versions before it unloads others, so that a model which is there stays there.

    Requests take a `Servable` under a lock and keep it; an unloaded one goes when its last request ends.
    """

    def __init__(self, config, model_base, max_batch):
        """`config`: a validated `ModelServerConfig`. Nothing is loaded before `update`."""
        self.model_base, self._max_batch = model_base, max_batch
        self._lock = threading.Lock()  # guards the tables; held for moments
        self._updating = threading.Lock()  # one update at a time; held while models load
        self._models = {}
        self._assign(config)

    def configure(self, config):
        """Takes another `ModelServerConfig` and loads what it wants; models that it does not name go."""
        with self._updating:
            self._assign(config)
            self._update()
            _collect()

    def update(self):
        """Looks at the folders; loads and unloads what the policies say."""
        with self._updating:
            self._update()

    def find(self, spec):
        """The `Servable` for a `ModelSpec`: a version, a label, or else the highest that is loaded."""
        with self._lock:
            model = self._models.get(spec.name)
            version = self._version(model, spec)
            if model and model.loaded and version is None:
                return model.loaded[max(model.loaded)]
            if model and version in model.loaded:
                return model.loaded[version]
        which = f"Latest({spec.name})" if version is None else f"Specific({spec.name}, {version})"
        raise errors.not_found(f"Servable not found for request: {which}")

    def status(self, spec):
        """`GetModelStatusResponse` for a `ModelSpec`; all versions where it names none."""
        with self._lock:
            model = self._models.get(spec.name)
            version = self._version(model, spec)
            states = dict(model.states) if model else {}
        if version is not None:
            states = {v: state for v, state in states.items() if v == version}
        if not states:
            which = "any versions" if version is None else f"version {version}"
            raise errors.not_found(f"Could not find {which} of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, (state, error) in sorted(states.items(), reverse=True):
            entry = response.model_version_status.add(version=number, state=state)
            if error:
                entry.status.error_code, entry.status.error_message = error.code.value[0], error.text
            else:
                entry.status.error_code = 0  # OK, said explicitly as TensorFlow Serving does
        return response

    @staticmethod
    def _version(model, spec):
        """The version number that `spec` asks for, or None for the latest."""
        choice = spec.WhichOneof("version_choice")
        if choice == "version":
            return spec.version.value
        if choice != "version_label":
            return None
        if model is None or spec.version_label not in model.config.version_labels:
            raise errors.invalid(f"Unrecognized servable version label: {spec.version_label}")
        return model.config.version_labels[spec.version_label]

    def _assign(self, config):
        named = {model.name: model for model in config.model_config_list.config}
        with self._lock:
            for name in self._models.keys() - named.keys():
                del self._models[name]
            for name, model in named.items():
                known = self._models.get(name)
                if known and known.config.base_path == model.base_path:
                    known.config = model
                else:  # versions of another folder are other models, whatever their numbers
                    self._models[name] = _Model(model)

    def _update(self):
        for name, model in list(self._models.items()):
            path = policy.folder(model.config, self.model_base)
            try:
                versions = policy.on_disk(path)
                trouble = "" if policy.wanted(model.config, versions) else f"no version of it in {path}"
            except OSError as error:  # one folder that cannot be read does not keep others from being served
                versions, trouble = {}, str(error)
            if trouble and trouble != model.trouble:
                logging.warning("model %s has nothing to serve: %s", name, trouble)
            model.trouble = trouble
            if not trouble:  # otherwise what is loaded stays: an empty folder is more likely a mistake than a wish
                self._take(name, model, versions)

    def _take(self, name, model, versions):
        wanted = policy.wanted(model.config, versions)
        for version in sorted(wanted - model.loaded.keys()):
            held = policy.contents(versions[version])
            if model.failed.get(version) != held:  # it failed with these very files: it would fail again
                self._load(name, model, version, versions[version], held)
        if wanted & model.loaded.keys():
            for version in sorted(model.loaded.keys() - wanted):
                self._unload(name, model, version)

    def _load(self, name, model, version, folder, held):
        self._set(model, version, State.LOADING)
        try:
            servable = Servable(name, version, folder, self._max_batch)
        except Exception as error:  # a broken version must not take the server down, whatever is wrong with it
            found = errors.of(error)
            model.failed[version] = held
            self._set(model, version, State.END, found)
            logging.warning("version %d of model %s does not load from %s: %s", version, name, folder, found.text)
        else:
            model.failed.pop(version, None)
            self._set(model, version, State.AVAILABLE, servable=servable)
            logging.info("serving version %d of model %s", version, name)
        _collect()

    def _unload(self, name, model, version):
        with self._lock:
            del model.loaded[version]
            model.states[version] = (State.END, None)
        logging.info("unloaded version %d of model %s", version, name)
        _collect()

    def _set(self, model, version, state, error=None, servable=None):
        with self._lock:
            model.states[version] = (state, error)
            if servable:
                model.loaded[version] = servable


def _collect():
    """Frees the graphs that loading and unloading leave behind, here and now.

    They are cyclic garbage, and grow costlier to free the more there are: left alone, the collector comes upon them in
    the middle of some request, which was seen to stop the whole server for seconds.
    """
    gc.collect()
