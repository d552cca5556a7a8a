"""Short runs for tests: tiny networks on generated images."""

import dataclasses
import json

import numpy as np
import tensorflow as tf

from pga_tf.data import DataOptions
from pga_tf.methods import METHODS
from pga_tf.networks import NetworkOptions
from pga_tf.runs.config import Config, OptimizerOptions, RunOptions
from pga_tf.runs.directory import RunDirectory


def config(workdir, *, method="lpga", dataset="fake:8x8x1", **values):
    """A `Config` whose options of any group are set by name."""
    method_class = METHODS.get(method)
    defaults = {
        "method": method, "workdir": str(workdir), "steps": 8, "batch_size": 8, "log_every": 2, "image_every": 100,
        "checkpoint_every": 4, "dataset": dataset, "network": "conv_8", "latent_dim": 3, "filters": 4,
        "optimizer": "sgd", "learning_rate": 0.05,
    }  # fmt: skip
    if "warmup_steps" in {f.name for f in dataclasses.fields(method_class.Options)}:
        defaults["warmup_steps"] = 2
    values = defaults | values
    groups = {
        "run": RunOptions,
        "data": DataOptions,
        "network": NetworkOptions,
        "optimizer": OptimizerOptions,
    }
    groups["method"] = method_class.Options
    made, used = {}, set()
    for key, cls in groups.items():
        own = {f.name for f in dataclasses.fields(cls)} & values.keys()
        made[key] = cls(**{name: values[name] for name in own})
        used |= own
    assert used == values.keys(), f"no such options: {values.keys() - used}"
    return Config(**made)


def flags(config):
    """The command line of a configuration."""
    return [f"--{name}={value}" for name, value in config.values().items()]


def state(workdir):
    """All values of the newest checkpoint under `workdir`, by name."""
    reader = tf.train.load_checkpoint(str(workdir / "checkpoints"))
    names = [n for n in reader.get_variable_to_shape_map() if n.endswith("VARIABLE_VALUE") and "save_counter" not in n]
    return {name: np.array(reader.get_tensor(name)) for name in names}


def step_of(state):
    """The model's own clock in a `state`."""
    (step,) = (
        value for name, value in state.items() if name.startswith("model") and name.split("/")[0].endswith("step")
    )
    return int(step)


def logged(workdir):
    """The lines of metrics.jsonl."""
    return [json.loads(line) for line in RunDirectory(workdir).metrics.read_text().splitlines()]


def cut(workdir, step):
    """Makes the checkpoint at `step` the newest, as in a run that was killed after it."""
    folder = workdir / "checkpoints"
    for path in folder.glob("step-*"):
        if not path.name.startswith(f"step-{step}."):
            path.unlink()
    (folder / "checkpoint").write_text(f'model_checkpoint_path: "step-{step}"\n')


def assert_same_state(a, b):
    """Bit for bit."""
    assert a.keys() == b.keys()
    for name, value in a.items():
        np.testing.assert_array_equal(value, b[name], err_msg=name)
