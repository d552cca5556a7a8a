"""Lines of results: written whole, read past damage, and what is planned and told by them."""

import json

import pytest

from pga_tf.core import signals
from pga_tf.core.checks import InputError
from pga_tf.ledger import budgets, documents, entries, plan, told, work
from tests import commands
from tests.ledger.lines import line, scores
from tests.ledger.test_tables import BY_NAME

ROOT = documents.pathlib.Path(__file__).parents[2]


def trainings(*names, budget="paper", seeds=1):
    return [work.Training(BY_NAME[name], budgets.named(budget), seed) for name in names for seed in range(seeds)]


def test_a_line_after_a_torn_one_is_whole(tmp_path):
    entries.append(tmp_path, "a", line(value=1.0))
    with open(tmp_path / "a.jsonl", "a") as file:
        file.write(json.dumps(line(training=1))[:50])  # what a kill leaves
    entries.append(tmp_path, "a", line(value=2.0, training=2))
    said = []
    assert [entry["training"] for entry in entries.read(tmp_path, said.append)] == [0, 2]
    assert len(said) == 1
    assert "1 of 3 lines" in said[0]


@pytest.mark.parametrize("name", ["row", "card", "scores", "times", "training"])
def test_a_line_that_lacks_something_is_left_out(tmp_path, name):
    damaged = {part: value for part, value in line(training=1).items() if part != name}
    for entry in (line(), damaged):
        entries.append(tmp_path, "a", entry)
    said = []
    assert [entry["training"] for entry in entries.read(tmp_path, said.append)] == [0]
    assert "1 of 2 lines" in said[0]


def test_of_a_training_the_last_line_counts_and_speeds_are_no_lines(tmp_path):
    for value in (1.0, 2.0):
        entries.append(tmp_path, "a", line(value=value))
    entries.append(tmp_path, "b", line(settings={"latent_dim": "8"}))
    speed = {"step": 3, "row": "lpga_mnist", "cpu_milliseconds": 500.0, "processor": {"cores": 2}}
    entries.append(tmp_path, entries.SPEEDS, speed)
    found = entries.read(tmp_path, pytest.fail)
    assert [entry["gap"]["samples"] for entry in entries.of(found, "lpga_mnist", "paper")] == [2.0]
    assert len(entries.of(found, "lpga_mnist", "paper", {"latent_dim": "8"})) == 1
    assert entries.speeds(tmp_path, pytest.fail) == {"lpga_mnist": (0.25, 2)}


def test_a_plan_parts_what_is_done_left_and_not_for_here(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    asked = trainings("lpga_mnist", "vpga_mnist", "lpga_celeba", "two_stage_vae_mnist_tuned", seeds=2)
    made = plan.make(asked, [line(), line(budget="laptop", training=1), line(row="vpga_mnist", training=1)])
    assert [(t.row.name, t.seed) for t in made.done] == [("lpga_mnist", 0), ("vpga_mnist", 1)]
    assert [(t.row.name, t.seed) for t in made.left] == [("lpga_mnist", 1), ("vpga_mnist", 0)]
    assert [(row.name, "celeb_a" in why) for row, why in made.out] == [
        ("lpga_celeba", True), ("two_stage_vae_mnist_tuned", False),
    ]  # fmt: skip
    last = plan.text(made, [line()], {"vpga_mnist": (0.1, 2)}).splitlines()[-1]
    hours = (90 + 562_500 * 0.1) / 3600  # one by its row's line, one by the time of a step
    assert last == f"2 trainings done, 2 rows cannot be run here, 2 trainings left: about {hours:.0f} h"


@pytest.mark.parametrize(
    ("name", "budget", "steps"),
    [("lpga_mnist", "paper", 562_500), ("lpga_digits", "paper", 3000), ("lpga_mnist", "laptop", 2000),
     ("wae_mmd_mnist", "paper", 60_000)],
)  # fmt: skip
def test_length_of_a_training(name, budget, steps):
    assert plan.steps(BY_NAME[name], budgets.named(budget)) == steps


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (50, "50 s"),
        (3600 * 9.5, "9.5 h"),
        (3600 * 41.4, "41 h"),
        (86_400 * 2.34, "2.3 days"),
        (86_400 * 345.6, "346 days"),
    ],
)
def test_times_are_told_to_two_digits(seconds, says):
    assert plan.long(seconds) == says


def test_time_of_a_training_comes_from_the_nearest_that_is_known():
    measured = [
        line(budget="laptop"),
        line(row="ns_gan_mnist", budget="laptop", flags={"method": "gan", "dataset": "tfds:mnist"},
             times={"train": {"wall": 3000.0, "cpu": 300.0}}),
        line(budget="laptop", settings={"steps": "9"}, times={"train": {"wall": 1.0, "cpu": 1.0}}),
        line(row="lvpga_mnist", budget="laptop", resumed=True, times={"train": {"wall": 1.0, "cpu": 1.0}}),
    ]  # fmt: skip
    laptop = trainings("lpga_mnist", "ls_gan_mnist", "lvpga_mnist", budget="laptop")
    assert [plan.seconds(training, measured, {"lpga_mnist": (1.0, 2)}) for training in laptop] == [90.0, 300.0, 195.0]
    assert plan.seconds(trainings("ls_gan_mnist")[0], measured, {}) is None  # other settings say nothing of it


def row_with(ours, name="lpga_mnist"):
    row = BY_NAME[name]
    fields = row.flagfile.fields | {"Ours": ours}
    return work.dataclasses.replace(row, flagfile=work.dataclasses.replace(row.flagfile, fields=fields))


SMALL = {"names": {"frechet": "Frechet distance (mnist features)"}, "budget": "laptop"}
BEFORE = "Frechet distance 9.3 (mnist features; one training, to 0.2 over seeds of samples)"
OF_THREE = "Frechet distance 9.3 +- 0.1 (mnist features; 2,000 samples; standard error over 3 trainings)"


@pytest.mark.parametrize(
    ("name", "before", "lines", "says"),
    [
        ("lpga_mnist", "", [],
         "not measured at these settings: about 36 h of training on 4 CPU cores (562,500 steps of 64 images)"),
        ("vpga_mnist", "", [], "not measured at these settings: 562,500 steps of 64 images"),
        ("lpga_celeba", "", [], "not measured: CelebA is not at hand on the machine of the ledger"),
        ("lpga_mnist", BEFORE, [], BEFORE),
        ("lpga_mnist", BEFORE, [line(value=8.0)],
         "FID 8.0 (5,000 samples; one training, to 0.2 over seeds of samples)"),
        ("lpga_mnist", OF_THREE, [line(), line(training=1)], OF_THREE),
        ("lpga_mnist", "", [line(value=v, training=i) for i, v in enumerate((8.0, 9.0, 10.0))],
         "FID 9.0 +- 0.6 (5,000 samples; standard error over 3 trainings)"),
        ("lpga_mnist", "", [{**line(), "failure": "Training stopped: loss"}], "no score: Training stopped: loss"),
        ("lpga_celeba", "", [line("lpga_celeba", **SMALL)],
         "not measured: CelebA is not at hand on the machine of the ledger; at the laptop budget "
         "Frechet distance 9.0 (mnist features; 5,000 samples; one training, to 0.2 over seeds of samples)"),
    ],
)  # fmt: skip
def test_what_a_header_says_of_ours(name, before, lines, says):
    lines = [{k: v for k, v in entry.items() if k != "scores" or "failure" not in entry} for entry in lines]
    speeds = {"lpga_mnist": (36 * 3600 / 562_500, 4)}
    said = told.ours(row_with(before, name), lines, speeds)
    assert said == says


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ([300.8921], 0.013, "300.9"),
        ([22.285], 0.19, "22.29"),
        ([22.285, 24.285], 0.19, "23.3 +- 1.0"),
        ([0.0], 0.0, "0"),
    ],
)
def test_a_score_has_the_digits_that_are_known(values, error, says):
    assert told.score([{"value": value, "error": error} for value in values]) == says


def test_a_header_has_an_estimate_where_a_step_was_timed_and_keeps_what_was_measured():
    row, speeds = BY_NAME["lpga_mnist"], {"lpga_mnist": (0.2, 2), "lpga_digits": (0.2, 2)}
    assert told.time(row, speeds).startswith(
        "about 31 h of training on 2 CPU cores, by the time of a step of such networks"
    )
    assert told.time(row, {}) == row.flagfile.fields["Time"]
    assert told.time(BY_NAME["lpga_digits"], speeds) == "1 minute"


def test_a_step_takes_as_long_as_that_of_a_row_of_its_kind():
    speeds = {"lpga_mnist": (0.2, 2), "ns_gan_mnist": (0.3, 2)}
    found = plan.spread(list(BY_NAME.values()), speeds)
    assert found["lpga_mnist"] == found["lpga_mnist_ablation"] == (0.2, 2)
    assert found["ns_gan_fashion_mnist"] == (0.3, 2)  # the loss costs nothing, the images are as large
    others = {"vpga_mnist", "lpga_cifar10", "lpga_mnist_fast", "wgan_gp_gan_mnist", "dragan_gan_mnist"}
    assert not others & found.keys()  # of another method, size, arithmetic, number of updates, penalty


def test_a_league_has_the_nearest_first_and_each_prior_of_a_row():
    two = {"normal": scores(9.0), "mixture": scores(4.0)}
    group = [line(scores=two), line(row="vpga_mnist", value=6.0), line(row="vpga_mnist", value=7.0, training=1)]
    found = documents.league(list(BY_NAME.values()), group)
    assert [(name, prior) for name, prior, _ in found] == [
        ("lpga_mnist", "mixture"), ("vpga_mnist", "normal"), ("lpga_mnist", "normal"),
    ]  # fmt: skip
    cells = found[1][2]
    assert (cells["method"], cells["Frechet"], cells["trainings"], cells["CPU, minutes"]) == (
        "VPGA",
        "6.5 +- 0.5",
        "2",
        "2.0",
    )
    assert found[0][2]["prior"] == "mixture *"  # fitted beside its own


def test_scores_of_other_cards_stand_in_tables_of_their_own():
    lines = [
        line(),
        line(row="vpga_mnist", network="mnist"),
        line(row="vae_mnist", protocol="ours"),
        line(budget="laptop"),
    ]
    text = documents.measured(list(BY_NAME.values()), lines)
    assert text.count("### mnist") == 4


def test_a_sweep_is_in_order_of_its_values():
    lines = [line(value=v, settings={"latent_dim": d}) for v, d in ((1.0, "16"), (2.0, "8"), (3.0, "128"))]
    assert [row.split(" | ")[0] for row in documents.sweep(lines).splitlines()[2:]] == ["| 8", "| 16", "| 128"]


def test_a_document_without_its_marks_is_refused():
    with pytest.raises(InputError, match="between <!-- ledger: mnist -->"):
        documents.with_block("# Title\n", "mnist", "a table", "README.md")


def test_documents_and_results_say_the_same():
    lines = entries.read(ROOT / entries.FOLDER, pytest.fail)
    assert lines, "no line of results"
    speeds = entries.speeds(ROOT / entries.FOLDER, pytest.fail)
    stale = [path.name for path, text in documents.made(ROOT, lines, speeds).items() if path.read_text() != text]
    assert not stale, "python -m pga_tf.reproduce --write"


def test_writing_again_changes_nothing(tmp_path):
    for name in ("flagfiles/lpga_mnist.flags", "README.md", "docs/ledger.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    for path in (ROOT / "flagfiles").glob("*.flags"):
        (tmp_path / "flagfiles" / path.name).write_text(path.read_text())
    lines = [line(), line(row="lpga_mnist", budget="laptop", network="mnist", protocol="ours")]
    changed = documents.write(tmp_path, lines, {})
    assert {tmp_path / "flagfiles/lpga_mnist.flags", tmp_path / "docs/ledger.md"} <= set(changed)
    assert "FID 9.0 (5,000" in (tmp_path / "flagfiles/lpga_mnist.flags").read_text()
    assert documents.write(tmp_path, lines, {}) == []


@pytest.mark.parametrize(
    "asked", [[], ["--table=pga_table2"], ["--only=lpga_minst"], ["--budget=phone", "--table=gans"]]
)
def test_mistakes_get_one_line(asked, monkeypatch):
    monkeypatch.chdir(ROOT)
    with pytest.raises(InputError, match="expected"):
        commands.call("reproduce", *asked)


def test_a_dry_run_says_the_plan_last_and_does_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(work, "call", lambda *_: pytest.fail("something was run"))
    given = ["--only=lpga_digits,vae_digits", f"--results={tmp_path}", f"--runs={tmp_path}/runs", "--dry_run"]
    assert commands.call("reproduce", *given) == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        "0 trainings done, 0 rows cannot be run here, 6 trainings left: how long they take is not known yet"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "says"),
    [(["--table=pga_figure4"], True), (["--table=pga_figure4", "--inception_path=weights"], False),
     (["--dataset=digits"], False), (["--table=pga_figure4", "--budget=laptop"], False)],
)  # fmt: skip
def test_a_plan_says_what_will_not_be_comparable(asked, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    commands.call("reproduce", *asked, f"--results={tmp_path}", "--dry_run")
    assert ("without --inception_path" in capsys.readouterr().out) == says


def test_what_another_process_did_meanwhile_is_not_done_again_and_failures_are_told_last(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    done = []

    def run(training, say):
        done.append(training.row.name)
        if training.row.name == "ae_digits":
            raise work.Refused(1, "no room")
        entries.append(tmp_path, "others", line(row="vpga_digits"))  # what the other one did
        return line(row=training.row.name)

    monkeypatch.setattr(work, "run", run)
    asked = "--only=ae_digits,lpga_digits,vpga_digits"
    given = [asked, "--trainings=1", f"--results={tmp_path}", f"--runs={tmp_path}/runs"]
    assert commands.call("reproduce", *given) == 1
    assert done == ["ae_digits", "lpga_digits"]
    assert "failed: ae_digits 0" in capsys.readouterr().err
    assert {entry["row"] for entry in entries.read(tmp_path, pytest.fail)} == {"lpga_digits", "vpga_digits"}


def test_a_stop_ends_the_command_as_a_stop(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)

    def stop(*_):
        raise work.Stopped("SIGTERM")

    monkeypatch.setattr(work, "run", stop)
    given = ["--only=lpga_digits", f"--results={tmp_path}", f"--runs={tmp_path}/runs"]
    assert commands.call("reproduce", *given) == signals.STATUS


def test_rows_need_the_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="checkout"):
        commands.call("reproduce", "--table=gans")
