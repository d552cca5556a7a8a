"""Flagfiles: values read back exactly, by runs and by commands; a file that is none is refused in one line."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from absl import flags as absl_flags

from pga_tf import command_line, data, flags, run
from pga_tf.core import files, flagfiles
from pga_tf.core.checks import InputError
from pga_tf.evaluation import features, statistics
from pga_tf.runs import config as config_lib
from pga_tf.runs.directory import RunDirectory
from pga_tf.serving import versions
from tests.training import helpers

HARD = [
    "plain", "", " led by a space", "followed by one ", "two\nlines", "a\r\nb", "tab\there", "#hash", "//slashes",
    "a=b", "=", '"quoted"', "'quoted'", '"', "'", "it's", 'say "x"', "back\\slash", "\\n", "--flag=1", "--flagfile=x",
    "ünïcode",    "\u2028separated\x85", "no\u00a0break\u00a0", os.fsdecode(b"byte\xe9"), "~", "[a-z]*?",
]  # fmt: skip


@pytest.mark.parametrize("value", HARD)
def test_any_value_reads_back_exactly(tmp_path, value):
    text = flagfiles.text({"dataset": value, "jit": True})
    assert text.endswith("--jit=true\n")
    files.write_text(tmp_path / "x.flags", text)
    assert flagfiles.read_values(tmp_path / "x.flags", "") == {"dataset": value, "jit": "true"}
    assert flagfiles.expanded([f"--flagfile={tmp_path / 'x.flags'}"]) == [f"--dataset={value}", "--jit=true"]


@pytest.mark.parametrize("value", ["folder:a b/ü", "npz:x\ny ", os.fsdecode(b"folder:\xe9"), 'folder:"x"#'])
def test_a_runs_flags_are_passed_back_as_they_were(tmp_path, value):
    config = helpers.config(tmp_path / "run", dataset=value)
    RunDirectory(tmp_path / "run").create()
    RunDirectory(tmp_path / "run").write_config(config, (8, 8, 1))
    assert config_lib.of_run(tmp_path / "run") == config
    values = absl_flags.FlagValues()
    flags.define_training_flags(values)
    values(["train", *flagfiles.expanded([f"--flagfile={tmp_path / 'run' / 'config.flags'}"])])
    assert flags.config_from_flags(values) == config


WRITTEN = {
    "bom": (b"\xef\xbb\xbf--steps=3\n--dataset=digits\n", ["--steps=3", "--dataset=digits"]),
    "crlf": (b"--steps=3\r\n\r\n# note\r\n--dataset=digits\r\n", ["--steps=3", "--dataset=digits"]),
    "old mac": (b"--steps=3\r--jit\r", ["--steps=3", "--jit"]),
    "quoted": (b'--dataset="folder:My Photos"\n', ["--dataset=folder:My Photos"]),
    "quoted by one": (b"--dataset='folder:My Photos'\n", ["--dataset=folder:My Photos"]),
    "quoted inside": (b'--name=the "best" one\n', ['--name=the "best" one']),
    "no JSON": (b'--name="a\\d"\n', ["--name=a\\d"]),
    "comments and blanks": (b"// a\n\n   \n#b\n  --steps=3  \n", ["--steps=3"]),
    "two lines": (b"--dataset\ndigits\n-steps=3\n", ["--dataset", "digits", "-steps=3"]),
    "switches": (b"--nojit\n--dry_run\n", ["--nojit", "--dry_run"]),
    "no last newline": (b"--steps=3", ["--steps=3"]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_flagfile_is_read_as_a_person_means_it(tmp_path, name):
    content, expected = WRITTEN[name]
    (tmp_path / "x").write_bytes(content)
    for arguments in ([f"--flagfile={tmp_path}/x"], ["--flagfile", f"{tmp_path}/x"], [f"-flagfile={tmp_path}/x"]):
        assert flagfiles.expanded(["--a=1", *arguments, "--b=2"]) == ["--a=1", *expected, "--b=2"]


def test_flagfiles_take_in_others_where_they_name_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "outer").write_text("--a=1\n--flagfile=~/inner\n--c=3\n")
    (tmp_path / "inner").write_text("--b=2\n")
    assert flagfiles.expanded(["--flagfile=~/outer", "--flagfile=~/inner"]) == ["--a=1", "--b=2", "--c=3", "--b=2"]
    assert flagfiles.expanded(["--", "--flagfile=~/outer"]) == ["--", "--flagfile=~/outer"]
    assert flagfiles.expanded(["--flagfile="]) == []


REFUSED = {
    "missing": (None, "a text file in UTF-8, received No such file"),
    "a folder": ("folder", "received Is a directory"),
    "binary": (b"\x00\x01\x02", "received one with zero bytes"),
    "latin": (b"--dataset=folder:\xe9\n", r"received other bytes, the first at 17\. Remedy: .*UTF-8"),
    "of itself": (b"--flagfile={path}\n", "no file that takes in itself"),
    "through another": (b"--flagfile={path}.2\n", "no file that takes in itself"),
    "no flag": (b"steps=3\n", r"x, line 1: expected --name=value, received 'steps=3'"),
    "a space": (b"#\n--steps 3\n", r"x, line 2: expected --name=value, received '--steps 3'"),
    "a quoted line": (b'"--steps=3"\n', r"line 1: expected --name=value"),
    "an open quote": (b'--dataset="folder:My Photos\n', r'line 1: expected a closing "'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_flagfile_is_refused_in_one_line(tmp_path, name):
    content, message = REFUSED[name]
    path = tmp_path / "x"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content.replace(b"{path}", bytes(path)))
        (tmp_path / "x.2").write_text(f"--flagfile={path}\n")
    with pytest.raises(InputError, match=message) as error:
        flagfiles.expanded([f"--flagfile={path}"])
    assert "\n" not in str(error.value)
    assert "Remedy: " in str(error.value)
    assert str(path) in str(error.value)


def test_a_flagfile_flag_without_a_file_is_refused():
    with pytest.raises(InputError, match="--flagfile: expected a file, received none"):
        flagfiles.expanded(["--steps=3", "--flagfile"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--a=1\n--a=2\n", "line 2: expected --a once, as '1', received it again, as '2'"),
        ("--a=1\nb\n", "line 2: expected --name=value, received 'b'"),
        ("--a\n", "line 1: expected --name=value"),
        ("--a b=1\n", "line 1: expected --name=value"),
    ],
)
def test_values_of_a_run_are_named_once(text, message):
    with pytest.raises(InputError, match=message):
        flagfiles.values(text, "config.flags", "none")
    assert flagfiles.values("--a=1\n--a=1\n", "config.flags", "none") == {"a": "1"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("~", "{home}"), ("~/x", "{home}/x"), ("folder:~/x", "folder:{home}/x"), ("npz:~/x", "npz:{home}/x"),
        (pathlib.Path("~/x"), "{home}/x"), ("a~", "a~"), ("x/~/y", "x/~/y"), ("tfds:~", "tfds:~"), ("", ""),
        ("~/two\nlines", "{home}/two\nlines"),
    ],
)  # fmt: skip
def test_a_tilde_at_the_start_is_the_home_folder(path, expected, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert files.home(path) == expected.format(home="/home/someone")


@pytest.mark.slow
def test_a_run_of_the_library_lies_where_a_tilde_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "images.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8))
    values = {"workdir": pathlib.Path("~/run"), "dataset": "npz:~/images.npy", "method": "ae", "network": "mlp"}
    run.train(**values, steps=1, batch_size=4, latent_dim=2, filters=4, out=str)
    held = RunDirectory("~/run").read_flags()
    assert (held["workdir"], held["dataset"]) == (f"{tmp_path}/run", f"npz:{tmp_path}/images.npy")
    assert run.load("~/run").workdir == tmp_path / "run"
    assert sorted(os.listdir(tmp_path)) == ["images.npy", "run"]


def test_a_tilde_is_the_home_folder_in_the_library_too(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert RunDirectory("~/run").path == RunDirectory(pathlib.Path("~/run")).path == tmp_path / "run"
    config = config_lib.at_home(helpers.config("~/run", dataset="folder:~/x", evaluate_inception_path="~/net"))
    assert (config.run.workdir, config.data.dataset) == (f"{tmp_path}/run", f"folder:{tmp_path}/x")
    assert config.run.evaluate_inception_path == f"{tmp_path}/net"
    np.save(tmp_path / "images.npy", np.arange(40 * 64, dtype=np.uint8).reshape(40, 8, 8))
    assert data.load(data.DataOptions(dataset="npz:~/images.npy")).image_shape == (8, 8, 1)
    assert versions.Versions("~/base", "m").folder == tmp_path / "base" / "m"
    assert statistics.Cache("~/cache").folder == tmp_path / "cache"
    with pytest.raises(InputError, match=f"--features={tmp_path}/net.keras"):
        features.load("~/net.keras")
    with pytest.raises(InputError, match=f"'{tmp_path}/net', which does not exist"):
        features.load("inception", inception_path="~/net")


def test_a_command_takes_a_tilde_in_any_flag(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    values = absl_flags.FlagValues()
    absl_flags.DEFINE_string("out", None, "", flag_values=values)
    absl_flags.DEFINE_list("images", None, "", flag_values=values)
    absl_flags.DEFINE_integer("steps", 0, "", flag_values=values)
    monkeypatch.setattr(absl_flags, "FLAGS", values)
    rest = command_line._parse(["command", "--out=~/x.png", "--images=~/a.png,b.png", "--steps=3", "~/run"])
    assert rest == ["command", f"{tmp_path}/run"]
    assert (values.out, values.images, values.steps) == (f"{tmp_path}/x.png", [f"{tmp_path}/a.png", "b.png"], 3)


def test_the_command_says_what_is_wrong_with_a_flagfile_and_exits_with_2(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe-\x00")
    done = subprocess.run(
        [sys.executable, "-m", "pga_tf.client", f"--flagfile={tmp_path}/x"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert re.fullmatch(r"error: --flagfile=\S+/x: expected a text file in UTF-8, received .*\n", done.stderr)
