"""Rows of tables, their headers, and the recipe of the laptop budget."""

import collections
import re

import pytest

from pga_tf import flags
from pga_tf.core.checks import InputError
from pga_tf.ledger import budgets, headers, sweeps, tables
from pga_tf.ledger.headers import Published
from pga_tf.methods import METHODS
from pga_tf.runs import config as config_lib
from tests import test_flags

ROWS = tables.rows(test_flags.ROOT / tables.FOLDER)
BY_NAME = {row.name: row for row in ROWS}


def test_every_flagfile_is_a_row_and_every_row_has_a_name_of_its_own():
    assert not [name for name, count in collections.Counter(row.name for row in ROWS).items() if count > 1]
    assert {path.stem for path in test_flags.FLAGFILES} <= BY_NAME.keys()
    assert {row.table for row in ROWS} == tables.TABLES.keys()


def test_what_a_row_says_was_published_stands_in_its_header():
    for row in ROWS:
        told = row.flagfile.fields["Published"]
        assert (row.published is not None) == told.startswith("FID ") or row.name != row.flagfile.name
        numbers = [float(number) for number in re.findall(r"\d*\.?\d+", told)]
        for value in (row.published.value, row.published.error) if row.published else ():
            assert value is None or value in numbers, (row.name, value)


# table 1 of Zhang et al., ICML 2020, and of Dai and Wipf, ICLR 2019, as they print them
@pytest.mark.parametrize(
    ("name", "table", "published"),
    [
        ("lpga_mnist", "pga_table1", Published(10.34, 0.15, "standard error", 3)),
        ("vpga_cifar10", "pga_table1", Published(51.51, 1.16, "standard error", 3)),
        ("lvpga_celeba", "pga_table1", Published(13.80, 0.20, "standard error", 3)),
        ("rae_l2_mnist_one_gaussian", "pga_table1", Published(22.22)),
        ("lpga_cifar10_ablation", "pga_figure4", Published(114.19)),
        ("two_stage_vae_mnist", "two_stage_table1", Published(13.4, 1.3, "deviation", 10)),
        ("two_stage_vae_celeba_tuned", "two_stage_table1", Published(23.8, 0.5, "deviation", 10)),
        ("prior_free_celeba", "prior_free_table1", Published(62.0)),
        ("age_cifar10", "prior_free_table2", Published(271.0)),
        ("prior_free_cifar10", "prior_free_table2", None),
        ("wgan_gp_gan_mnist", "gans", Published(20.3)),
    ],
)
def test_rows_are_those_of_the_papers(name, table, published):
    assert (BY_NAME[name].table, BY_NAME[name].published) == (table, published)


def test_one_gaussian_is_the_flagfile_with_one_component():
    row = BY_NAME["rae_sn_cifar10_one_gaussian"]
    assert (row.flagfile.values["components"], row.values["components"]) == ("10", "1")


def test_rows_are_chosen_by_table_data_set_and_name():
    names = [row.name for row in tables.chosen(ROWS, "pga_table1", "mnist")]
    assert names[:4] == ["vae_mnist", "lpga_mnist", "vpga_mnist", "lvpga_mnist"]
    assert [row.name for row in tables.chosen(ROWS, only=["lpga_digits"])] == ["lpga_digits"]
    for asked in (("pga_table2",), ("pga_table1", "digits"), ("", "", ["lpga_minst"])):
        with pytest.raises(InputError, match=r"--(table|dataset|only)"):
            tables.chosen(ROWS, *asked)


def test_flags_without_a_value_are_read():
    assert headers.values("# a\n--nolatent_batch_norm\n--clip_balance\n--prior=mixture\n", "here") == {
        "latent_batch_norm": "false", "clip_balance": "true", "prior": "mixture",
    }  # fmt: skip


def test_a_field_is_written_and_nothing_else():
    text = "# LPGA on digits: ours.\n# Ours:      not yet\n# Time:      1 minute\n--seed=1\n"
    assert headers.with_field(text, "Ours", r"1 \1") == text.replace("not yet", r"1 \1")


def test_the_recipe_knows_the_methods():
    for name in {row.values["method"] for row in ROWS}:
        method = METHODS.get(name)
        assert hasattr(method, "encode") == (name not in budgets.WITHOUT_ENCODER), name
        assert (method.prior_of(method.Options()) is None) == (name in budgets.WITHOUT_PRIOR), name


KINDS = ("method", "network", "prior", "optimizer", "schedule", "divergence", "likelihood", "critic_updates")
DISTINCT = {tuple(row.values.get(name) for name in KINDS): row for row in ROWS if not row.obstacle}


@pytest.mark.parametrize("row", DISTINCT.values(), ids=lambda row: row.name)
def test_the_laptop_recipe_is_a_valid_configuration_of_every_kind_of_row(row):
    asked = row.overrides | budgets.LAPTOP.flags(row.values)
    given = [f"--flagfile={test_flags.ROOT / tables.FOLDER / row.flagfile.name}.flags"]
    values = test_flags._values(*given, *(f"--{name}={value}" for name, value in asked.items()))
    config = config_lib.validate(flags.config_from_flags(values))
    flags.prior_from_flags(values)
    run, optimizer, method = config.run, config.optimizer, METHODS.get(config.run.method)
    assert (run.steps, run.batch_size, run.mixed_precision) == (2000, 64, "none")
    assert getattr(config.method, "warmup_steps", 0) <= 500
    several = len(method.players(config.method)) > 1
    assert budgets.in_turn(row.values) == several
    assert several or (optimizer.optimizer, optimizer.learning_rate, optimizer.schedule) == ("adam", 5e-4, "cosine")


def test_sweeps_are_every_value_with_every_other():
    assert sweeps.parsed("weight_nll=0.1, 0.2; latent_dim=8,12") == [
        {"weight_nll": "0.1", "latent_dim": "8"}, {"weight_nll": "0.1", "latent_dim": "12"},
        {"weight_nll": "0.2", "latent_dim": "8"}, {"weight_nll": "0.2", "latent_dim": "12"},
    ]  # fmt: skip
    for wrong in ("weight_nll", "weight_nll=", "weight_nll=1,1", "a=1;a=2", "a=1,,2"):
        with pytest.raises(InputError, match="--sweep"):
            sweeps.parsed(wrong)
