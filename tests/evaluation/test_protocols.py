"""Protocols by name: the legacy resize against its index arithmetic, rounding, batch norm of samples, names."""

import numpy as np
import pytest
import tensorflow as tf

from pga_tf.core import ranges
from pga_tf.core.checks import InputError
from pga_tf.evaluation import features, protocol, resizing
from pga_tf.evaluation.protocols import OURS, PROTOCOLS, Protocol
from pga_tf.runs import drawing
from pga_tf.runs.assessment import Request
from tests.methods.builders import LATENT, build


def resized(image, height, width):
    """TensorFlow 1's ResizeBilinear without align_corners, index by index: `[H, W, C]` to `[height, width, C]`."""
    rows, columns, channels = image.shape
    out = np.zeros((height, width, channels))
    for i in range(height):
        y = i * (rows / height)
        top = int(np.floor(y))
        bottom = min(top + 1, rows - 1)
        for j in range(width):
            x = j * (columns / width)
            left = int(np.floor(x))
            right = min(left + 1, columns - 1)
            for c in range(channels):
                above = image[top, left, c] + (image[top, right, c] - image[top, left, c]) * (x - left)
                below = image[bottom, left, c] + (image[bottom, right, c] - image[bottom, left, c]) * (x - left)
                out[i, j, c] = above + (below - above) * (y - top)
    return out


@pytest.mark.parametrize(
    ("size", "target"), [((28, 28), (75, 75)), ((32, 32), (75, 60)), ((8, 8), (5, 3)), ((7, 4), (16, 9))]
)
def test_the_legacy_resize_is_that_of_the_old_kernel(size, target):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.float32)
    ours = resizing.legacy(tf.constant(image[None]), target)[0]
    np.testing.assert_allclose(ours, resized(image.astype(np.float64), *target), atol=2e-2)
    assert np.abs(ours - resizing.antialiased(tf.constant(image[None]), target)[0]).max() > 10.0


def test_a_feature_network_is_given_images_as_the_protocol_resizes_them():
    def network(name):
        resize = Request(cache_dir="", protocol=name).named_protocol.resize
        return features.FeatureNetwork("flat", "", (5, 6, 1), 30, lambda x: tf.reshape(x, [-1, 30]), resize)

    images = np.random.default_rng(0).integers(0, 256, (2, 9, 9, 1)).astype(np.uint8)
    expected = [resized(image.astype(np.float64), 5, 6).ravel() for image in images]
    for name in ("pga", "dai_wipf", "prior_free"):
        np.testing.assert_allclose(network(name).extractor()(images), expected, atol=1e-3)
    assert np.abs(network(OURS).extractor()(images) - expected).max() > 1.0
    assert network("pga").card()["resize"] != network(OURS).card()["resize"]  # and with it the cache of statistics


def test_protocols_are_those_of_the_papers():
    # METHODS_2.md, section 15, and table 1 of the prior-free paper, typed by hand
    assert PROTOCOLS["pga"] == Protocol("pga", "train", 5000, 3, "legacy", "down", 1000)
    assert PROTOCOLS["dai_wipf"] == Protocol("dai_wipf", "test", 10000, 3, "legacy", "nearest", 0)
    assert PROTOCOLS["prior_free"] == Protocol("prior_free", "train", 50000, 1, "legacy", "nearest", 0)
    assert PROTOCOLS[OURS] == Protocol(OURS, "test", 10000, 3, "antialiased", "nearest", 0)


@pytest.mark.parametrize(
    ("name", "asked", "told"),
    [
        ("pga", {}, "pga"),
        ("pga", {"num_samples": 5000, "split": "train", "num_real": 0}, "pga"),
        ("pga", {"num_samples": 100, "split": "train"}, "pga, but num_samples=100"),
        ("dai_wipf", {"split": "train", "num_real": 50}, "dai_wipf, but split=train, num_real=50"),
        ("ours", {"num_samples": 100}, "ours"),
    ],
)
def test_what_a_protocol_was_changed_in_stands_in_its_name(name, asked, told):
    assert PROTOCOLS[name].told(**asked) == told


def test_a_request_leaves_to_the_protocol_what_it_does_not_say():
    asked = Request(cache_dir="", protocol="pga").of_a_run()
    assert (asked.num_samples, asked.seeds, asked.split) == (5000, 3, "train")
    asked = Request(cache_dir="", protocol="pga", num_samples=70, seeds=1, split="test").of_a_run()
    assert (asked.num_samples, asked.seeds, asked.split) == (70, 1, "test")
    with pytest.raises(InputError, match=r"--num_samples with --protocol=pga: expected batches of 1000"):
        Request(cache_dir="", protocol="pga", num_samples=2001).of_a_run()
    Request(cache_dir="", num_samples=2001).of_a_run()
    with pytest.raises(InputError, match=r"--protocol.*pgb"):
        Request(cache_dir="", protocol="pgb").of_a_run()


def test_scores_of_two_protocols_have_two_names_and_two_cards():
    network = features.load("digits")
    real, generated = {"dataset": "digits", "split": "train", "count": 9}, {"count": 5000}
    requests = {name: Request(cache_dir="", protocol=name) for name in PROTOCOLS}
    cards = {name: request.card(network, real=real, generated=generated) for name, request in requests.items()}
    assert len({protocol.digest(card) for card in cards.values()}) == len(PROTOCOLS)
    assert requests["pga"].names(network)["frechet"] == "Frechet distance (digits features), protocol pga"
    assert requests[OURS].names(network)["kernel"] == "Kernel distance (digits features)"
    assert cards["pga"]["quantisation"] == "uint8; samples are rounded down"
    assert cards["dai_wipf"]["protocol"] == "dai_wipf, but num_samples=5000, split=train"
    before = {name: value for name, value in cards[OURS].items() if name != "protocol"}  # a card of an older version
    assert protocol.digest(before) == protocol.digest(cards[OURS])
    assert not protocol.differences([before, cards[OURS]])


def test_rounding_down_truncates():
    values = tf.constant([-3.0, 0.0, 0.4, 0.6, 1.0, 254.9, 255.0, 260.0])
    np.testing.assert_array_equal(ranges.to_uint8(values, ranges.UINT8, "down"), [0, 0, 0, 0, 1, 254, 255, 255])
    np.testing.assert_array_equal(ranges.to_uint8(values, ranges.UINT8), [0, 0, 0, 1, 1, 255, 255, 255])


class Fixed:
    """A prior whose codes are those of a table."""

    DECODED_AS = "prior"
    codes = np.random.default_rng(1).normal(size=(7, LATENT)).astype(np.float32)

    def sample(self, seeds):
        return tf.gather(self.codes, seeds)


def test_samples_of_a_protocol_are_normalised_by_their_own_batch_and_truncated():
    model = build("lpga", batch_norm="per_source")
    before = [v.numpy() for v in model.decoder.non_trainable_variables]
    published = drawing.Drawing(model, Fixed(), "fixed", Protocol("mine", "test", 7, 1, "legacy", "down", norm_batch=3))
    samples = published.samples_of(np.arange(7)[:6])
    assert all((v.numpy() == old).all() for v, old in zip(model.decoder.non_trainable_variables, before, strict=True))
    plain = drawing.Drawing(model, Fixed(), "fixed")
    np.testing.assert_array_equal(published.decode(Fixed.codes, "data"), plain.decode(Fixed.codes, "data"))
    for start in (0, 3):  # what training does with such a batch
        codes = tf.constant(Fixed.codes[start : start + 3])
        images = model.decoder(codes, sources=("prior",), training=True).numpy()
        expected = np.floor(np.clip((images + 1.0) * 127.5, 0.0, 255.0))
        assert np.abs(samples[start : start + 3] - expected).max() <= 1.0  # float32 at an edge
        assert (samples[start : start + 3] == expected).mean() > 0.99
    assert (samples != plain.samples_of(np.arange(6))).mean() > 0.5
