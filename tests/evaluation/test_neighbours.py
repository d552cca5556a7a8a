"""Nearest training images against brute force, copies by their pixels, and the ratio that both give."""

import tracemalloc

import numpy as np
import pytest

from pga_tf.evaluation import measures, neighbours, statistics
from tests.evaluation.toys import SHAPE, TRAINING, codes_of, decode, extract

RNG = np.random.default_rng(0)
UNSEEN = decode(codes_of(5, 0, 400))
UNSEEN = UNSEEN[~np.isin(neighbours.digests(UNSEEN), neighbours.digests(TRAINING))]


def drawn(images):
    return measures.Drawn(statistics.collect([images], extract), neighbours.digests(images), images[:100])


def memory(images, held_out, training=TRAINING, kept=0, extract=extract):
    batches = [training[i : i + 300] for i in range(0, len(training), 300)]
    return neighbours.memory(drawn(images), held_out, batches, extract(training[:kept]) if kept else [], extract)


def test_nearest_equals_brute_force_however_the_pool_arrives(monkeypatch):
    monkeypatch.setattr(neighbours, "BLOCK", 11)
    pool, queries = (RNG.normal(size=(n, 5)).astype(np.float32) for n in (1300, 30))
    queries[3] = pool[700]
    brute = np.linalg.norm(queries[:, None].astype(np.float64) - pool[None], axis=2)
    for sizes in ([], [1, 2, 900], [650]):
        found = neighbours.Nearest(queries)
        for part in np.split(pool, sizes):
            found.add(part)
        assert found.seen == len(pool)
        np.testing.assert_array_equal(found.index, brute.argmin(axis=1))
        np.testing.assert_allclose(found.distance, brute.min(axis=1), rtol=1e-12)
        assert found.distance[3] == 0.0


def test_nearest_does_not_grow_with_the_pool():
    found, pool = neighbours.Nearest(RNG.normal(size=(50, 16))), RNG.normal(size=(100_000, 16))
    tracemalloc.start()
    try:
        found.add(pool)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * neighbours.BLOCK * (50 + 16) * 8  # all distances at once are 6 times as much


def test_digests_are_equal_for_equal_images_only():
    images = RNG.integers(0, 256, (50, *SHAPE), np.uint8)
    found = neighbours.digests(images)
    assert found.dtype == np.uint64
    assert len(set(found.tolist())) == 50
    np.testing.assert_array_equal(neighbours.digests(images[::-1])[::-1], found)
    changed = images.copy()
    changed[7, 0, 0, 0] ^= 1
    np.testing.assert_array_equal(neighbours.digests(changed) == found, np.arange(50) != 7)


def test_samples_as_new_as_unseen_images_have_ratio_1_and_remembered_ones_less():
    fresh, pairs = memory(decode(codes_of(6, 0, 1000)), UNSEEN)
    assert fresh["ratio"] == pytest.approx(1.0, abs=0.15)
    assert (fresh["training_images"], fresh["samples"], fresh["held_out_images"]) == (2000, 1000, len(UNSEEN))
    assert pairs.shape == (10, 2, *SHAPE)
    nudged = TRAINING[:500].copy()
    nudged[:, 0, 0, 0] += 1
    assert memory(nudged, UNSEEN)[0]["ratio"] < 0.5
    assert memory(nudged, UNSEEN)[0]["sample_copies"] < 30  # hardly any is another training image
    copies, pairs = memory(TRAINING[:500], UNSEEN)
    assert (copies["ratio"], copies["sample_copies"]) == (0.0, 500)
    np.testing.assert_array_equal(pairs[:, 0], pairs[:, 1])


def test_held_out_images_that_repeat_training_ones_are_counted_and_have_no_say():
    samples = decode(codes_of(6, 0, 1000))
    clean, _ = memory(samples, UNSEEN)
    mixed, _ = memory(samples, np.concatenate([TRAINING[: 2 * len(UNSEEN)], UNSEEN]))
    assert (clean["held_out_copies"], mixed["held_out_copies"]) == (0, 2 * len(UNSEEN))
    assert mixed["ratio"] == pytest.approx(clean["ratio"], rel=1e-6)
    assert memory(samples, TRAINING[:50])[0]["ratio"] is None  # nothing left to compare with


def test_a_ratio_is_none_where_unseen_images_cannot_be_told_from_training_ones():
    assert neighbours.memorisation_ratio(np.ones(5), np.zeros(5)) is None
    assert neighbours.memorisation_ratio(np.ones(5), np.ones(0)) is None
    assert neighbours.memorisation_ratio(np.ones(5), np.full(5, 2.0)) == 0.5


@pytest.mark.parametrize("kept", [0, 300, 700, 2000])
def test_all_training_images_are_seen_however_many_features_were_kept(kept):
    samples, extracted = TRAINING[-20:], []

    def watched(images):
        extracted.append(len(images))
        return extract(images)

    found, pairs = memory(samples, UNSEEN, kept=kept, extract=watched)
    assert (found["training_images"], found["sample_copies"], found["distances"]) == (2000, 20, [0.0] * 10)
    np.testing.assert_array_equal(pairs[:, 1], samples[:10])
    again = sum(extracted) - len(UNSEEN) - kept
    assert again == 2000 - kept // 300 * 300 - (200 if kept == 2000 else 0)  # whole batches that were kept are not


def test_copies_are_counted_without_features():
    samples, held_out = np.concatenate([TRAINING[:7], UNSEEN[:5]]), np.concatenate([TRAINING[:2], UNSEEN])
    found, pairs = memory(samples, held_out, extract=None)
    assert pairs is None
    assert found.items() >= {"ratio": None, "sample_copies": 7, "samples": 12, "held_out_copies": 2}.items()
    assert found.keys() == memory(samples, held_out)[0].keys()
