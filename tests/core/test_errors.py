"""What a machine or a library lacks is told in one line with its file and a remedy; a mistake keeps its traceback."""

import errno
import os
import re
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from pga_tf import command_line
from pga_tf.core import checks, errors, files, grids, signals


def raised(work):
    try:
        work()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def in_a_pipeline(error):
    """What TensorFlow makes of an error of Python within tf.data."""

    def fail(index):
        raise error

    images = tf.data.Dataset.range(2).map(lambda i: tf.numpy_function(fail, [i], tf.float32))
    return raised(lambda: next(iter(images)))


def failing_database():
    sqlite3.connect(":memory:").execute("select * from missing")


DISK, OPEN = "No space left on device", "Too many open files"
CASES = {
    "full disk": (OSError(errno.ENOSPC, DISK, "a/b.npz"), "a/b.npz: No space left.*free some space"),
    "read-only": (OSError(errno.EROFS, "Read-only file system", "x"), "x: Read-only.*choose a place"),
    "open files": (OSError(errno.EMFILE, OPEN, "x"), r"x: Too many open files.*ulimit -n"),
    "another errno": (OSError(errno.EXDEV, "Invalid cross-device link", "x"), r"x: Invalid cross-device link\.$"),
    "no errno": (OSError("odd"), r"^odd\.$"),
    "memory": (MemoryError(), r"Out of memory\. Remedy: lower --batch_size"),
    "an array": (raised(lambda: np.zeros(2**46)), r"Out of memory: Unable to allocate .*Remedy: lower"),
    "sqlite": (raised(failing_database), "SQLite database: no such table: missing. Remedy: close"),
    "a tensor": (raised(lambda: tf.zeros(2**44)), r"^Out of memory: OOM when allocating tensor with shape\[175921860"),
    "shapes": (raised(lambda: tf.matmul(tf.eye(2), tf.eye(3))), "TensorFlow: Matrix size-incompatible.*--verbosity=1"),
    "no record": (raised(lambda: next(iter(tf.data.TFRecordDataset("gone")))), "^gone: No such file or directory. Rem"),
    "refused in a pipeline": (in_a_pipeline(checks.InputError("Images: expected y.")), "^Images: expected y.$"),
    "disk in a pipeline": (in_a_pipeline(OSError(errno.EMFILE, OPEN, "a b.tif")), "^a b.tif: Too many open files. Rem"),
    "memory in a pipeline": (in_a_pipeline(MemoryError("of an image")), r"^Out of memory: of an image\. Remedy: lower"),
}  # fmt: skip


@pytest.mark.parametrize(("error", "expected"), CASES.values(), ids=CASES)
def test_one_line_says_what_where_and_the_remedy(error, expected):
    line = errors.line(error)
    assert re.search(expected, line), line
    assert "\n" not in line
    assert "{{" not in line


@pytest.mark.parametrize("error", [KeyError("k"), ValueError("v"), in_a_pipeline(KeyError("k")), RecursionError()])
def test_a_mistake_is_no_line(error):
    assert errors.line(error) is None


@pytest.fixture
def _handlers():
    before = {number: signal.getsignal(number) for number in signals.POLITE}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def fail(error):
    raise error


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize(
    ("work", "status", "said"),
    [
        (lambda: sys.exit(0), 0, ""),
        (lambda: sys.exit(1), 1, ""),
        (lambda: fail(checks.InputError("this and that.")), 2, "error: this and that.\n"),
        (lambda: fail(MemoryError("much")), 2, f"error: Out of memory: much. Remedy: {errors.LESS}.\n"),
        (lambda: fail(KeyboardInterrupt()), 130, "stopped by SIGINT; "),
        (lambda: signal.raise_signal(signal.SIGTERM), 130, "stopped by SIGTERM; "),
        (lambda: signal.raise_signal(signal.SIGHUP), 130, "stopped by SIGHUP; "),
        (lambda: fail(BrokenPipeError()), 0, ""),
        (lambda: fail(KeyError("bug")), 1, "Traceback "),
    ],
)
def test_how_a_command_ends(work, status, said, capsys):
    assert command_line._status(work) == status
    told = capsys.readouterr().err
    assert told.startswith(said)
    assert said.startswith("Traceback") or told.count("\n") == bool(said)
    if status != 1:
        signal.raise_signal(signal.SIGTERM)  # a launcher's second one: nothing is left to stop


def test_a_line_is_appended_whole_or_not_at_all(tmp_path, full_disk):
    path = tmp_path / "metrics.jsonl"
    files.append_line(path, "x" * 90)
    with full_disk(100):
        error = raised(lambda: files.append_line(path, "y" * 90))
    assert errors.line(error).startswith(f"{path}: File too large. Remedy: ")
    assert path.read_text() == "x" * 90 + "\n"
    files.append_line(path, "z")
    assert path.read_text().splitlines()[1:] == ["z"]


def written(path):
    writer = tf.summary.create_file_writer(str(path))
    with writer.as_default(0):
        for i in range(200):  # it tells of what it could not write with what comes after
            tf.summary.scalar(f"{i}", i)


WRITERS = {
    "text": lambda path: files.write_text(path, "x" * 5000),
    "picture": lambda path: grids.write_png(path, np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)),
    "tensorboard": written,
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_names_the_file_and_leaves_what_was_there(writer, tmp_path, full_disk):
    path = tmp_path / "file"
    if writer is not written:
        path.write_text("before")
    with full_disk(1000):
        error = raised(lambda: writer(path))
    assert errors.line(error).startswith(str(path))
    assert "File too large. Remedy: " in errors.line(error)
    if writer is not written:
        assert path.read_text() == "before"
        assert os.listdir(tmp_path) == ["file"]


def test_an_output_that_takes_nothing_is_an_error():
    command = [sys.executable, "-m", "pga_tf.client", "--help"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: Standard output: No space left on device. Remedy: ")
