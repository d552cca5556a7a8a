"""ML Metadata of a root that TFX ran in, as the records of `pipelines.store`; of TFX it needs ml_metadata alone."""

import json
import pathlib
import shutil

from ml_metadata import errors
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as proto

from pga_tf.core import checks
from pipelines import database, finished
from pipelines.store import TFX_DATABASE, Artifact, Execution, require_own

COMPONENTS = "pipelines.tfx_components"  # module that an execution's type begins with
STAGING = "staging"  # parameter of a step that goes on: folder for what is not complete


def connection(root):
    """How ML Metadata, and TFX, open the database of a root."""
    config = proto.ConnectionConfig()
    config.sqlite.filename_uri = str(pathlib.Path(root).resolve() / TFX_DATABASE)
    config.sqlite.connection_mode = proto.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return config


class Store:
    """What a pipeline root has seen under TFX; components write it."""

    def __init__(self, root):
        require_own(root, TFX_DATABASE)
        self.root = pathlib.Path(root)
        try:
            self._db = metadata_store.MetadataStore(connection(root))
        except errors.StatusError as error:
            checks.refuse(
                f"{self.root / TFX_DATABASE}",
                expected="a database of ML Metadata that can be written, of this or an earlier version",
                received=(str(error).splitlines() or [type(error).__name__])[0],
                remedy=f"mend that, or start a new one with: {database.aside(self.root / TFX_DATABASE)}",
            )

    def clean(self):
        """Removes the output folders of executions that were killed, which stand as running for ever.

        What had been finished and moved into place is moved back first, so that the step goes on from there: an entry
        is TFX's to make.
        """
        executions = self._db.get_executions()
        complete = {str(e.id) for e in executions if e.last_known_state == proto.Execution.COMPLETE}
        finished.take_back(self.root, complete)
        for found in executions:
            if found.last_known_state == proto.Execution.RUNNING:
                for folder in self.root.glob(f"{_component(found)}/[!.]*/{found.id}"):
                    shutil.rmtree(folder)
                found.last_known_state = proto.Execution.CANCELED
                self._db.put_executions([found])

    def forget(self, execution):
        """Marks what an `Execution` wrote as deleted, so that TFX's cache no longer gives it."""
        written = list(self._linked(execution.id, proto.Event.OUTPUT).values())
        for artifact in written:
            artifact.state = proto.Artifact.DELETED
        self._db.put_artifacts(written)

    def executions(self, component):
        """The complete executions of a component, newest first."""
        for found in self._newest_first(component):
            if found.last_known_state == proto.Execution.COMPLETE:
                yield self._record(found)

    def execution(self, id):
        (found,) = self._db.get_executions_by_id([id])
        return self._record(found)

    def last(self, component):
        """(id of the newest execution of a component, or 0, the `Execution` that made its outputs, or None).

        They are two where TFX took the outputs from its cache.
        """
        newest = next(iter(self._newest_first(component)), None)
        outputs = self._linked(newest.id, proto.Event.OUTPUT) if newest else {}
        makers = {self._artifact(output).producer for output in outputs.values()}
        return newest.id if newest else 0, self.execution(makers.pop()) if makers else None

    def _newest_first(self, component):
        found = self._db.get_executions_by_type(f"{COMPONENTS}.{component}")
        return sorted(found, key=lambda execution: execution.id, reverse=True)

    def _record(self, found):
        given = {name: _value(value) for name, value in found.custom_properties.items() if name != STAGING}
        inputs, outputs = (self._linked(found.id, kind) for kind in (proto.Event.INPUT, proto.Event.OUTPUT))
        figures = [json.loads(_property(output, "figures") or "{}") for output in outputs.values()]
        return Execution(
            id=found.id,
            component=_component(found),
            key="",  # TFX's cache has its own
            state=proto.Execution.State.Name(found.last_known_state).lower(),
            started=found.create_time_since_epoch / 1000,
            seconds=(found.last_update_time_since_epoch - found.create_time_since_epoch) / 1000,
            code=given.pop("code", ""),
            parameters=given,
            figures=figures[0] if figures else {},
            error=None,
            inputs={name: self._artifact(artifact) for name, artifact in inputs.items()},
            outputs={name: self._artifact(artifact) for name, artifact in outputs.items()},
        )

    def _linked(self, id, kind):
        """dict of argument to ML Metadata's artifact, of one execution and a kind of event."""
        events = [event for event in self._db.get_events_by_execution_ids([id]) if event.type == kind]
        found = {found.id: found for found in self._db.get_artifacts_by_id([event.artifact_id for event in events])}
        linked = {event.path.steps[0].key: found[event.artifact_id] for event in events}
        return {name: linked[name] for name in sorted(linked)}  # ML Metadata has no order

    def _artifact(self, found):
        events = self._db.get_events_by_artifact_ids([found.id])
        # Whoever takes an artifact from the cache is noted as if it had written it.
        first = min((e for e in events if e.type == proto.Event.OUTPUT), key=lambda event: event.execution_id)
        path, digest = pathlib.Path(found.uri), _property(found, "digest")
        return Artifact(path, digest, first.execution_id, first.path.steps[0].key)


def _component(execution):
    return execution.type.rpartition(".")[2]


def _value(value):
    return getattr(value, value.WhichOneof("value"))


def _property(artifact, name):
    return artifact.custom_properties[name].string_value
