"""The functions that an exported model offers, over a model and a prior that were trained.

Batch-major throughout, so that TensorFlow Serving may merge requests; the batch may be of any size, 0 too. Images are
float32 `[B, H, W, C]` in [0, 1], whatever range the method trains in; of points in the plane, which have no such range,
[0, 1] stands for the range that the method trains in.
"""

import keras
import tensorflow as tf

from pga_tf.core import grids, interfaces, ranges
from pga_tf.serving import gate

UNIT = (0.0, 1.0)
DEFAULT = "sample"


class Served:
    """What is written as a SavedModel. No tf.Module, which would take all of the model's variables along.

    Args:
      model: a trained method. prior: over its codes. image_shape: `(H, W, C)`.
      stored: `Stored` weights to compute with instead of the model's own, or None.
    """

    def __init__(self, model, prior, image_shape, *, stored=None):
        self._model, self._prior, self._shape, self._stored = model, prior, tuple(image_shape), stored
        self._points = grids.is_points(image_shape)

    def module(self, signatures):
        """A tf.Module that holds the variables which `signatures`, of `signatures()`, compute with, and no others."""
        module = tf.Module(name="served")
        module.weights = used_variables(signatures)
        return module

    def signatures(self):
        """dict of signature name to a `tf.function` of tensors by name, which returns a dict of tensors by name.

        Those that this model and prior cannot give are not there.
        """
        image = tf.TensorSpec([None, *self._shape], tf.float32, name="image")
        seed = tf.TensorSpec([None], tf.int64, name="seed")
        code = tf.TensorSpec([None, self._model.latent_dim], tf.float32, name="z")
        found = {"sample": (self._sample, [seed]), "decode": (self._decode, [code])}
        if self._shape[-1] in (1, 3) and not self._points:
            found["sample_png"] = (self._sample_png, [seed])
        if isinstance(self._model, interfaces.Encodes):
            a, b = (tf.TensorSpec(image.shape, tf.float32, name=f"image_{side}") for side in "ab")
            t = tf.TensorSpec([None], tf.float32, name="t")
            found |= {
                "encode": (self._encode, [image]),
                "reconstruct": (self._reconstruct, [image]),
                "interpolate": (self._interpolate, [a, b, t]),
                "score": (self._score, [image]),
            }
        return {
            name: tf.function(self._servable(f), input_signature=s, autograph=False) for name, (f, s) in found.items()
        }

    def _servable(self, function):
        """`function`, of a batch that may be empty, computed with the stored weights where there are any."""

        def call(*inputs):
            # TensorFlow's fused convolutions fail on an empty batch: give them a row of zeros, and take it off again
            count = tf.shape(inputs[0])[0]
            inputs = [_at_least_one_row(value) for value in _of_one_length(inputs)]
            with keras.StatelessScope(state_mapping=self._stored.mapping() if self._stored else []):
                found = function(*inputs)
            return {name: _finite(name, value)[:count] for name, value in found.items()}

        return call

    def _images(self, codes, source):
        images = ranges.rescale(self._model.decode(codes, source=source), self._model.image_range, UNIT)
        return images if self._points else tf.clip_by_value(images, *UNIT)

    def _codes(self, images, name="image"):
        images = tf.ensure_shape(images, [None, *self._shape])
        if self._points:
            images = tf.debugging.check_numerics(images, f"{name}: expected finite numbers")
        else:
            inside = (images >= UNIT[0]) & (images <= UNIT[1])  # false for NaN
            images = _require(inside, images, f"{name}: expected numbers in [0, 1]")
        return self._model.encode(ranges.rescale(images, UNIT, self._model.image_range))

    def _sample(self, seed):
        # not the compiled one, whose one trace would hold the stored weights of the first signature that asked for it
        draw = getattr(self._prior.sample, "python_function", self._prior.sample)
        return {"image": self._images(draw(seed), self._prior.DECODED_AS)}

    def _sample_png(self, seed):
        pixels = ranges.to_uint8(_finite("image", self._sample(seed)["image"]), UNIT)
        return {gate.PNG: tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.TensorSpec([], tf.string))}

    def _decode(self, z):
        z = tf.ensure_shape(z, [None, self._model.latent_dim])
        return {
            "image": self._images(tf.debugging.check_numerics(z, "z: expected finite numbers"), decoded_as(self._model))
        }

    def _encode(self, image):
        return {"z": self._codes(image)}

    def _reconstruct(self, image):
        return {"image": self._images(self._codes(image), "data")}

    def _interpolate(self, image_a, image_b, t):
        t = _require((t >= 0.0) & (t <= 1.0), t, "t: expected numbers in [0, 1]")[:, None]
        z = (1.0 - t) * self._codes(image_a, "image_a") + t * self._codes(image_b, "image_b")
        return {"image": self._images(z, "data")}

    def _score(self, image):
        """Squared error of the reconstruction, mean over pixels, and log p(z) of the code, nats: `[B]` each."""
        z = self._codes(image)
        error = tf.reduce_mean(tf.square(image - self._images(z, "data")), axis=[1, 2, 3])
        found = {"reconstruction_error": error}
        if hasattr(self._prior, "log_prob"):
            found["log_prior"] = self._prior.log_prob(z)
        return found


def _require(holds, values, message):
    """`values`, or an InvalidArgumentError with `message` when the graph runs and not all `holds`."""
    # tf.debugging.Assert would put this into a branch, which takes longer than the check itself
    asserted = tf.raw_ops.Assert(condition=tf.reduce_all(holds), data=[message], summarize=1)
    with tf.control_dependencies([asserted]):
        return tf.identity(values)


def _finite(name, values):
    """`values` of an output, or an InvalidArgumentError where a number is not finite: JSON could not even say it."""
    if not values.dtype.is_floating:
        return values
    return tf.debugging.check_numerics(values, f"output {name} is not finite: the model has no answer to this input")


def _of_one_length(inputs):
    if len(inputs) == 1:
        return inputs
    names = " and ".join(value.name.split(":")[0] for value in inputs)
    equal = [tf.shape(value)[0] == tf.shape(inputs[0])[0] for value in inputs]
    return [_require(equal, value, f"{names}: expected as many rows each") for value in inputs]


def _at_least_one_row(values):
    missing = 1 - tf.minimum(tf.shape(values)[0], 1)
    return tf.concat([values, tf.zeros([missing, *values.shape[1:]], values.dtype)], axis=0)


def decoded_as(model):
    """The source by whose statistics the served `decode` works: it goes with `encode`, where there is one."""
    return "data" if isinstance(model, interfaces.Encodes) else "prior"


def used_variables(signatures):
    """The tf.Variables that traced signatures read, each once: a critic, say, is not among them."""
    found = {id(v.handle): v for function in signatures.values() for v in function.get_concrete_function().variables}
    return list(found.values())


def served_variables(model, prior, signatures):
    """The Keras variables of a model and a prior that `signatures` read."""
    used = {id(v) for v in used_variables(signatures)}
    found = [v for part in (model, prior) if isinstance(part, keras.Model) for v in part.variables]
    return [v for v in found if id(v.value) in used]
