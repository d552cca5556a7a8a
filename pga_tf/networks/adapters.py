"""A user's own Keras models in the roles of a method."""

import keras
import numpy as np
import tensorflow as tf

from pga_tf.core import checks
from pga_tf.networks import roles as specs
from pga_tf.networks.sources import SourceLayer


class Adapted(SourceLayer):
    """A Keras model that knows nothing of sources, as a network of a method; outputs are float32.

    Where the model keeps state, as batch norm does, each segment is a call of its own: no batch statistic is over data
    and samples together, and the running statistics are of all of them.
    """

    def __init__(self, model, *, name):
        super().__init__(name=name, autocast=False)
        self.model = model
        self.built = True

    def compute_output_shape(self, input_shape):
        return self.model.compute_output_shape(input_shape)

    def call(self, x, sources=("data",), training=False):
        if len(sources) == 1 or not self.model.non_trainable_variables:
            return _plain(self.model(x, training=training))
        parts = [_plain(self.model(part, training=training)) for part in tf.split(x, len(sources))]
        if isinstance(parts[0], tuple):
            return tuple(tf.concat(outputs, axis=0) for outputs in zip(*parts, strict=True))
        return tf.concat(parts, axis=0)


def _plain(outputs):
    """A tensor, or a tuple of them: Keras gives lists of functional models."""
    if isinstance(outputs, (list, tuple)):
        return tuple(tf.cast(output, tf.float32) for output in outputs)
    return tf.cast(outputs, tf.float32)


def adapted(wanted, given, *, latent_dim=None, image_shape=None):
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
    decoded = _tried("decoder", given["decoder"], (latent_dim,))
    if image_shape and tuple(decoded.shape[1:]) != image_shape:
        _refuse("decoder", f"images {image_shape}", f"{tuple(decoded.shape[1:])}", "give it the encoder's input shape")
    return {name: Adapted(model, name=name) for name, model in given.items()}, latent_dim, tuple(decoded.shape[1:])


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
        reason = str(error).strip().splitlines()[0]
        return _refuse(name, f"a model that takes [B, {', '.join(map(str, shape))}]", reason, "change its input shape")


def _refuse(name, expected, received, remedy):
    checks.refuse(f"The {name}", expected=expected, received=received, remedy=remedy)
