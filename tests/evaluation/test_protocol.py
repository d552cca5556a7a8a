"""Cards tell scores apart; statistics of real images come back from disk as they were, or are built anew."""

import json
import os

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from pga_tf.evaluation import features, protocol, statistics
from pga_tf.evaluation.moments import Moments

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 4, 4, 1), np.uint8)
KEY = {"a": [1, 2], "b": {"c": "d"}}
extract = features.load("pixels").extractor()


def batches(size=25):
    return [IMAGES[i : i + size] for i in range(0, len(IMAGES), size)]


def build():
    return statistics.collect(batches(), extract)


def assert_same(a, b):
    assert a.moments.count == b.moments.count
    np.testing.assert_array_equal(a.moments.mean, b.moments.mean)
    np.testing.assert_array_equal(a.moments.covariance(), b.moments.covariance())
    np.testing.assert_array_equal(a.features, b.features)


def test_streaming_keeps_all_moments_and_the_first_features():
    found = statistics.collect(batches(7), extract, keep=20)
    flat = IMAGES.reshape(60, -1).astype(np.float64)
    np.testing.assert_allclose(found.moments.mean, flat.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.moments.covariance(), np.cov(flat.T), rtol=1e-10)
    np.testing.assert_array_equal(found.features, flat[:20].astype(np.float32))


def test_moments_are_summed_part_by_part(monkeypatch):
    """As Beam's workers sum them; more than one part, the last of them not whole."""
    monkeypatch.setattr(statistics, "PART", 20)
    found = statistics.collect(batches(10), extract).moments
    flat, parts = extract(IMAGES), Moments(16)
    for start in (0, 20, 40):
        part = Moments(16)
        for first in (start, start + 10):
            part.add(flat[first : first + 10])
        parts.merge(part)
    np.testing.assert_array_equal(found.mean, parts.mean)
    np.testing.assert_array_equal(found.scatter, parts.scatter)
    at_45 = lambda images: np.where((images == IMAGES[45]).all((1, 2, 3))[:, None], np.nan, extract(images))
    with pytest.raises(InputError, match="first for image 45"):
        statistics.collect(batches(10), at_45)


def test_no_score_for_one_image_or_for_equal_ones():
    with pytest.raises(InputError, match="at least 2, received 1"):
        statistics.collect([IMAGES[:1]], extract)
    with pytest.raises(InputError, match="at least 2, received 0"):
        statistics.collect([], extract)
    with pytest.raises(InputError, match="differ from each other, received 30 equal ones"):
        statistics.collect([IMAGES[:1].repeat(15, axis=0)] * 2, extract)


def test_the_cache_gives_back_what_was_put_in_and_does_not_build_again(tmp_path):
    cache = statistics.Cache(tmp_path / "cache", warn=pytest.fail)
    first = cache.get(KEY, build)
    assert_same(cache.get(KEY, lambda: pytest.fail("built again")), first)
    assert [p.suffix for p in (tmp_path / "cache").iterdir()] == [".npz"]  # no temporary file stays
    built = []
    cache.get({**KEY, "a": [1, 3]}, lambda: built.append(1) or build())
    assert built == [1]


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "other"])
def test_a_damaged_file_is_built_anew_with_a_warning(tmp_path, damage):
    warnings = []
    cache = statistics.Cache(tmp_path, warn=warnings.append)
    good = cache.get(KEY, build)
    (path,) = tmp_path.iterdir()
    content = path.read_bytes()
    if damage == "other":
        cache.get({"another": "key"}, build)
        (other,) = (p for p in tmp_path.iterdir() if p != path)
        content = other.read_bytes()
        other.unlink()
    path.write_bytes({"cut": content[: len(content) // 2], "garbage": b"x" * 99, "empty": b""}.get(damage, content))
    assert_same(cache.get(KEY, build), good)
    assert len(warnings) == 1
    assert str(path) in warnings[0]
    assert_same(cache.get(KEY, lambda: pytest.fail("not repaired")), good)


def test_a_cache_that_cannot_be_written_costs_a_warning_and_no_score(tmp_path):
    (tmp_path / "file").write_text("in the way")
    warnings = []
    assert_same(statistics.Cache(tmp_path / "file" / "cache", warn=warnings.append).get(KEY, build), build())
    assert "not kept" in warnings[0]


def test_a_write_that_fails_leaves_no_file(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "replace", full)
    statistics.Cache(tmp_path, warn=str).get(KEY, build)
    assert not list(tmp_path.iterdir())


def test_the_card_names_all_that_a_score_depends_on():
    network = features.load("digits")
    card = protocol.card(network, real={"dataset": "digits", "count": 297}, generated={"count": 10, "seeds": [0, 1]})
    flat = protocol.flat(card)
    assert flat["features.sha256"] == network.sha256
    assert flat["features.resize"] == "bicubic, antialiased"
    assert flat["protocol"] == "ours"
    assert flat["scoring"] == protocol.SCORING
    assert flat["real.count"] == 297
    assert flat["generated.seeds"] == [0, 1]
    assert {f"versions.{name}" for name in protocol.LIBRARIES} <= flat.keys()
    assert json.loads(json.dumps(card)) == card


def test_differences_name_the_entries():
    a = {"real": {"count": 1, "split": "test"}, "x": 1}
    b = {"real": {"count": 2, "split": "test"}}
    assert protocol.differences([a, b]) == {"real.count": [1, 2], "x": [1, None]}
    assert protocol.digest(a) != protocol.digest(b)
    assert protocol.digest(a) == protocol.digest(dict(reversed(a.items())))


def test_what_a_system_is_made_of_is_no_reason_to_set_its_scores_apart():
    features = {"features": {"network": "digits"}}
    autoencoder = {"prior": "mixture", "encoder": "one", "batch_norm": "no batch norm", "weights": "as trained"}
    gan = {"prior": "uniform", "encoder": "none", "batch_norm": "running, of prior codes", "weights": "moving average"}
    cards = [features | {"generated": {"checkpoint": "last", **found}} for found in (autoencoder, gan)]
    assert protocol.digest(cards[0]) == protocol.digest(cards[1])
    assert not protocol.differences(cards)
    chosen = features | {"generated": {"checkpoint": "best", **gan}}
    assert protocol.digest(chosen) != protocol.digest(cards[1])
    assert list(protocol.differences([cards[0], chosen])) == ["generated.checkpoint"]
