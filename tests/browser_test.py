"""The pages in a real browser, light and dark, wide and on a phone: what it complains of, loads and measures."""

import dataclasses
import json

import numpy as np
import pytest

from pga_tf.core import grids
from pga_tf.evaluation import report
from pipelines import graph, page, runner
from pipelines.store import Artifact, Execution
from tests import browser
from tests.evaluation.test_report import HOSTILE, result, subject, two_seeds, whole  # noqa: F401 - fixtures
from tests.pipelines import helpers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not browser.PROGRAM, reason="needs Chromium (Debian: apt-get install chromium)"),
]
VIEWS = {
    "light": {"scheme": "light", "width": 1280},
    "dark": {"scheme": "dark", "width": 1280},
    "phone": {"scheme": "light", "width": 390},
    "dark phone": {"scheme": "dark", "width": 390},
}
GROUNDS = {"light": "rgb(246, 245, 241)", "dark": "rgb(18, 20, 26)"}
READABLE = 4.5  # contrast of text that WCAG 2.2 asks for


@pytest.fixture(scope="module")
def chromium():
    with browser.opened() as opened:
        yield opened


def pipeline_page(root):
    """The page of a pipeline with a step in every state."""
    chosen = helpers.tiny(
        root, options={"push_base": str(root / "models"), "name": HOSTILE.encode(errors="replace").decode()}
    )
    results = {}
    for i, step in enumerate(graph.steps(chosen)):
        outputs = {}
        for output in step.outputs:
            folder = root / step.name / output / str(i)
            folder.mkdir(parents=True)
            (folder / "a figure.json").write_text("{}")
            outputs[output] = Artifact(folder, "digest", i, output)
        if step.name == "Evaluator":
            grids.write_png(outputs["evaluation"].path / "samples.png", np.zeros((418, 418, 1), np.uint8))
        figures = {"images": 3, "flags": "--" + "long" * 80, "lines": "one\ntwo"}
        execution = Execution(i, step.name, "", "complete", 0.0, 4000.0 * i, {}, "code", figures, None, {}, outputs)
        state = {"Pusher": "not run", "InfraValidator": "failed"}.get(step.name, "run" if i > 5 else "cached")
        ended = runner.Result(step, state, 2.0, execution if state in ("run", "cached") else None)
        if state == "failed":
            ended = dataclasses.replace(ended, error="Traceback\n" + "x" * 500)
        results[step.name] = ended
    return page.page(chosen, results)


@pytest.fixture(scope="module")
def pages(whole, two_seeds, tmp_path_factory):  # noqa: F811
    """dict of a page's name to its file."""
    root = tmp_path_factory.mktemp("pages")
    grid = grids.tile(np.random.default_rng(0).integers(0, 256, (100, 8, 8, 1), np.uint8))
    other = result(subject(0.5), title="x" * 120)
    long = [json.loads(json.dumps(two_seeds)) | {"title": f"{i} {HOSTILE}"} for i in range(4)]
    written = {
        "report": whole[1],
        "comparison": report.compare([*long, other, result(subject(), seeds=(0,))], [grid] * 6)[1],
        "priors": report.matrix("every prior", [two_seeds, other], [grid, grid])[1],
        "pipeline": pipeline_page(root),
    }
    for name, text in written.items():
        (root / f"{name}.html").write_text(text)
    return {name: root / f"{name}.html" for name in written}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["report", "comparison", "priors", "pipeline"])
def test_a_page_stands_in_a_browser(chromium, pages, name, view, tmp_path):
    found = chromium.look(pages[name], picture=tmp_path / "page.png", **VIEWS[view])
    assert found["complaints"] == []
    assert found["requests"] == []
    assert found["overflow"] == 0  # the page does not scroll sideways; wide tables do so in boxes of their own
    assert found["repeated"] == found["dangling"] == []
    assert found["images"]
    for alt, natural, shown in found["images"]:
        assert alt
        assert natural > 0
        assert shown <= VIEWS[view]["width"]
    assert found["plots"]
    assert all(width > 100 and height > 40 for width, height in found["plots"])
    assert found["contrast"][0] >= READABLE, found["contrast"]
    assert found["ground"] == GROUNDS[VIEWS[view]["scheme"]]
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_what_the_browser_tells_is_told_apart(chromium, tmp_path):
    """The checks above, on a page where each has something to find."""
    (tmp_path / "bad.html").write_text(
        '<body style="background: white"><p id="a" style="color: #ccc; width: 900px">pale</p><p id="a"></p>'
        '<a href="#gone">x</a><img alt="" src="data:,"><img src="http://127.0.0.1:9/x.png"><script>undefined()</script>'
    )
    found = chromium.look(tmp_path / "bad.html", width=390)
    assert found["overflow"] > 400
    assert found["repeated"] == ["a"]
    assert found["dangling"] == ["gone"]
    assert [natural for _, natural, _ in found["images"]] == [0, 0]
    assert found["requests"] == ["http://127.0.0.1:9/x.png"]
    assert found["contrast"][0] < 2
    assert any("undefined is not a function" in json.dumps(complaint) for complaint in found["complaints"])


def test_a_page_is_printed(chromium, pages):
    chromium.look(pages["report"])
    assert chromium.print().startswith(b"%PDF")
