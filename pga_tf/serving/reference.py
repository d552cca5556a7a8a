"""What the Python model gives, signature by signature: what the gate holds an exported model against."""

import numpy as np
import tensorflow as tf

from pga_tf.core import grids, interfaces
from pga_tf.serving import gate
from pga_tf.serving.signatures import UNIT, decoded_as


def arrays(model, prior, image_shape):
    """What the Python model gives for `gate.ROWS` rows: "signature/in/NAME" and "signature/out/NAME" to arrays.

    Computed from the model's own methods in NumPy's terms, not by the functions that are exported. Half of the images
    are samples, as images of the data would be like; the others are noise.
    """
    rng, rows = np.random.default_rng(0), gate.ROWS
    low, high = model.image_range

    def shown(codes, source):
        images = (np.asarray(model.decode(tf.constant(codes), source=source), np.float32) - low) / (high - low)
        return images if grids.is_points(image_shape) else np.clip(images, *UNIT)

    seeds = np.concatenate([np.arange(rows // 2), 2**40 + rng.integers(0, 2**20, rows - rows // 2)])
    z = rng.normal(size=[rows, model.latent_dim]).astype(np.float32)
    samples = shown(prior.sample(tf.constant(seeds)).numpy(), prior.DECODED_AS)
    found = {
        "sample": ({"seed": seeds}, {"image": samples}),
        "decode": ({"z": z}, {"image": shown(z, decoded_as(model))}),
    }
    if image_shape[-1] in (1, 3) and not grids.is_points(image_shape):
        found["sample_png"] = ({"seed": seeds}, {gate.PNG: samples})  # what the pictures show
    if isinstance(model, interfaces.Encodes):
        images = np.concatenate(
            [np.clip(samples[: rows // 2], *UNIT), rng.uniform(size=[rows - rows // 2, *image_shape])]
        )
        images = images.astype(np.float32)[rng.permutation(rows)]
        codes = np.asarray(model.encode(tf.constant(images * (high - low) + low)))
        restored, t = shown(codes, "data"), rng.uniform(size=rows).astype(np.float32)
        other = images[::-1].copy()
        between = (1.0 - t[:, None]) * codes + t[:, None] * codes[::-1]
        score = {"reconstruction_error": np.square(images - restored).mean(axis=(1, 2, 3))}
        if hasattr(prior, "log_prob"):
            score["log_prior"] = np.asarray(prior.log_prob(tf.constant(codes)))
        found |= {
            "encode": ({"image": images}, {"z": codes}),
            "reconstruct": ({"image": images}, {"image": restored}),
            "interpolate": ({"image_a": images, "image_b": other, "t": t}, {"image": shown(between, "data")}),
            "score": ({"image": images}, score),
        }
    return {
        f"{name}/{side}/{key}": value
        for name, sides in found.items()
        for side, arrays in zip(("in", "out"), sides, strict=True)
        for key, value in arrays.items()
    }


def sides(expected, side):
    """dict of signature to dict of name to array, of one side ("in" or "out") of what `arrays` gives."""
    found = {}
    for key, value in expected.items():
        signature, where, name = key.split("/")
        if where == side:
            found.setdefault(signature, {})[name] = value
    return found
