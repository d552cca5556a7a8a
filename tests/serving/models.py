"""Small trained-looking models and exports of them, without training."""

import contextlib

import keras
import numpy as np

from pga_tf.priors import PRIORS
from pga_tf.priors.flow_matching import FlowMatchingOptions
from pga_tf.priors.latent_map import LatentMapOptions
from pga_tf.priors.mixture import MixtureOptions
from pga_tf.priors.realnvp import RealNVPOptions
from pga_tf.priors.second_vae import SecondVAEOptions
from pga_tf.runs import build
from pga_tf.serving import export, gate
from tests.training import helpers

OWN = {
    "mixture": MixtureOptions(components=2),
    "second_vae": SecondVAEOptions(second_width=8, second_depth=1),
    "latent_map": LatentMapOptions(map_width=8, map_depth=1),
    "flow_matching": FlowMatchingOptions(flow_width=8, flow_depth=1, flow_steps=2),
    "realnvp": RealNVPOptions(couplings=2, coupling_width=8, coupling_depth=1),
}


def make(method="vpga", prior="normal", shape=(8, 8, 1), **values):
    """A model and a prior with weights from a seed: what `trained.load` gives of a run, (model, prior)."""
    values = {"network": "mlp" if shape == (1, 1, 2) else "conv_8"} | values
    config = helpers.config("unused", method=method, dataset="fake:8x8x1", **values)
    model = build.build_model(config, shape)
    keras.utils.set_random_seed(1)
    return model, PRIORS.get(prior)(model.latent_dim, OWN.get(prior))


@contextlib.contextmanager
def gate_in_process(monkeypatch):
    """Inside, the gate does all but start a process of its own, which takes seconds."""
    with monkeypatch.context() as patch:
        patch.setattr(export, "_pass_gate", lambda folder, *rest: gate.check(str(folder), *rest))
        yield


def images(count, shape=(8, 8, 1)):
    return np.random.default_rng(0).uniform(size=[count, *shape]).astype(np.float32)
