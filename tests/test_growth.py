"""The growth benchmark: laws that are known are found again, plans follow from them, and results outlast a kill."""

import json
import math
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from pga_tf.core.checks import InputError
from tools import benchmark_growth
from tools.growth import found as found_lib
from tools.growth import laws, material, measure, page, plan, stages

ROOT = pathlib.Path(__file__).parents[1]
SIZES = (1000, 4000, 16_000, 64_000)


def costs(a, b, p, *, noise=0.0, repetitions=3, sizes=SIZES):
    rng = np.random.default_rng(0)
    return {n: ((a + b * n**p) * (1.0 + noise * np.abs(rng.normal(size=repetitions)))).tolist() for n in sizes}


@pytest.mark.parametrize("a", [0.0, 3.0])
@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
def test_a_law_without_noise_is_found_to_the_digit(a, p):
    b = 2.0 / SIZES[1] ** p
    law = laws.fit(costs(a, b, p))
    assert law.p == p
    assert law.a == pytest.approx(a, abs=1e-6)
    assert law.b == pytest.approx(b, rel=1e-6)
    assert law.at(10**7) == pytest.approx(a + b * 10.0 ** (7 * p), rel=1e-6)
    assert law.reaches(law.at(123_456)) == pytest.approx(123_456, rel=1e-6)
    assert law.measured == (SIZES[0], SIZES[-1])


@pytest.mark.parametrize("p", [0.5, 1.0, 2.0])
def test_a_law_with_noise_is_within_what_it_leaves_possible(p):
    b = 4.0 / SIZES[1] ** p
    law = laws.fit(costs(1.0, b, p, noise=0.01))
    assert law.low <= p <= law.high < law.low + laws.TELLING
    assert law.telling
    assert law.allows(p)
    assert not law.allows(p + 0.5)
    least, most = law.bounds(10**6)
    assert least <= 1.0 + b * 10.0 ** (6 * p) <= most


def test_noise_is_that_of_repetitions_and_the_least_value_counts():
    steady = {n: [n / 1000.0, n / 1000.0 * 1.5] for n in SIZES}  # a machine that was busy in every second round
    law = laws.fit(steady)
    assert law.at(SIZES[0]) == pytest.approx(1.0)
    assert law.noise == pytest.approx(np.sqrt((4 * np.log(1.5) ** 2 / 2 + 3 * 0.03**2) / 7))  # and the guess
    assert laws.fit(costs(1.0, 1.0, 1.0, repetitions=1)).noise == pytest.approx(0.03)
    assert laws.fit(costs(1.0, 1.0, 1.0, repetitions=100)).noise == laws.LEAST_NOISE


def test_what_does_not_grow_is_a_constant_and_three_noisy_points_do_not_tell():
    law = laws.fit(costs(5.0, 0.0, 1.0, noise=0.02))
    assert law.flat
    assert law.allows(0)
    assert laws.told(law) == "no growth seen"
    assert law.at(10**9) == pytest.approx(5.0, rel=0.03)
    assert math.isinf(law.reaches(6.0))
    assert law.reaches(4.0) == 0.0
    noisy = laws.fit(costs(0.0, 1e-3, 1.0, noise=0.2, sizes=(1000, 2000, 4000)))
    assert not noisy.telling
    assert "these sizes leave n^p" in laws.told(noisy) or noisy.flat
    assert laws.told(laws.fit(costs(0.0, 1e-3, 1.0))).startswith("n^1.00 (")


def test_a_known_exponent_leaves_two_unknowns():
    law = laws.fit(costs(2.0, 1e-3, 1.0, noise=0.01), exponent=1.0)
    assert law.p == 1.0
    assert law.b == pytest.approx(1e-3, rel=0.05)
    assert law.bounds(10**6)[1] == pytest.approx(law.at(10**6) * (1.0 + 2.0 * law.noise))


@pytest.mark.parametrize("exponent", [None, 1.0])
def test_fewer_than_three_sizes_are_refused(exponent):
    with pytest.raises(InputError, match=r"at least 3: .*received 2"):
        laws.fit(costs(0.0, 1.0, 1.0, sizes=(1, 2)), exponent=exponent)


def line(stage, axis, size, cpu, memory, number=0, **facts):
    return {
        "step": number, "stage": stage, "axis": axis, "size": size, "settings": {}, "cpu": [2.0 * cpu, cpu],
        "wall": [cpu], "memory": memory, "facts": facts,
    }  # fmt: skip


def of(stage, sizes, cpu, memory, axis="images", disk=0, **facts):
    """Lines of two rounds that agree. `disk`: bytes of an image."""
    facts = {"parameters": 10**6, **facts}
    return [line(stage, axis, n, cpu(n), memory(n), r, disk=disk * n, **facts) for n in sizes for r in range(2)]


LINES = [
    *of("example_gen", (1000, 4000, 16_000), lambda n: 2 + n / 1000, lambda n: 1e8 + 500 * n, disk=2000),
    *of("sample", (1000, 2000, 4000), lambda n: 1 + n / 500, lambda n: 3e8, disk=12288),
    *of("encode", (1000, 2000, 4000), lambda n: n / 250, lambda n: 2e8),
    *of("transform", (1000, 4000, 16_000), lambda n: (n / 1000) ** 2, lambda n: 1e8),
    *of("train", (16, 32, 64), lambda n: 2 * (0.1 + n / 100), lambda n: 1e8 + 1e6 * n, "batch", steps=2),
    *of("train", (1, 2, 4), lambda n: 0.26 * n * (1 + 0.25 * (n > 1)), lambda n: 4e8, "workers"),
]
TARGET = plan.Target(images=10**7, workers=64, batch_size=64, bandwidth=1e9)


@pytest.fixture(scope="module")
def found():
    return found_lib.of_lines(LINES, stages.all_stages(64, 32).values())


def rows(found):
    return {row.what: row for row in plan.rows(found, TARGET)}


def test_a_plan_is_what_the_laws_say(found):
    made = rows(found)
    row = made["ExampleGen"]
    assert row.hours == pytest.approx((2 + 10**4) / 3600, rel=1e-6)
    assert row.bounds[0] < row.hours < row.bounds[1]
    assert row.processes == 64
    assert row.memory == pytest.approx(1e8 + 500e7, rel=1e-6)
    assert row.disk == pytest.approx(2000e7)
    assert row.source == "extrapolated 625 times, n^1"
    assert made["Transform"].processes == 1
    assert made["Sampling as many images"].memory == pytest.approx(3e8)
    codes = made["PriorFitter: codes"]  # their arrays are too small to be seen, and are known
    assert codes.memory == pytest.approx(2e8 + (9e6 - 4000) * 2 * 4 * 32)


def test_an_epoch_of_many_workers_and_what_they_send(found):
    row = rows(found)["Trainer: an epoch"]
    step, steps = 0.1 + 0.64, 9e6 / (64 * 64)
    more = 0.26 * 0.25 * (63 / 64) / (3 / 4)  # as much more as it sends more than each of four
    assert row.hours == pytest.approx(steps * 64 * (step + more) / 3600, rel=1e-6)
    assert row.memory == pytest.approx(1e8 + 64e6, rel=1e-6)
    parameters, sent, hours = plan.communication(found, TARGET)
    assert parameters == 10**6
    assert sent == pytest.approx(4e6 * 2 * 63 / 64)
    assert hours == pytest.approx(steps * sent / 1e9 / 3600)
    assert plan.bytes_of_all_reduce(10**6, 1) == 0.0


def test_what_gives_way_first_and_what_grows_more_than_it_must(found):
    told = plan.limits(found, 2e8 + 500e6)
    assert [growth.stage.name for growth, *_ in told] == ["transform", "example_gen", "encode", "sample"]
    by = {growth.stage.name: rest for growth, *rest in told}
    assert by["example_gen"][1] == pytest.approx(600e6 / 500, rel=1e-6)
    assert by["encode"][0] == pytest.approx(86_400 * 250, rel=1e-6)
    assert by["transform"][0] == pytest.approx(1000 * 86_400**0.5, rel=0.01)
    assert [name for growth in found for name in growth.worse if growth.stage.name != "train"] == ["time"]
    assert any("Transform: time by images grows faster" in text for text in page.worse(found))
    assert "more than it must" in page.measured(found)


def test_a_dent_is_no_growth():
    values = {160_000: 1.09, 320_000: 1.7, 640_000: 4.08}  # as EM once took; the law with all three unknowns is n^2
    lines = of("mixture", values, values.get, lambda n: 1e8, "codes")
    (growth,) = found_lib.of_lines(lines, [stages.all_stages(64, 32)["mixture"]])
    assert growth.time_law.low > 1.1
    assert growth.time.p == 1.0
    assert growth.worse == []


def test_pairs_are_those_of_both_sides():
    real, samples = 50_000, plan.SAMPLES
    n = plan.pairs_as_of(10**6)
    assert 2 * n**2 == pytest.approx(real**2 / 2 + plan.SEEDS * (samples**2 / 2 + real * samples))


SETTINGS = {"method": "lpga"}


def test_results_outlast_a_line_that_was_cut(tmp_path):
    kept = [line("sample", "images", n, 1.0, 1) | {"settings": SETTINGS} for n in (1000, 2000)]
    measure.keep(tmp_path, kept[0])
    path = tmp_path / "measured.jsonl"
    with open(path, "ab") as file:
        file.write(json.dumps(kept[1]).encode()[:50])
    told = []
    assert list(measure.read(tmp_path, SETTINGS, told.append)) == [("sample", "images", 1000, 0)]
    assert "1 of 2 lines" in told[0]
    measure.keep(tmp_path, kept[1])
    assert len(measure.read(tmp_path, SETTINGS, str)) == 2
    assert not measure.read(tmp_path, {"method": "vae"}, told.append)
    assert told[-1].startswith("note: 2 lines of other settings")


def test_what_was_measured_is_not_measured_again(tmp_path, monkeypatch, capsys):
    wanted = list(stages.tasks([stages.all_stages(64, 32)["memorisation"]], rounds=2))
    assert [task.round for task in wanted] == [0, 0, 0, 1, 1, 1]
    ran = []

    def run(task, settings, folder):
        ran.append(task.key)
        if len(ran) == 5:
            raise KeyboardInterrupt
        return line(task.stage, task.axis, task.size, 1.0, 1) | {"step": task.round, "settings": dict(settings)}

    monkeypatch.setattr(measure, "run", run)
    with pytest.raises(KeyboardInterrupt):
        benchmark_growth.measured(wanted, SETTINGS, tmp_path)
    lines = benchmark_growth.measured(wanted, SETTINGS, tmp_path)
    assert ran == [task.key for task in [*wanted[:5], *wanted[4:]]]
    of_all = [(task.size, task.round) for task in wanted]
    assert [(entry["size"], entry["step"]) for entry in lines] == of_all
    one_round = benchmark_growth.measured(wanted[:3], SETTINGS, tmp_path)  # what is there of others counts too
    assert [(entry["size"], entry["step"]) for entry in one_round] == of_all
    assert len(ran) == 7
    assert "[2/2] memorisation by images, 20,000" in capsys.readouterr().err


def test_memory_is_what_no_file_holds(tmp_path):
    size = 2**26
    (tmp_path / "mapped").write_bytes(bytes(size))
    before = measure.held(os.getpid())
    mapped = np.memmap(tmp_path / "mapped", np.uint8, "r")
    assert int(mapped.sum()) == 0
    assert measure.held(os.getpid()) - before < size // 4
    own = np.ones(size, np.uint8)
    assert size // 2 < measure.held(os.getpid()) - before < 2 * size
    assert own.all()


def test_a_process_that_ends_by_itself_is_told_of_by_its_last_words(tmp_path):
    with pytest.raises(measure.Failed, match="KeyError: 'nonsense'"):
        measure.run(stages.Task("nonsense", "images", 1, 0, {"images": 1}), SETTINGS, tmp_path)


def test_rows_that_come_over_and_over_are_as_many_as_asked():
    block = np.arange(6).reshape(6, 1)
    parts = list(material.batches(10, block, size=2))
    np.testing.assert_array_equal(np.concatenate(parts)[:, 0], [0, 1, 2, 3, 4, 5, 0, 1, 2, 3])


def test_the_document_says_what_the_lines_of_results_say():
    lines = [json.loads(text) for text in (ROOT / "results/growth/measured.jsonl").read_text().splitlines()]
    found = found_lib.of_lines(lines, stages.all_stages(64, lines[0]["settings"]["latent_dim"]).values())
    text = benchmark_growth.DOCUMENT.read_text()
    blocks = page.blocks(found, benchmark_growth.DEFAULT_TARGET, 16 * page.GIB)
    assert benchmark_growth.document(text, blocks, "docs/scaling.md") == text
    assert len({json.dumps(entry["settings"]) for entry in lines}) == 1


TINY = {"images": 60, "pixels": 32, "batch": 4, "codes": 400, "components": 2}
SHARED = {"train": "workers", "sample": "processes"}


@pytest.mark.slow
@pytest.mark.parametrize("name", stages.all_stages(32, 4))
def test_every_stage_is_measured_and_its_facts_are_its_own(name, tmp_path):
    settings, count = {"method": "lpga", "filters": 4, "latent_dim": 4}, 2 if name in SHARED else 1
    at = TINY | ({SHARED[name]: count} if name in SHARED else {})
    found = measure.run(stages.Task(name, "images", 60, 0, at), settings, tmp_path)
    assert found_lib.cost(found) > 0
    assert found["memory"] > 2**24
    facts = found["facts"]
    if name == "transform":
        assert facts["disk"] >= 2 * 60 * 32 * 32 * 3
    if name == "train":
        assert facts["steps"] == 2
        assert facts["parameters"] > 1000
    assert not list(tmp_path.glob("tmp*"))


@pytest.mark.slow
def test_the_command_measures_fits_and_plans(tmp_path):
    command = [sys.executable, "tools/benchmark_growth.py", "--stages=memorisation", "--rounds=1"]
    command += [f"--out={tmp_path}", "--images=1000000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    first = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert first.returncode == 0, first.stderr
    lines = [json.loads(text) for text in (tmp_path / "measured.jsonl").read_text().splitlines()]
    assert len(lines) == 3
    assert all(min(entry["cpu"]) > 0 and entry["memory"] > 2**20 for entry in lines)
    again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert again.stdout == first.stdout
    assert (tmp_path / "growth.md").read_text().count("extrapolated") == 1
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "material").exists()
