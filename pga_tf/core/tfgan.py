"""TF-GAN's losses and metrics, without the rest of TF-GAN. Nothing else may import TF-GAN.

`import tensorflow_gan` fails on TensorFlow 2.16 and later, which has no `tf.estimator`. Its leaf modules do not need
that: they are loaded under stand-ins for their parent packages, which run no code. `tf` itself is left as it is.
"""

import functools
import importlib
import importlib.util
import pathlib
import sys
import types


@functools.cache
def _root():
    """Folder of the package; asked once, before a stand-in answers in its place."""
    return pathlib.Path(importlib.util.find_spec("tensorflow_gan").origin).parent


def _load(leaf):
    """Imports `tensorflow_gan.python.LEAF` without running the `__init__` of any parent package."""
    root = _root()
    name = f"tensorflow_gan.python.{leaf}"
    parents = name.split(".")[:-1]
    for depth in range(1, len(parents) + 1):
        parent = ".".join(parents[:depth])
        if parent not in sys.modules:
            stand_in = types.ModuleType(parent, "Stand-in of pga_tf.core.tfgan: a path, no code.")
            stand_in.__path__ = [str(root.joinpath(*parents[1:depth]))]
            sys.modules[parent] = stand_in
    return importlib.import_module(name)


def losses() -> types.ModuleType:
    """TF-GAN's `losses_impl`. Pass `reduction=NONE`, and `label_smoothing=0` where there is such an argument."""
    return _load("losses.losses_impl")


def metrics() -> types.ModuleType:
    """TF-GAN's `classifier_metrics`."""
    return _load("eval.classifier_metrics")
