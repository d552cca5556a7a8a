"""The terminal's table and the page, of evaluations that are whole and of those where parts are missing."""

import itertools
import re

import numpy as np
import pytest

from pga_tf.evaluation import difference, features, measures, neighbours, plots, protocol, report, rounding, statistics
from tests import markup
from tests.evaluation.toys import DIM, HELD_OUT, SHAPE, TRAINING, decoder, extract, subject

REAL = {"dataset": "toys", "split": "test", "count": 2000}


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
        "card": protocol.card(network, real=REAL, generated={"count": 300, "seeds": list(seeds)}),
        "scores": found,
        "gap": measures.gap(model, extract, real, [TRAINING], floor, advance=int),
        "reconstruction": measures.restored(model, HELD_OUT),
        "latent": measures.latent_health(model, HELD_OUT)[0],
        "posterior": measures.of_posterior(model, HELD_OUT)[0],
        "memory": facts,
    }


@pytest.fixture(scope="module")
def two_seeds():
    posterior = lambda x: np.full((len(x), DIM), 0.2, np.float32)
    precision = lambda z: np.tile(np.diag([20.0, 30.0, 40.0]), (len(z), 1, 1))
    found = result(subject(posterior_stddev=posterior, posterior_precision=precision))
    found["latent"] |= {"log_det_exact": 1.5, "log_det_bound": 2.5}
    found["memory"] |= {"sample_copies": 3, "held_out_copies": 37}
    return found


@pytest.fixture(scope="module")
def without_encoder():
    return result(decoder(), title="a decoder")


HOSTILE = "<script>alert(1)</script> \"' $x_{ & runs/a\udcff"
STEPS = list(range(10, 310, 10))


@pytest.fixture(scope="module")
def whole(two_seeds):
    """An evaluation with every part: (the record, its page)."""
    curve = lambda end: (STEPS, np.linspace(1.0, end, len(STEPS)).tolist())
    found = two_seeds | {
        "title": HOSTILE,
        "run": {"method": "vae", "dataset": "digits", "step": 300, "checkpoint": "last"},
        "flags": {"dataset": f"folder:{HOSTILE}", "steps": 300},
        "curves": {"root mean squared pixel error": curve(0.5)},
        "history": {
            "losses": {"nll": curve(-2.0), "frechet": curve(3.0)},
            "rates": {"learning_rate": curve(0.1)},
            "scores": {"frechet": curve(0.25)},
        },
        "commands": [f"python -m pga_tf.evaluate --workdir='{HOSTILE}'"],
    }
    pictures = {
        "samples": np.zeros((418, 418, 1), np.uint8),
        "held-out images above their reconstructions": np.zeros((100, 820, 3), np.uint8),
        f"along {HOSTILE}": np.zeros((30, 30, 1), np.uint8),
    }
    return found, report.page(found, pictures), report.page(found, pictures)


@pytest.fixture(scope="module")
def page(whole):
    return markup.Page(whole[1])


def section(page, key):
    return page.one("section", id=key)


def test_the_same_record_gives_the_same_page(whole):
    assert whole[1] == whole[2]


def test_the_page_needs_nothing_from_outside(whole, page):
    assert all(address.startswith(("data:", "#")) for address in page.addresses())
    assert all(address.startswith("#") for address in re.findall(r"url\(([^)]*)", whole[1]))
    assert "@import" not in whole[1]
    assert not page.all("script")


def test_names_and_flags_are_shown_and_do_nothing(page):
    told = HOSTILE.encode("utf-8", "replace").decode()
    assert page.one("h1").text == told
    assert page.one("title").text == told
    (command,) = page.all("pre", class_="command")
    assert command.text == f"python -m pga_tf.evaluate --workdir='{told}'"
    flags = dict(page.table(section(page, "flags")))
    assert flags == {"dataset": f"folder:{told}", "steps": "300"}
    assert f"Along {told}" in [node["alt"] for node in page.all("img")]
    assert not any(name.startswith("on") for node in page.nodes for name in node.attributes)


def test_the_page_is_one_that_readers_of_screens_find_their_way_in(page):
    assert page.one("html")["lang"] == "en"
    assert page.one("meta", name="viewport")["content"].startswith("width=device-width")
    levels = [int(node.tag[1]) for node in page.nodes if re.fullmatch("h[1-6]", node.tag)]
    assert levels[0] == levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    named = [node["id"] for node in page.nodes if node["id"]]
    assert len(named) == len(set(named))  # over all plots too
    linked = [node["href"][1:] for node in page.all("a", page.one("nav"))]
    assert linked == [node["id"] for node in page.all("section")]
    assert all(node["aria-labelledby"] in named for node in page.all("section"))
    assert all(node["alt"] for node in page.all("img"))
    assert all(node["aria-label"] for node in page.all("svg"))
    assert {address[1:] for address in page.addresses() if address.startswith("#")} <= set(named)


def test_small_pictures_are_enlarged_by_whole_factors(page):
    samples, pairs, _ = page.all("img")
    assert (samples["width"], samples["height"], samples["class"]) == ("836", "836", "pixels")
    assert (pairs["width"], pairs["height"], pairs["class"]) == ("820", "100", None)


def test_every_number_of_the_page_is_the_records(whole, page):
    found = whole[0]
    close = lambda text: pytest.approx(float(text), rel=6e-4)
    header, *rows = page.table(section(page, "scores"))
    assert header[:3] == ["score", "value", "error"]
    assert len(rows) == len(found["scores"])
    for (_, value, error, better), (name, entry) in zip(rows, found["scores"].items(), strict=True):
        told = rounding.supported(entry["value"], entry["error"])
        assert (value, re.match(r"± (\S+) \(choice of samples, over 2 seeds\)", error)[1]) == told, name
        assert better == ("lower" if name in ("frechet", "kernel") else "higher")
    frechet = found["scores"]["frechet"]
    supported = lambda value: rounding.supported(value, frechet["error"])[0]
    assert supported(frechet["value"]) == page.one("p", class_="score").text
    *gap, data, prior = page.tiles(section(page, "gap")).values()
    assert gap == [supported(found["gap"][name]) for name in report.STEPS]
    assert found["gap"]["latent_error_data"] == close(data)
    assert found["gap"]["latent_error_prior"] == close(prior)
    restored = [float(value) for value in page.tiles(section(page, "reconstruction")).values()]
    assert restored == pytest.approx([found["reconstruction"][name] for name in ("mse", "psnr", "ssim")], rel=6e-4)
    latent = page.tiles(section(page, "latent"))
    assert latent["posterior variances below 0.5 (r_hat)"] == "3 of 3"
    # lambda of 0.04 against 1/20, 1/30, 1/40
    assert latent["median |ratio - 1| to diag (I + J'J / gamma)^-1"] == "0.2"
    assert latent["correlation of their logarithms"] == "-"
    assert found["latent"]["mmd"] == close(latent["MMD of draws from the posterior and the prior"])
    assert found["latent"]["mmd_codes"] == close(latent["MMD of f(x) and the prior"])
    assert report.number(found["latent"]["mmd_codes"]) != report.number(found["latent"]["mmd"])
    assert found["latent"]["mmd_mapped"] == close(latent[report.MAPPED])
    assert (latent["log|det dh/dz| [nats]"], latent["bound of Eq. 7"]) == ("1.5", "2.5")
    memory = list(page.tiles(section(page, "memory")).values())
    assert memory[1:] == ["3 of 300", "37 of 2,000"]
    assert found["memory"]["ratio"] == close(memory[0])
    card = protocol.flat(found["card"])
    shown = dict(page.table(section(page, "protocol")))
    assert shown.keys() == card.keys()
    assert shown["generated.seeds"] == "0, 1"
    assert shown["features.network"] == card["features.network"]


def test_the_gap_is_drawn_as_what_each_step_adds(whole, page):
    gap = whole[0]["gap"]
    label = page.one("svg", section(page, "overview"))["aria-label"]
    steps = [gap[name] for name in ("training_images", "reconstructions", "resampled", "samples")]
    added = [float(number) for number in re.findall(r"(?:floor|decoder|codes|prior) ([-+]?[\d.e-]+)", label)]
    assert added == pytest.approx([steps[0], *np.diff(steps)], abs=whole[0]["scores"]["frechet"]["error"])


def test_losses_and_scores_are_drawn_against_steps(page):
    drawn = {}
    for node in page.all("figure", section(page, "training")):
        drawn.setdefault(page.one("figcaption", node).text, []).append(page.one("svg", node)["aria-label"])
    assert drawn.keys() == {"nll", "frechet", "learning_rate", "Pixel error against steps"}
    assert drawn["nll"] == ["nll: 1 at step 10, -2 at step 300"]
    # The loss and the score of one name stand beside each other, the score first.
    assert drawn["frechet"] == [f"frechet: 1 at step 10, {end} at step 300" for end in ("0.25", "3")]


def test_plots_take_text_and_colours_from_the_page(whole):
    drawn = "".join(re.findall(r"<svg.*?</svg>", whole[1], flags=re.DOTALL))
    assert "<text" in drawn
    assert not re.search(r"(fill|stroke): ?#(?!0b0)|#0b0", drawn)
    assert all(f": {colour}" in drawn for colour in ("currentColor", "var(--muted)", "var(--series-1)"))
    assert "font-family" not in drawn


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
    page = markup.Page(page)
    page_text = " ".join(node.text for node in page.all("section") if node["id"] != "protocol")
    for shown in (text, page_text):
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
    page = markup.Page(page)
    assert "generated.seeds: 0, 1 | 0" in page.one("div", class_="warning").text
    first, second = (node for node in page.all("table", section(page, "scores")))
    assert ["first" in node.text and "second" in node.text for node in (first, second)] == [True, False]
    assert "third" in second.text
    (picture,) = page.all("figure", section(page, "samples"))
    assert picture.text == "second"


def test_systems_of_other_priors_stand_in_one_table_whose_card_is_what_they_share(two_seeds):
    card = two_seeds["card"]
    gan = card | {"generated": card["generated"] | {"prior": "uniform", "encoder": "none"}}
    text, page = report.compare([two_seeds | {"title": "first"}, two_seeds | {"title": "gan", "card": gan}], [None] * 2)
    assert "Protocol 2" not in text
    assert "They differ" not in text
    shown = section(markup.Page(page), "protocol").text
    assert "generated.count" in shown
    assert "generated.prior" not in shown


def scored(title, **values):
    """A result of scores by name: (value, error), over 3 seeds."""
    scores = {
        name: {"value": value, "error": error, "error_kind": error and "choice of samples", "per_seed": [value] * 3}
        for name, (value, error) in values.items()
    }
    return {"title": title, "names": {"frechet": "F", "kernel": "K"}, "card": {"generated": {}}, "scores": scores}


def test_the_best_is_marked_and_so_is_what_the_error_does_not_tell_from_it():
    """Errors of 1 over 3 seeds on both sides: 4 degrees of freedom, 2.776 sqrt(2) = 3.926."""
    runs = [
        scored("a", frechet=(13.92, 1.0), precision=(0.5, None)),
        scored("b", frechet=(10.0, 1.0), precision=(0.75, None)),
        scored("<c> $", frechet=(13.94, 1.0), precision=(0.75, None)),
        scored("broken", frechet=(float("nan"), None), precision=(0.0, None)),
    ]
    text, page = report.compare(runs, [np.zeros((4, 4, 1), np.uint8)] * 4)
    lines = {line.split("  ")[1]: line for line in text.splitlines() if line.startswith("  ")}
    assert [bool(re.search(r"13\.9 \+- 1\.0 ~", lines["a"])), "~" in lines["<c> $"], "~" in lines["b"]] == [
        True,
        False,
        False,
    ]
    assert ["10.0 +- 1.0 *" in lines["b"], "0.75 *" in lines["b"], "0.75 *" in lines["<c> $"]] == [True, True, True]
    assert not re.search(r"[*~]", lines["broken"])
    page = markup.Page(page)
    rows = page.all("tr", page.one("table", section(page, "scores")))[1:]
    marks = [[cell.text for cell in page.all("span", row, class_="mark")] for row in rows]
    assert marks == [["within error"], ["best", "best"], ["best"], []]
    assert [page.one("th", row).text for row in rows] == ["a", "b", "<c> $", "broken"]
    captions = [page.one("figcaption", node).text for node in page.all("figure", section(page, "samples"))]
    assert captions == ["a", "b", "<c> $", "broken"]
    assert [node["alt"] for node in page.all("img")] == [f"samples of {name}" for name in captions]
    drawn = page.one("svg", section(page, "overview"))
    assert {"a", "b", "<c> $", "13.9"} <= {node.text for node in page.all("text", drawn)}  # "$" begins no formula


def test_a_difference_is_measured_by_the_errors_of_both_sides():
    entry = lambda error, seeds: {"error": error, "per_seed": [0.0] * seeds}
    assert difference.explained(entry(1.0, 3), entry(1.0, 3)) == pytest.approx(2.776445 * 2**0.5, rel=1e-6)
    assert difference.explained(entry(1.0, 1), entry(1.0, 1)) == pytest.approx(1.959964 * 2**0.5, rel=1e-6)
    assert difference.explained(entry(None, 1), entry(2.0, 1)) == pytest.approx(1.959964 * 8**0.5, rel=1e-6)
    assert difference.explained(entry(None, 1), entry(None, 1)) == 0.0


def test_a_decoder_alone_has_one_step_from_the_floor(without_encoder):
    drawn = plots.gap("gap", without_encoder["gap"])
    assert "decoder and prior +" in drawn.svg
    assert plots.gap("gap", without_encoder["gap"] | {"training_images": None}) is None


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
        assert "+- 0.02 (choice" in shown.replace("±\N{NO-BREAK SPACE}", "+- ")
    for shown in tables:
        assert "9.22 +- 0.02" in shown.replace("±\N{NO-BREAK SPACE}", "+- ")


def test_notes_stand_beside_the_scores_of_every_table(two_seeds):
    found = two_seeds | {"notes": ["only 24 real images <so few>"]}
    priors = report.matrix("priors", [found, found], [np.zeros((4, 4, 1), np.uint8)] * 2)
    compared = report.compare([found, found], [None, None])
    for text, page in ((report.text(found), report.page(found, {})), priors, compared):
        assert text.count("note: only 24 real images <so few>") == 1
        assert page.count('role="note">Only 24 real images &lt;so few&gt;.') == 1
        assert text.index("note: ") < text.index(report.label(found, "frechet"))
    assert "note: " not in report.text(two_seeds)


def test_theorem_1_stands_in_a_comparison_where_it_is_defined(two_seeds):
    bare = two_seeds | {"latent": None, "title": "without an encoder"}
    text, page = report.compare([two_seeds, bare], [None, None])
    lines = text.splitlines()
    header, row, other = (re.split(r"\s{2,}", line.strip()) for line in lines[lines.index("Scores") + 1 :][:3])
    for name in ("mmd", "mmd_codes", "mmd_mapped"):
        place = header.index(report.COMPARED["latent", name])
        assert row[place].split()[0] == report.number(two_seeds["latent"][name])
        assert other[place] == "-"
        assert header[place] in page
    assert "MMD" not in report.compare([bare, bare], [None, None])[0]
    unmapped = two_seeds | {"latent": two_seeds["latent"] | {"mmd_mapped": None}}
    assert "MMD of h(f(x))" not in report.compare([unmapped], [None])[0]


def test_an_evaluation_without_features_shows_what_there_is(two_seeds):
    gap = two_seeds["gap"] | dict.fromkeys(("training_images", "samples", "reconstructions", "resampled"))
    found = two_seeds | {"names": {}, "scores": {}, "gap": gap, "notes": ["left out"]}
    found["memory"] = two_seeds["memory"] | {"ratio": None, "distances": []}
    for shown in (report.text(found), report.page(found, {}), *report.compare([found, found], [None, None])):
        assert "note: left out" in shown or 'role="note">Left out.' in shown
        assert report.number(found["latent"]["mmd"]) in shown
    for shown in (report.text(found), report.page(found, {})):
        assert report.number(gap["latent_error_prior"]) in shown
        assert "3 of 300" in shown
        assert "gap comes from" not in shown
