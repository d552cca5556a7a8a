"""The terminal's table and the page, of evaluations that are whole and of those where parts are missing."""

import re

import numpy as np
import pytest

from pga_tf.evaluation import features, measures, neighbours, protocol, report, rounding, statistics
from tests.evaluation.toys import DIM, HELD_OUT, SHAPE, TRAINING, decoder, extract, subject


def result(model, seeds=(0, 1), title="a run"):
    real = statistics.collect([HELD_OUT], extract)
    found, drawn = measures.of_samples(model, extract, real, count=300, seeds=seeds, advance=int)
    floor = statistics.collect([TRAINING], extract)
    facts, pairs = neighbours.memory(drawn, HELD_OUT, [TRAINING], floor.features, extract)
    assert pairs.shape == (10, 2, *SHAPE)
    network = features.load("pixels")
    return {
        "title": title,
        "names": {"frechet": network.distance_name, "kernel": network.kernel_name},
        "card": protocol.card(network, real={"count": 2000}, generated={"count": 300, "seeds": list(seeds)}),
        "scores": found,
        "gap": measures.gap(model, extract, real, TRAINING, floor, advance=int),
        "reconstruction": measures.restored(model, HELD_OUT),
        "latent": measures.latent_health(model, HELD_OUT)[0],
        "memory": facts,
    }


@pytest.fixture(scope="module")
def two_seeds():
    posterior = lambda x: np.full((len(x), DIM), 0.2, np.float32)
    found = result(subject(posterior_stddev=posterior))
    found["latent"] |= {"log_det_exact": 1.5, "log_det_bound": 2.5}
    found["memory"] |= {"sample_copies": 3, "held_out_copies": 37}
    return found


@pytest.fixture(scope="module")
def without_encoder():
    return result(decoder(), title="a decoder")


def test_the_page_needs_nothing_from_outside_and_has_every_number(two_seeds):
    found = two_seeds | {"title": "a <run>"}
    picture = np.zeros((5, 5, 1), np.uint8)
    page = report.page(found, {"samples": picture})
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:|#)", page)
    assert "@import" not in page
    assert "a &lt;run&gt;" in page
    assert "<run>" not in page
    assert page.count("<svg") == 3
    text = report.text(found)
    latent = found["latent"]
    for value in (
        latent["mmd"],
        latent["mmd_mapped"],
        1.5,
        2.5,
    ):
        assert report.number(value) in page
        assert report.number(value) in text
    score = found["scores"]["frechet"]
    for value in (score["value"], found["gap"]["samples"]):
        shown, _ = rounding.supported(value, score["error"])
        assert f"<td>{shown}</td>" in page
        assert f" {shown} " in text
    assert report.page(found, {"samples": picture}) == page


def test_copies_are_counted_beside_the_ratio(two_seeds):
    for shown in (report.text(two_seeds), report.page(two_seeds, {})):
        assert "3 of 300" in shown
        assert "37 of 2,000" in shown


def test_every_table_says_of_what_an_error_is(two_seeds):
    text, page = report.text(two_seeds), report.page(two_seeds, {})
    both, compared = report.compare([two_seeds, two_seeds], [None, None])
    priors, matrix = report.matrix("priors", [two_seeds], [np.zeros((4, 4, 1), np.uint8)])
    for shown in (text, page, both, compared, priors, matrix):
        assert "standard error over the choice of samples; another training or other real images may move more" in shown
    assert "(choice of samples, over 2 seeds)" in text


def test_a_model_without_an_encoder_is_reported_with_what_there_is(two_seeds, without_encoder):
    text, page = report.text(without_encoder), report.page(without_encoder, {})
    for shown in (text, page):
        assert "encoder: none" in shown
        error = without_encoder["scores"]["frechet"]["error"]
        assert rounding.supported(without_encoder["gap"]["samples"], error)[0] in shown
        assert f"{without_encoder['memory']['sample_copies']} of 300" in shown
        assert "None" not in shown.split("Protocol")[0]
        for absent in ("Latent", "Reconstructions", "nan"):
            assert absent not in shown
    text, page = report.compare([two_seeds, without_encoder], [None, None])
    (row,) = (line.split("   ") for line in text.splitlines() if "a decoder" in line)
    cells = [cell.strip() for cell in row if cell.strip()]
    assert cells[-4:-1] == ["-", "-", "-"]  # gap, reconstruction, latent; then memory
    assert "nan" not in page


def test_scores_of_other_protocols_are_set_apart_and_the_entries_named(two_seeds):
    a, b = (two_seeds | {"title": title} for title in ("first", "second"))
    c = result(subject(), seeds=(0,), title="third")
    text, page = report.compare([a, b], [None, None])
    assert "Protocol 2" not in text
    assert text.index("first") < text.index("second")
    text, page = report.compare([a, b, c], [None, np.zeros((4, 4, 3), np.uint8), None])
    assert "2 protocols" in text
    assert "generated.seeds: 0, 1 | 0" in text
    assert text.index("second") < text.index("Protocol 2") < text.index("third")
    assert "generated.seeds" in page
    assert page.count("<img") == 1


def test_a_network_whose_name_is_not_inception_never_gives_a_fid(two_seeds):
    assert "FID" not in report.text(two_seeds)


def test_no_table_prints_digits_that_the_error_does_not_support(two_seeds):
    found = two_seeds | {"scores": dict(two_seeds["scores"]), "gap": two_seeds["gap"] | {"samples": 9.2304}}
    found["scores"]["frechet"] = two_seeds["scores"]["frechet"] | {"value": 9.2174, "error": 0.0234}
    pictures = [np.zeros((4, 4, 1), np.uint8)]
    alone = (report.text(found), report.page(found, {}))
    tables = (*report.compare([found, found], pictures * 2), *report.matrix("priors", [found], pictures))
    for shown in (*alone, *tables):
        assert "9.217" not in shown
        assert "0.0234" not in shown
    for shown in alone:
        assert "9.22" in shown
        assert "9.23" in shown
        assert "+- 0.02 (choice" in shown
    for shown in tables:
        assert "9.22 +- 0.02" in shown


def test_notes_stand_beside_the_scores_of_every_table(two_seeds):
    found = two_seeds | {"notes": ["only 24 real images <so few>"]}
    priors = report.matrix("priors", [found, found], [np.zeros((4, 4, 1), np.uint8)] * 2)
    compared = report.compare([found, found], [None, None])
    for text, page in ((report.text(found), report.page(found, {})), priors, compared):
        assert text.count("note: only 24 real images <so few>") == 1
        assert page.count("note: only 24 real images &lt;so few&gt;") == 1
        assert text.index("note: ") < text.index(report.label(found, "frechet"))
    assert "note: " not in report.text(two_seeds)


def test_an_evaluation_without_features_shows_what_there_is(two_seeds):
    gap = two_seeds["gap"] | dict.fromkeys(("training_images", "samples", "reconstructions", "resampled"))
    found = two_seeds | {"names": {}, "scores": {}, "gap": gap, "notes": ["left out"]}
    found["memory"] = two_seeds["memory"] | {"ratio": None, "distances": []}
    for shown in (report.text(found), report.page(found, {}), *report.compare([found, found], [None, None])):
        assert "note: left out" in shown
        assert report.number(found["latent"]["mmd"]) in shown
    for shown in (report.text(found), report.page(found, {})):
        assert report.number(gap["latent_error_prior"]) in shown
        assert "3 of 300" in shown
        assert "gap comes from" not in shown
