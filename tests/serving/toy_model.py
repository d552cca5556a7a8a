"""A SavedModel with the signatures of an exported autoencoder: 8x8 grey images, 4 code dimensions, one matrix.

`write(base, name, version)` makes a version directory that appears whole, as the export does. `gain` scales the
decoder's logits, so that two versions can be told apart by what they answer.
"""

import json
import os
import pathlib
import tempfile

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

IMAGE, DIM = (8, 8, 1), 4
IMAGES, CODES, VECTOR = [None, *IMAGE], [None, DIM], [None]


def _require(name, x, low=None, high=None):
    """`x`, once it is known to be finite and within [low, high]: InvalidArgumentError in the graph otherwise."""
    checks = [tf.debugging.Assert(tf.reduce_all(tf.math.is_finite(x)), [f"{name} holds NaN or infinity"])]
    if low is not None:
        inside = tf.reduce_all((x >= low) & (x <= high))
        checks.append(tf.debugging.Assert(inside, [f"{name} lies outside [{low}, {high}]"]))
    with tf.control_dependencies(checks):
        return tf.identity(x)


class Toy(tf.Module):
    """A tied linear autoencoder: z = (2 x - 1) W', x = sigmoid(gain z W)."""

    def __init__(self, gain):
        super().__init__()
        weights = np.random.default_rng(0).normal(0.0, 0.3, (DIM, int(np.prod(IMAGE)))).astype(np.float32)
        self.weights = tf.Variable(weights, name="weights")
        self.gain = tf.Variable(gain, dtype=tf.float32, name="gain")

    def codes(self, seed):
        def one(value):
            return tf.random.stateless_normal([DIM], seed=tf.stack([value, 0]), alg="philox")

        return tf.map_fn(one, seed, fn_output_signature=tf.TensorSpec([DIM], tf.float32))

    def decoded(self, z):
        return tf.reshape(tf.sigmoid(self.gain * (z @ self.weights)), [-1, *IMAGE])

    def encoded(self, image):
        flat = tf.reshape(_require("image", image, 0.0, 1.0), [-1, self.weights.shape[1]])
        return tf.matmul(2.0 * flat - 1.0, self.weights, transpose_b=True)

    def sample(self, seed):
        return {"image": self.decoded(self.codes(seed))}

    def sample_png(self, seed):
        pixels = tf.cast(tf.round(255.0 * self.decoded(self.codes(seed))), tf.uint8)
        return {"png_bytes": tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.TensorSpec([], tf.string))}

    def decode(self, z):
        return {"image": self.decoded(_require("z", z))}

    def encode(self, image):
        return {"z": self.encoded(image)}

    def reconstruct(self, image):
        return {"image": self.decoded(self.encoded(image))}

    def interpolate(self, image_a, image_b, t):
        weight = _require("t", t, 0.0, 1.0)[:, None]
        return {"image": self.decoded(self.encoded(image_a) * (1.0 - weight) + self.encoded(image_b) * weight)}

    def score(self, image):
        z = self.encoded(image)
        error = tf.reduce_mean(tf.square(self.decoded(z) - image), axis=[1, 2, 3])
        log_prior = -0.5 * (tf.reduce_sum(tf.square(z), axis=1) + DIM * np.log(2.0 * np.pi))
        return {"reconstruction_error": error, "log_prior": log_prior}


INPUTS = {
    "sample": {"seed": (VECTOR, tf.int64)},
    "sample_png": {"seed": (VECTOR, tf.int64)},
    "decode": {"z": (CODES, tf.float32)},
    "encode": {"image": (IMAGES, tf.float32)},
    "reconstruct": {"image": (IMAGES, tf.float32)},
    "interpolate": {
        "image_a": (IMAGES, tf.float32),
        "image_b": (IMAGES, tf.float32),
        "t": (VECTOR, tf.float32),
    },
    "score": {"image": (IMAGES, tf.float32)},
}


def write(base, name="toy", version=1, *, gain=1.0, warmup=(), leave_out=()):
    """Writes `base/name/version` and returns its path. `warmup`: (signature, dict of inputs) pairs."""
    folder = pathlib.Path(base) / name
    folder.mkdir(parents=True, exist_ok=True)
    toy = Toy(gain)
    signatures = {}
    for key in INPUTS.keys() - set(leave_out):
        specs = {arg: tf.TensorSpec(shape, dtype, name=arg) for arg, (shape, dtype) in INPUTS[key].items()}
        signatures[key] = tf.function(getattr(toy, key), autograph=False).get_concrete_function(**specs)
    if "sample" in signatures:
        signatures["serving_default"] = signatures["sample"]
    with tempfile.TemporaryDirectory(prefix=".writing", dir=folder) as temporary:
        made = pathlib.Path(temporary) / "model"
        tf.saved_model.save(toy, str(made), signatures=signatures)
        extra = made / "assets.extra"
        extra.mkdir()
        (extra / "model_card.json").write_text(json.dumps({"name": name, "version": version}))
        if warmup:
            with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as file:
                for signature, inputs in warmup:
                    file.write(_log(name, signature, inputs).SerializeToString())
        os.rename(made, folder / str(version))
    return folder / str(version)


def _log(name, signature, inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name, request.model_spec.signature_name = name, signature
    for key, value in inputs.items():
        request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
    return prediction_log_pb2.PredictionLog(predict_log=prediction_log_pb2.PredictLog(request=request))


def images(count, seed=0):
    """float32 `[count, 8, 8, 1]` in [0, 1]."""
    return np.random.default_rng(seed).random((count, *IMAGE), np.float32)


def config(base, *entries):
    """The text of a models.config. Each entry: (name, text of further fields)."""
    blocks = [
        f'config {{ name: "{name}" base_path: "{base}/{name}" model_platform: "tensorflow" {more} }}'
        for name, more in entries
    ]
    return "model_config_list { " + "\n".join(blocks) + " }\n"
