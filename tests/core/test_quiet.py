"""What commands should not leave on a terminal: TensorFlow's start-up lines, and commands that do not paste."""

import logging
import os
import subprocess
import sys

import pytest

from pga_tf.core import commands, quiet

NOISY = (
    "I0000 00:00:1 port.cc:153] oneDNN custom operations are on. You may see slightly different results\n"
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
)


def test_noise_is_held_back_and_everything_else_stays(capfd):
    with quiet.without_noise():
        os.write(2, (NOISY + "E0000 the disk is on fire\n").encode())
        print("warning: of Python", file=sys.stderr)
    os.write(2, b"after\n")
    written = capfd.readouterr().err
    assert sorted(written.splitlines()) == ["E0000 the disk is on fire", "after", "warning: of Python"]


def test_an_error_inside_loses_nothing(capfd):
    def fail():
        with quiet.without_noise():
            os.write(2, b"why it failed\n")
            raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert "why it failed" in capfd.readouterr().err


def test_importing_the_package_leaves_stderr_empty():
    done = subprocess.run(
        [sys.executable, "-c", "import pga_tf.core.checks"], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        (None, "python -m pga_tf.sample '--workdir=my runs/a' --seed=3"),
        ("tools/run python -m", "tools/run python -m pga_tf.sample '--workdir=my runs/a' --seed=3"),
        ("pga-tf", "pga-tf sample '--workdir=my runs/a' --seed=3"),
    ],
)
def test_commands_are_printed_as_this_one_was_started(started, expected, monkeypatch):
    monkeypatch.delenv(commands.STARTED_AS, raising=False)
    if started:
        monkeypatch.setenv(commands.STARTED_AS, started)
    assert commands.line("sample", workdir="my runs/a", seed=3) == expected
    assert commands.as_started("python -m pga_tf.sample '--workdir=my runs/a' --seed=3") == expected


def test_tensorflows_log_keeps_all_but_what_misleads(caplog):
    quiet.hold_back_noise()
    log = logging.getLogger("tensorflow")
    with caplog.at_level("INFO", logger="tensorflow"):
        log.warning("%s out of the last 5 calls to %s triggered tf.function retracing. Tracing is expensive", 5, "f")
        log.info("Assets written to: %s", "models/.exporting-x/assets")
        log.warning("Gradients do not exist for variables %s", ["w"])
    assert [record.getMessage() for record in caplog.records] == ["Gradients do not exist for variables ['w']"]
