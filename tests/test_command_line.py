"""What all commands share: help that fits the terminal."""

import importlib
import subprocess
import sys

import pytest

from pga_tf import cli, command_line, flags
from pipelines import settings

HELP = {"pga_tf.train": flags.training_help, "pga_tf.fit_prior": flags.prior_help, "pipelines.run": settings.help_text}


@pytest.mark.parametrize("width", [40, 80, 119])
@pytest.mark.parametrize("module", cli.COMMANDS.values())
def test_help_fits_and_loses_no_word(module, width):
    text = importlib.import_module(module).USAGE + "\n" + HELP.get(module, str)()
    fitted = command_line.to_width(text, width)
    assert max(map(len, fitted.splitlines())) <= width
    assert "".join(fitted.split()) == "".join(text.split())  # a word longer than a row is cut


def test_prose_is_filled_and_tables_keep_their_columns():
    text = (
        "python -m pga_tf.x VERB\n\n  ask    --seeds=0:16    the first cell of a row and then more than fits\n"
        + " " * 25
        + "and its second line\n\nOne line of prose that is long enough\nand one more."
    )
    assert command_line.to_width(text, 44).splitlines() == [
        "python -m pga_tf.x VERB", "", "  ask    --seeds=0:16    the first cell of a",
        "         row and then more than fits and its", "         second line", "",
        "One line of prose that is long enough and", "one more.",
    ]  # fmt: skip


def test_the_command_goes_by_the_terminal():
    for columns in (60, 100):
        done = subprocess.run(
            [sys.executable, "-m", "pga_tf.client", "--help"], capture_output=True, text=True, check=True,
            env={"COLUMNS": str(columns), "PATH": ""},
        )  # fmt: skip
        assert columns - 12 < max(map(len, done.stdout.splitlines())) <= columns
        assert "pga_tf/client.py" not in done.stdout  # no place of a machine
