"""Models whose answers are known: linear maps between codes and small images."""

import numpy as np

from pga_tf.evaluation import features, measures

SHAPE, DIM = (4, 4, 1), 3
MIXING = np.linalg.qr(np.random.default_rng(1).normal(size=(16, DIM)))[0].T * 20.0
extract = features.load("pixels").extractor()


def decode(codes, source="data"):
    return np.clip(np.round(codes @ MIXING + 128.0), 0, 255).astype(np.uint8).reshape(-1, *SHAPE)


def encode(images):
    return ((images.reshape(len(images), -1) - 128.0) @ np.linalg.pinv(MIXING)).astype(np.float32)


def codes_of(seed, start, count):
    return np.random.default_rng([7, seed]).normal(size=(start + count, DIM)).astype(np.float32)[start:]


def subject(shift=0.0, **parts):
    """A lossless autoencoder whose samples' codes are off by `shift`; `parts` replace what it has."""
    return measures.Subject(
        **{
            "sample": lambda seed, start, count: decode(codes_of(seed, start, count) + shift),
            "prior": lambda count: codes_of(99, 0, count),
            "encode": encode,
            "decode": decode,
            "recode": lambda codes, source: codes + (0.5 if source == "prior" else 0.0),
            "posterior_stddev": None,
            "log_det": None,
        }
        | parts
    )


def decoder(**parts):
    """The same without an encoder."""
    return subject(**{"encode": None, "recode": None} | parts)


HELD_OUT, TRAINING = decode(codes_of(1, 0, 2000)), decode(codes_of(2, 0, 2000))
