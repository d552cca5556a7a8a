"""One server for all tests that leave it as it was."""

import numpy as np
import pytest

from tests.serving import servers, toy_model


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """Serves `toy` (version 1 as `stable`, 2 as `canary`) and `partial`, which can sample and decode alone."""
    base = tmp_path_factory.mktemp("models")
    toy_model.write(base, "toy", 1, gain=1.0, warmup=[("sample", {"seed": np.arange(2)})])
    toy_model.write(base, "toy", 2, gain=2.0)
    toy_model.write(base, "partial", 1, leave_out=toy_model.INPUTS.keys() - {"sample", "decode"})
    labels = 'version_labels { key: "stable" value: 1 } version_labels { key: "canary" value: 2 }'
    toy = ("toy", "model_version_policy { all {} } " + labels)
    with servers.running(base, toy, ("partial", "")) as found:
        yield found
        assert found.process.poll() is None, "a test ended the server"


@pytest.fixture(scope="session")
def loaded(server):
    """Versions 1 and 2 of `toy` in this process: what the server's answers are compared with."""
    import tensorflow as tf

    return {version: tf.saved_model.load(str(server.base / "toy" / str(version))) for version in (1, 2)}
