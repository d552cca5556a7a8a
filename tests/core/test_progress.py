"""Progress on a real pseudo-terminal, read by a terminal emulator, and in a log file."""

import fcntl
import os
import pathlib
import pty
import struct
import subprocess
import sys
import termios

import pyte
import pytest

from pga_tf.core import progress
from tests import commands

ROOT = pathlib.Path(__file__).parents[2]
BAR = """
import time
from pga_tf.core.progress import Progress
with Progress("step", 12, of_each=64) as bar:
    for i in range(1, 13):
        time.sleep(0.03)
        bar.to(i, " ".join(f"L_{k} {i / 7:.4g}" for k in range(30)))
        if i == 6:
            bar.say("scores at step 6")
with Progress("iteration", things="iterations") as bar:
    for i in range(1, 4):
        bar.to(i, "log-likelihood -3")
print("done")
"""
TRAIN = [
    "-m", "pga_tf.train", "--method=lpga", "--dataset=digits", "--network=conv_8", "--filters=2", "--latent_dim=2",
    "--batch_size=8", "--steps=60", "--optimizer=adam", "--evaluate_every=30", "--evaluate_samples=20",
]  # fmt: skip


def in_a_terminal(arguments, columns):
    """(rows of a terminal `columns` wide after the command, how many times a row was scrolled or fed)."""
    screen = pyte.Screen(columns, 200)
    stream = pyte.ByteStream(screen)
    child, terminal = pty.fork()
    if not child:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, *arguments])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 200, columns, 0, 0))
    raw = b""
    while True:
        try:
            part = os.read(terminal, 2**16)
        except OSError:  # the other side is gone
            break
        if not part:
            break
        stream.feed(part)
        raw += part
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, raw.decode()
    return [row.rstrip() for row in screen.display if row.strip()], raw.decode()


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_terminal_sees_one_row_whose_losses_are_cut_off(columns):
    rows, raw = in_a_terminal(["-c", BAR], columns)
    assert raw.count("step ") > 3  # it was rewritten
    assert rows[0] == "scores at step 6"
    assert rows[1].startswith("[==========] step 12/12, ")
    assert columns == 40 or "images/s, 0 s left, L_0" in rows[1]
    assert rows[2].strip().startswith("iteration 3")
    assert rows[3:] == ["done"]
    assert (("L_29" in rows[1]), ("L_0" in rows[1])) == (False, columns > 60)


def test_training_takes_one_row_of_a_terminal_and_no_carriage_return_in_a_log(tmp_path, capfd):
    rows, raw = in_a_terminal([*TRAIN, f"--workdir={tmp_path}/a"], 80)
    assert len([row for row in rows if "L_lr_N" in row or "] step " in row]) == 1, rows
    assert raw.count("images/s") > 1
    capfd.readouterr()
    assert commands.call("train", *TRAIN[2:], f"--workdir={tmp_path}/b") == 0
    said = capfd.readouterr()
    assert "\r" not in said.out + said.err
    assert 1 <= said.err.count("step ") < 10


def test_a_log_file_gets_few_whole_lines():
    done = subprocess.run([sys.executable, "-c", BAR], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "\r" not in done.stdout + done.stderr
    first, said, last, *others = done.stderr.splitlines()
    assert first.startswith("step 1/12, measuring speed, L_0 0.1429 L_1")
    assert (said, last.partition(",")[0]) == ("scores at step 6", "step 12/12")
    assert "L_29 1.714" in last  # nothing is cut off
    assert [line.partition(",")[0] for line in others] == ["iteration 1", "iteration 3"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "0 s"),
        (99, "99 s"),
        (100, "2 min"),
        (7100, "118 min"),
        (7200, "2.0 h"),
        (12345, "3.4 h"),
        (9e5, "250.0 h"),
    ],
)
def test_durations(seconds, said):
    assert progress.duration(seconds) == said
