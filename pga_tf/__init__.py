"""Generative autoencoders on TensorFlow and Keras: methods, priors, scores and serving.

    model = pga_tf.LPGA(encoder, decoder); model.compile("adam"); model.fit(images); model.sample(16)
    run = pga_tf.train(method="lpga", dataset="digits", steps=3000, workdir="runs/mine"); run = pga_tf.load("runs/mine")
    scores = pga_tf.evaluate(images, against="mnist")

Importing this loads no TensorFlow: names are fetched when they are first used.
"""

import importlib
import os
import sys
import types
import typing

if typing.TYPE_CHECKING:  # for editors, type checkers and the API reference, which do not run what is below
    from pga_tf.core.checks import InputError  # noqa: F401
    from pga_tf.methods import (  # noqa: F401
        AE,
        AGE,
        ALAE,
        BEGAN,
        GAN,
        LPGA,
        LVPGA,
        MMDPGA,
        RAE,
        VAE,
        VPGA,
        WAE,
        AdversarialPGA,
        PriorFree,
        SoftIntroVAE,
        TwoStageJoint,
    )
    from pga_tf.run import Run, Scores, evaluate, load, train  # noqa: F401

__version__ = "0.1.0"

# Training runs at less than half its speed without oneDNN's kernels, which TensorFlow turns on by itself on some
# processors only. It reads this once, when it is imported; what the user has set stays.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

if sys.argv[:1] == ["-m"]:  # `python -m pga_tf.train` is about to begin, and imports TensorFlow for seconds
    from pga_tf.core import signals

    signals.end_at_once()

_HOMES = {
    **dict.fromkeys(("LPGA", "VPGA", "LVPGA", "MMDPGA", "AdversarialPGA", "VAE", "AE", "RAE"), "pga_tf.methods"),
    **dict.fromkeys(("PriorFree", "WAE", "SoftIntroVAE", "AGE", "ALAE", "GAN", "BEGAN"), "pga_tf.methods"),
    "TwoStageJoint": "pga_tf.methods",
    **dict.fromkeys(("Run", "Scores", "load", "train", "evaluate"), "pga_tf.run"),
    "InputError": "pga_tf.core.checks",
}
_ROOMS = ("priors",)  # packages that are used by name: pga_tf.priors.fit
__all__ = sorted(_HOMES)


def __dir__():
    return [*globals(), *_HOMES, *_ROOMS]


def __getattr__(name):
    if name in _ROOMS:
        return importlib.import_module(f"pga_tf.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'pga_tf' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


class _Package(types.ModuleType):
    """Keeps `pga_tf.train` and `pga_tf.evaluate` the functions, whether or not the commands of these names are loaded.

    Loading a submodule sets it as an attribute of its package; these two stay with the functions.
    """

    train = property(lambda self: __getattr__("train"), lambda self, module: None)
    evaluate = property(lambda self: __getattr__("evaluate"), lambda self, module: None)


sys.modules[__name__].__class__ = _Package

if "keras" in sys.modules:  # so that keras.models.load_model knows the methods; nothing is loaded that is not there yet
    importlib.import_module("pga_tf.methods")
