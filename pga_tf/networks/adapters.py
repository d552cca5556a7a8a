"""A user's own Keras models in the roles of a method."""

import collections
import contextlib
import importlib
import os
import re
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.common import global_state  # has no public name

from pga_tf.core import checks
from pga_tf.networks import roles as specs
from pga_tf.networks.norm import code_norm
from pga_tf.networks.sources import SourceLayer, build_layers, call_layers


class Adapted(SourceLayer):
    """A Keras model that knows nothing of sources, as a network of a method; outputs are float32.

    Where the model keeps state, as batch norm does, each segment is a call of its own: no batch statistic is over data
    and samples together, and the running statistics are of all of them. `last`: layers of ours that its output passes.
    """

    def __init__(self, model: keras.Model, *, name: str, last: Sequence[keras.layers.Layer] = ()):
        super().__init__(name=name, autocast=False)
        self.model = model
        self.last = self.adopt("last", last)
        self.by_batch = False  # see norm.batch_statistics
        self.built = True

    def compute_output_shape(self, input_shape: tuple[int, ...]) -> tuple:
        return self.model.compute_output_shape(input_shape)

    def call(
        self, x: tf.Tensor, sources: Sequence[str] = ("data",), training: bool = False
    ) -> tf.Tensor | tuple[tf.Tensor, tf.Tensor]:
        return call_layers(self.last, self._of_segments(x, sources, training), sources, training)

    def _of_segments(self, x, sources, training):
        if len(sources) == 1 or not self.model.non_trainable_variables:
            return self._outputs(x, training)
        parts = [self._outputs(part, training) for part in tf.split(x, len(sources))]
        if isinstance(parts[0], tuple):
            return tuple(tf.concat(outputs, axis=0) for outputs in zip(*parts, strict=True))
        return tf.concat(parts, axis=0)

    def _outputs(self, x, training):
        if training or not self.by_batch:
            return _plain(self.model(x, training=training))
        kept = self.model.trainable_variables, self.model.non_trainable_variables
        return _plain(self.model.stateless_call(*kept, x, training=True)[0])  # what would move is let go


def _plain(outputs):
    """A tensor, or a tuple of them: Keras gives lists of functional models."""
    if isinstance(outputs, (list, tuple)):
        return tuple(tf.cast(output, tf.float32) for output in outputs)
    return tf.cast(outputs, tf.float32)


def adapted(
    wanted: Mapping[str, Any],
    given: Mapping[str, keras.Model],
    *,
    latent_dim: int | None = None,
    image_shape: Sequence[int] | None = None,
) -> tuple[dict[str, keras.layers.Layer], int, tuple[int, ...]]:
    """(networks by role, latent size, image shape) of a user's own Keras models.

    Args:
      wanted: dict of role to spec. given: dict of role to Keras model. latent_dim, image_shape: where they are given,
        the sizes must be these; else they are read off the encoder, or off the decoder where there is none.

    Raises `InputError` for a model that does not fit its role: a standard deviation that is missing or too much, a
    latent size or an image shape that is another one, a model whose input shape is not known.
    """
    image_shape = tuple(image_shape or _input_shape(given, wanted, specs.Encoder, "image_shape") or ())
    if "encoder" in given:
        found = _encoder_size(given["encoder"], wanted["encoder"], image_shape)
        if latent_dim not in (None, found):
            _refuse(
                "encoder", f"codes of latent_dim={latent_dim}", f"codes of {found} dimensions", "leave latent_dim out"
            )
        latent_dim = found
    latent_dim = latent_dim or (_input_shape(given, wanted, specs.Decoder, "latent_dim") or [None])[0]
    image_shape = image_shape or tuple(_tried("decoder", given["decoder"], (latent_dim,)).shape[1:])
    made = {name: _in_role(name, wanted[name], model, image_shape, latent_dim) for name, model in given.items()}
    return made, latent_dim, image_shape


def imported(name: str, spec: Any, path: str, image_shape: Sequence[int], latent_dim: int) -> keras.layers.Layer:
    """The network of role `name` that a user's function makes, checked against its role.

    Args:
      path: "PACKAGE.MODULE:FUNCTION", a function of (image_shape, latent_dim) that returns a Keras model. The folder
        that the process was started in counts as a place to import from.

    Raises `InputError` where it cannot be imported or called, and for a model that does not fit its role.
    """
    function = _function(name, path)
    try:
        with _names_from_the_start():
            model = function(tuple(image_shape), latent_dim)
    except checks.InputError:
        raise
    except (Exception, SystemExit) as error:  # whatever a user's code raises
        _refuse(
            f"{name} {path}",
            f"a function of (image_shape={tuple(image_shape)}, latent_dim={latent_dim})",
            f"{type(error).__name__}: {_reason(error)} ({_place(error)})",
            "mend it there",
        )
    if isinstance(spec, specs.Encoder):
        found = _encoder_size(model, spec, tuple(image_shape))
        if found != latent_dim:
            remedy = "make it give as many as its second argument says"
            _refuse(f"{name} {path}", f"codes of --latent_dim={latent_dim}", f"codes of {found} dimensions", remedy)
    return _in_role(name, spec, model, tuple(image_shape), latent_dim)


@contextlib.contextmanager
def _names_from_the_start():
    """Layers made inside are called as in a new process, dense and not dense_7: checkpoints go by these names."""
    kept = global_state.get_global_attribute("object_name_uids")
    global_state.set_global_attribute("object_name_uids", collections.defaultdict(int))
    try:
        yield
    finally:
        global_state.set_global_attribute("object_name_uids", kept)


def _function(name, path):
    module, colon, attribute = path.partition(":")
    if not (module and colon and attribute):
        _refuse(name, "PACKAGE.MODULE:FUNCTION", repr(path), f"write --{name}=my_networks:{name}")
    if os.getcwd() not in sys.path and "" not in sys.path:  # as `python -m` has it, and a console script has not
        sys.path.append(os.getcwd())
    try:
        function = importlib.import_module(module)
        for part in attribute.split("."):
            function = getattr(function, part)
    except (Exception, SystemExit) as error:  # whatever a module raises when it is run
        loaded = sys.modules.get(module)
        if isinstance(error, AttributeError) and loaded is not None and not hasattr(loaded, attribute.split(".")[0]):
            close = checks.nearest(attribute, [known for known in dir(loaded) if known[0] != "_"])
            remedy = f"did you mean {module}:{close}" if close else "correct its name"
            _refuse(f"{name} {path}", f"a function of module {module}", str(error), remedy)
        _refuse(
            f"{name} {path}",
            "a function that can be imported",
            f"{type(error).__name__}: {_reason(error)}",
            "start in the folder that holds the module, put that on PYTHONPATH, or install its package",
        )
    if not callable(function):
        _refuse(f"{name} {path}", "a function of (image_shape, latent_dim)", type(function).__name__, "name another")
    return function


def _in_role(name, spec, model, image_shape, latent_dim):
    """A Keras model as the network of role `name`. Raises `InputError` for one that does not fit `spec`."""
    if getattr(spec, "spectral", False):
        _refuse(
            name,
            "a network of this package, whose kernels the method divides by their spectral norm",
            "a model of your own",
            "choose the method's other norm, and wrap your layers in keras.layers.SpectralNormalization",
        )
    if isinstance(spec, specs.Encoder):
        _require_no_batch_norm(name, spec, model)
        last = code_norm(spec.code_norm)
        build_layers(last, (None, latent_dim))
        return Adapted(model, name=name, last=last)
    if isinstance(spec, specs.Decoder):
        found, wanted = tuple(_tried(name, model, (latent_dim,)).shape[1:]), tuple(image_shape)
        if found != wanted:
            _refuse(name, f"images {wanted}", f"{found}", "give it the encoder's input shape")
    if isinstance(spec, specs.Critic):
        given = image_shape if spec.of == "images" else (latent_dim,)
        found = _tried(name, model, given)
        wanted, what, remedy = (1,), "one number for each example, [B, 1]", "end it in a Dense(1)"
        if spec.output != "logit":
            wanted = tuple(image_shape)
            what, remedy = f"images {wanted}, as it takes", "make it an autoencoder of images"
        if isinstance(found, tuple) or tuple(found.shape[1:]) != wanted:
            received = "several outputs" if isinstance(found, tuple) else f"{tuple(found.shape)}"
            _refuse(name, what, received, remedy)
    if isinstance(spec, specs.Mapping):
        found, size = _tried(name, model, (latent_dim,)), spec.outputs * latent_dim
        if isinstance(found, tuple) or tuple(found.shape[1:]) != (size,):
            received = "several outputs" if isinstance(found, tuple) else f"{tuple(found.shape)}"
            _refuse(name, f"vectors of {size} numbers, [B, {size}]", received, f"end it in a Dense({size})")
    return Adapted(model, name=name)


def _require_no_batch_norm(name, spec, model):
    if spec.batch_norm:
        return
    if any(isinstance(layer, keras.layers.BatchNormalization) for layer in model._flatten_layers()):
        _refuse(
            name,
            "a model without batch norm: its slope is penalised at each image, which others must not enter",
            "one with BatchNormalization",
            "leave that out",
        )


def _input_shape(given, wanted, kind, keyword):
    """Shape of one example that the model of the role of `kind` takes, or None where there is no such role."""
    name = next((name for name in given if isinstance(wanted[name], kind)), None)
    if name is None:
        return None
    model = given[name]
    shape = getattr(model, "input_shape", None) if getattr(model, "inputs", None) else None
    shapes = getattr(model, "_build_shapes_dict", None)
    if shape is None and shapes:
        shape = next(iter(shapes.values()))
    if shape is None:
        _refuse(
            name, "a model whose input shape is known", "one that was never called", f"call it once, or pass {keyword}="
        )
    return tuple(shape[1:])


def _encoder_size(model, spec, image_shape):
    outputs = _tried("encoder", model, image_shape)
    many = isinstance(outputs, tuple)
    if spec.stochastic and not (many and len(outputs) == 2 and outputs[0].shape == outputs[1].shape):
        received = "one output" if not many else ", ".join(str(tuple(o.shape)) for o in outputs)
        _refuse(
            "encoder", "two outputs of one shape, mean and standard deviation", received, "add the other, as softplus"
        )
    if spec.stochastic and float(tf.reduce_min(outputs[1])) < 0.0:
        _refuse("encoder", "a standard deviation above 0", "a negative one", "end it in a softplus or an exponential")
    if not spec.stochastic and many:
        _refuse("encoder", "one output, the codes", f"{len(outputs)} outputs", "leave the standard deviation out")
    codes = outputs[0] if many else outputs
    if len(codes.shape) != 2:
        _refuse("encoder", "codes [B, latent_dim]", f"{tuple(codes.shape)}", "flatten them")
    return codes.shape[1]


def _tried(name, model, shape):
    """What `model` gives for two examples of `shape`."""
    if not isinstance(model, keras.Model):
        _refuse(name, "a Keras model", type(model).__name__, "wrap it in keras.Sequential")
    try:
        return _plain(model(tf.constant(np.zeros([2, *shape], np.float32))))
    except Exception as error:  # whatever layers raise for an input of another shape
        reason = _reason(error)
        return _refuse(name, f"a model that takes [B, {', '.join(map(str, shape))}]", reason, "change its input shape")


def _place(error):
    """File and line where an error was raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{os.path.basename(last.filename)}, line {last.lineno}"


def _reason(error):
    """The line of an error that says why; Keras puts where it was before that, and colours it."""
    lines = [re.sub("\x1b\\[[0-9;]*m", "", line).strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith("Exception encountered when calling")]
    return told[0].removesuffix(".") if told else type(error).__name__


def _refuse(name, expected, received, remedy):
    checks.refuse(f"The {name}", expected=expected, received=received, remedy=remedy)
