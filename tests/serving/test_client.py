"""The client library and its commands, over gRPC and REST, against a server in another process."""

import errno
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from absl import flags as absl_flags
from PIL import Image

from pga_tf import client
from pga_tf.core.checks import InputError
from pga_tf.serving import inputs, remote, specs
from tests.serving import servers, toy_model

ROOT = pathlib.Path(__file__).parents[2]
TRANSPORTS = pytest.mark.parametrize("rest", [False, True], ids=["grpc", "rest"])
EXACT = {"rtol": 0, "atol": 1e-6}  # one graph on one machine; JSON carries float32 without loss


def run(server, *arguments, rest=False):
    """The command in this process, sparing the seconds that importing TensorFlow takes."""
    values = absl_flags.FlagValues()
    client.define_flags(values)
    target = [f"--target={server.rest if rest else server.grpc}", "--model=toy", "--timeout=60", f"--rest={rest}"]
    return client.main(values(["client", *target, *map(str, arguments)])[1:], values)


def expected(loaded, name, version=2, **arguments):
    return {k: v.numpy() for k, v in loaded[version].signatures[name](**arguments).items()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """5 images as PNG files, beside a file that is none; `images.npz` holds what they hold."""
    folder = tmp_path_factory.mktemp("images")
    pixels = np.round(toy_model.images(5) * 255).astype(np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image[..., 0]).save(folder / f"{i}.png")
    (folder / "notes.txt").write_text("no image")
    np.savez(folder / "images.npz", images=pixels)
    return folder


def unit(folder):
    return np.float32(np.load(folder / "images.npz")["images"]) / 255


@TRANSPORTS
def test_sample_gives_what_the_model_gives(server, loaded, tmp_path, rest):
    assert run(server, "sample", "--seeds=3:7", f"--out={tmp_path}/a.npz", rest=rest) == 0
    assert run(server, "sample", "--seeds=6,3", f"--out={tmp_path}/b.npz", rest=rest) == 0
    a, b = np.load(tmp_path / "a.npz"), np.load(tmp_path / "b.npz")
    np.testing.assert_array_equal(a["seeds"], [3, 4, 5, 6])
    np.testing.assert_allclose(
        a["images"], expected(loaded, "sample", seed=tf.range(3, 7, dtype=tf.int64))["image"], **EXACT
    )
    assert a["images"].dtype == np.float32
    np.testing.assert_allclose(b["images"], a["images"][[3, 0]], atol=1e-5)


def test_a_grid_has_the_images_row_by_row(server, loaded, tmp_path):
    assert run(server, "sample", "--seeds=0:4", f"--out={tmp_path}/grid.png") == 0
    picture = np.asarray(Image.open(tmp_path / "grid.png"))
    assert picture.shape == (82, 82)  # 2 x 2 images of 8 pixels, enlarged to 40, 2 pixels apart
    images = expected(loaded, "sample", seed=tf.range(4, dtype=tf.int64))["image"]
    np.testing.assert_array_equal(picture[42::5, :40:5], np.round(images[2, ..., 0] * 255).astype(np.uint8))


@TRANSPORTS
def test_reconstruct_encode_and_decode(server, loaded, folder, tmp_path, rest):
    x = unit(folder)
    assert run(server, "encode", f"--images={folder}", f"--out={tmp_path}/z.npz", rest=rest) == 0
    codes = np.load(tmp_path / "z.npz")["codes"]
    np.testing.assert_allclose(codes, expected(loaded, "encode", image=x)["z"], **EXACT)
    assert run(server, "decode", f"--codes={tmp_path}/z.npz", f"--out={tmp_path}/x.npz", rest=rest) == 0
    assert run(server, "reconstruct", f"--images={folder}/images.npz", f"--out={tmp_path}/r.npz", rest=rest) == 0
    restored = np.load(tmp_path / "r.npz")
    np.testing.assert_allclose(restored["images"], x, **EXACT)
    np.testing.assert_allclose(restored["reconstructions"], expected(loaded, "reconstruct", image=x)["image"], **EXACT)
    decoded = np.load(tmp_path / "x.npz")
    np.testing.assert_array_equal(decoded["codes"], codes)
    np.testing.assert_allclose(decoded["images"], restored["reconstructions"], atol=1e-5)


@TRANSPORTS
def test_interpolation_goes_from_the_first_image_to_the_second(server, loaded, folder, tmp_path, rest):
    assert run(server, "interpolate", f"--images={folder}", "--steps=3", f"--out={tmp_path}/i.npz", rest=rest) == 0
    found = np.load(tmp_path / "i.npz")
    restored = expected(loaded, "reconstruct", image=unit(folder))["image"]
    assert found["images"].shape == (9, 8, 8, 1)
    for row, (a, b) in enumerate([(0, 1), (2, 3), (4, 0)]):
        np.testing.assert_allclose(found["images"][3 * row], restored[a], atol=1e-5)
        np.testing.assert_allclose(found["images"][3 * row + 2], restored[b], atol=1e-5)


@TRANSPORTS
def test_score_prints_a_line_for_each_image(server, loaded, folder, capsys, rest):
    assert run(server, "score", f"--images={folder}", rest=rest) == 0
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["reconstruction_error", "log_prior", "image"]
    wanted = expected(loaded, "score", image=unit(folder))
    for i, line in enumerate(lines):
        *numbers, name = line.split()
        assert name == f"{i}.png"
        for column, number in zip(header.split(), numbers, strict=False):
            np.testing.assert_allclose(float(number), wanted[column][i], rtol=1e-5)


def test_encode_prints_a_table(server, folder, capsys):
    assert run(server, "encode", f"--images={folder}/0.png,{folder}/3.png") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["z0", "z1", "z2", "z3", "image"]
    assert [line.split()[-1] for line in lines[1:]] == ["0.png", "3.png"]


@TRANSPORTS
def test_status_lists_versions_and_signatures(server, capsys, rest):
    assert run(server, "status", rest=rest) == 0
    text = capsys.readouterr().out
    assert "version 2: AVAILABLE\n  version 1: AVAILABLE" in text
    assert "decode: z float32 [B, 4] -> image float32 [B, 8, 8, 1]" in text
    assert "interpolate: image_a float32 [B, 8, 8, 1], image_b float32 [B, 8, 8, 1], t float32 [B] -> image" in text
    assert "__saved_model_init_op" not in text


@TRANSPORTS
def test_a_version_and_a_label_choose(server, loaded, rest):
    def decoded(**choice):
        with server.remote(rest=rest, **choice) as model:
            return model.decode(np.ones([1, 4]))

    one, two = (expected(loaded, "decode", v, z=tf.ones([1, 4]))["image"] for v in (1, 2))
    assert np.abs(one - two).max() > 0.01
    for choice, wanted in (
        ({"version": 1}, one),
        ({"label": "stable"}, one),
        ({"label": "canary"}, two),
        ({}, two),
    ):
        np.testing.assert_allclose(decoded(**choice), wanted, **EXACT)


@TRANSPORTS
def test_large_requests_are_split(server, loaded, rest):
    with server.remote(rest=rest) as model:
        found = model.sample(range(150))
    assert found.shape == (150, 8, 8, 1)
    wanted = expected(loaded, "sample", seed=tf.range(150, dtype=tf.int64))["image"]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_wide_rows_are_sent_fewer_at_a_time(server, loaded, monkeypatch):
    monkeypatch.setattr(remote, "MAX_BYTES", 1000)  # 3 images of 64 floats
    sent = []
    with server.remote() as model:
        predict = model._transport.predict
        model._transport.predict = lambda name, part, *rest: sent.append(len(part["z"])) or predict(name, part, *rest)
        found = model.decode(np.ones([8, 4]))
    assert sent == [3, 3, 2]
    np.testing.assert_allclose(found, expected(loaded, "decode", z=tf.ones([8, 4]))["image"], atol=1e-5)


@TRANSPORTS
def test_a_batch_of_none_gives_none(server, rest):
    with server.remote(rest=rest) as model:
        assert model.sample([]).shape == (0, 8, 8, 1)
        assert model.encode(np.zeros([0, 8, 8, 1])).shape == (0, 4)
        assert model.score(np.zeros([0, 8, 8, 1]))["log_prior"].shape == (0,)


@TRANSPORTS
@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"model": "toyy"}, r"Model toyy on .*: expected a model and version that the server has loaded, .*not found"),
        ({"version": 7}, r"Model toy, version 7 on "),
        ({"label": "beta"}, r"Model toy, label beta on .*label: beta.* Remedy: correct --model, --version or --label"),
    ],
)
def test_what_the_server_has_not_is_named(server, rest, choice, message):
    with server.remote(rest=rest, **choice) as model, pytest.raises(InputError, match=message):
        model.sample([0])


@TRANSPORTS
def test_a_signature_that_the_model_has_not_is_named_with_those_it_has(server, rest):
    message = "expected a signature encode, received signatures decode, sample, serving_default"
    with server.remote("partial", rest=rest) as model, pytest.raises(InputError, match=message):
        model.encode(toy_model.images(1))


@TRANSPORTS
@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        ("encode", np.zeros([2, 9, 8, 1]), r"expected float32 \[B, 8, 8, 1\].*received float64 \[2, 9, 8, 1\].*crop"),
        ("encode", np.zeros([8, 8, 1]), r"received float64 \[8, 8, 1\]"),
        ("encode", np.full([1, 8, 8, 1], 255.0), r"values in \[0, 1\], received values in \[255, 255\].*by 255"),
        ("encode", np.full([1, 8, 8, 1], np.nan), r"in \[0, 1\], received values in \[nan, nan\]"),
        ("decode", np.full([1, 4], np.inf), "expected finite values"),
        ("decode", np.full([1, 4], 1e300), "expected finite values"),
        ("decode", [["a", "b", "c", "d"]], r"received str\w* values"),
        ("sample", [0.5], r"expected int64 \[B\], received float64 values"),
    ],
)
def test_bad_values_are_refused_before_they_are_sent(server, rest, method, value, message):
    with server.remote(rest=rest) as model:
        assert model.signatures
        model._transport.predict = None  # a request would fail on this
        with pytest.raises(InputError, match=message):
            getattr(model, method)(value)


def test_inputs_must_pair_up(server):
    x = toy_model.images(3)
    with server.remote() as model:
        with pytest.raises(InputError, match=r"expected one length, received .*'t': 2"):
            model.interpolate(x, x, [0.0, 1.0])
        with pytest.raises(InputError, match="expected inputs z, received image, z"):
            model.predict("decode", z=np.zeros([1, 4]), image=x)


NOWHERE = "--target=127.0.0.1:1"  # never asked: what is wrong is found before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected one verb of sample, .*received none"),
        (["sampl", "--seeds=0:4", "--out=a.png"], "did you mean 'sample'"),
        (["sample", "encode"], "expected one verb"),
        (["sample", "--out=a.png"], "expected --seeds, received none"),
        (["sample", "--seeds=4:4", "--out=a.png"], "--seeds: expected A:B with A < B"),
        (["sample", "--seeds=0:99999999999999999999", "--out=a.png"], "--seeds: expected"),
        (["sample", f"--seeds={2**63}", "--out=a.png"], "64 bits"),
        (["sample", "--seeds=0:2000001", "--out=a.npz"], "1 to 1000000"),
        (["sample", "--seeds=0:20000", "--out=a.png"], "up to 10000 images in a grid"),
        (["sample", "--seeds=one", "--out=a.png"], "received one. Remedy: try --seeds=0:16"),
        (["sample", "--seeds=0:4"], "--out: expected a .png or .npz"),
        (["sample", "--seeds=0:4", "--out=a.jpg"], "ends in .png or .npz"),
        (["sample", "--seeds=0:4", "--out=no/such/a.png"], "a folder that exists"),
        (["sample", "--seeds=0:4", "--images=a.png", "--out=a.png"], "--images with sample: expected --seeds"),
        (["score", "--images=/dev/null"], "--images=/dev/null: expected a file or folder, received something else"),
        (["sample", "--seeds=0:4", "--out={tmp}/folder.png"], "--out: expected a file, received .*, a folder"),
        (["score", "--images=no.png"], "--images=no.png: expected a file or folder"),
        (["score", "--images={tmp}"], "expected images in it: .*, received none"),
        (["score", "--images={tmp}/bad.npz"], "none called images"),
        (["score", "--images={tmp}/bad.npy"], r"values in \[-1, -1\].*--value_range=-1,1"),
        (["score", "--images={tmp}/nan.npy"], r"received values in \[nan, nan\]"),
        (["score", "--images={tmp}/ints.npy"], "received dtype int64"),
        (["encode", "--images={tmp}/bad.png"], "expected an image that decodes"),
        (["encode", "--images={tmp}/a.png,{tmp}/b.png"], r"one shape .* received \S*/b.png \[9, 8, 1\]"),
        (["encode", "--images={tmp}/a.png", "--out=a.png"], "--out with encode: expected a file that ends in .npz"),
        (["interpolate", "--images={tmp}/a.png", "--out=a.png"], "two or more images, received one"),
        (["decode", "--codes={tmp}/bad.npz", "--out=a.png"], "received arrays pictures, and none called codes"),
        (["decode", "--codes={tmp}/nan.npy", "--out=a.png"], r"an .npy, or an .npz .*received float64 \[1, 8, 8, 1\]"),
        (["decode", "--codes={tmp}/nan.npz", "--out=a.png"], "of finite numbers .*received NaN or infinity"),
        (["decode", "--codes={tmp}/bad.png", "--out=a.png"], r"--codes=.*bad.png: expected an .npy, or an .npz with"),
        (["decode", "--codes={tmp}/cut.npz", "--out=a.png"], r"--codes=.*cut.npz: expected an .npy, or an .npz with"),
        (["decode", "--codes={tmp}/no.npz", "--out=a.png"], "No such file .*Remedy: correct the path"),
        (["status", "--out=a.npz"], "status is printed"),
        (["status", "--version=1", "--label=stable"], "expected one of them, received both"),
        (["status", "--timeout=0"], "--timeout: expected seconds > 0"),
        (["status", "--timeout=nan"], "--timeout: expected seconds > 0"),
        (["status", "--target=http://localhost:8501"], "--target: expected HOST:PORT.* no http://"),
        (["status", "--target=localhost"], "--target: expected HOST:PORT"),
        (["status", "--target=localhost:99999"], "--target: expected HOST:PORT"),
    ],
)  # fmt: skip
def test_mistakes_are_found_before_the_server_is_asked(arguments, message, tmp_path):
    np.savez(tmp_path / "bad.npz", pictures=np.zeros([1, 8, 8, 1]))
    np.save(tmp_path / "bad.npy", np.full([1, 8, 8, 1], -1.0))
    np.save(tmp_path / "nan.npy", np.full([1, 8, 8, 1], np.nan))
    np.savez(tmp_path / "nan.npz", codes=np.full([2, 4], np.nan))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "nan.npz").read_bytes()[:99])
    np.save(tmp_path / "ints.npy", np.zeros([1, 8, 8, 1], np.int64))
    (tmp_path / "folder.png").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    Image.new("L", (8, 9)).save(tmp_path / "b.png")
    bad = (tmp_path / "a.png").read_bytes()[:40]
    (tmp_path / "bad.png").write_bytes(bad)
    place = tmp_path / "empty" if arguments[-1:] == ["--images={tmp}"] else tmp_path
    place.mkdir(exist_ok=True)
    values = absl_flags.FlagValues()
    client.define_flags(values)
    arguments = [argument.format(tmp=place) for argument in arguments]
    with pytest.raises(InputError, match=message):
        client.main(values(["client", NOWHERE, *arguments])[1:], values)


def test_codes_of_an_npy_and_of_an_npz_are_the_same(tmp_path):
    codes = np.random.default_rng(0).normal(size=[5, 4]).astype(np.float32)
    np.save(tmp_path / "z.npy", codes)
    np.savez(tmp_path / "z.npz", images=np.zeros([5, 8, 8, 1]), codes=codes)  # as decode writes them
    for name in ("z.npy", "z.npz"):
        np.testing.assert_array_equal(inputs.codes(tmp_path / name), codes)


def test_grey_pictures_become_rgb_where_the_model_or_another_picture_has_colours(tmp_path):
    Image.new("L", (8, 8), 51).save(tmp_path / "grey.png")
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "red.png")
    both = inputs.images([tmp_path])
    assert both.names == ["grey.png", "red.png"]
    np.testing.assert_allclose(both.pixels[:, 0, 0], [[0.2, 0.2, 0.2], [1, 0, 0]], rtol=1e-6)
    grey = inputs.images([tmp_path / "grey.png"])
    assert grey.pixels.shape == (1, 8, 8, 1)
    assert inputs.in_colours(grey, 3).shape == (1, 8, 8, 3)


def test_what_is_not_read_or_not_taken_as_it_is_stored_is_told(tmp_path):
    Image.new("L", (8, 8), 51).save(tmp_path / "grey.png")
    Image.new("L", (8, 8), 51).save(tmp_path / ".hidden.png")
    (tmp_path / "below").mkdir()
    (tmp_path / "notes.txt").write_text("text")
    Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(tmp_path / "deep.png")
    read = inputs.images([tmp_path])
    assert read.names == ["deep.png", "grey.png"]
    assert [line.partition(":")[0] for line in read.told] == [
        "warning",
        "warning",
        "1 passed over, no pictures",
        "warning",
    ]
    assert read.told[-1].endswith("deep.png; was another range meant? Pass --value_range=0,4095")
    chosen = inputs.images([tmp_path], (0.0, 4095.0))
    np.testing.assert_allclose(chosen.pixels[:, 0, 0, 0], [1, 0.2], rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "value_range", "expected", "told"),
    [
        ([0, 0.5, 1.0000001], None, [0, 0.5, 1], "values outside [0, 1] were clipped in"),
        ([-1, 0, 1.0], (-1.0, 1.0), [0, 0.5, 1], None),
        (np.int16([-5, 50, 200]), (0.0, 100.0), [0, 0.5, 1], "values outside [0, 100] were clipped in"),
        (np.uint8([0, 1, 1]), (0.0, 1.0), [0, 1, 1], None),
    ],
)
def test_arrays_of_any_numbers_are_taken_with_their_range(tmp_path, values, value_range, expected, told):
    np.save(tmp_path / "x.npy", np.array(values).reshape(1, 3, 1, 1))
    read = inputs.images([tmp_path / "x.npy"], value_range)
    np.testing.assert_allclose(read.pixels.ravel(), expected)
    assert (told in read.told[0]) if told else not read.told


def test_points_in_the_plane_may_lie_anywhere_but_must_be_somewhere(tmp_path):
    points = np.array([[-3.0, 0.5], [0.2, 7.0]]).reshape(2, 1, 1, 2)
    np.save(tmp_path / "points.npy", points)
    np.testing.assert_array_equal(inputs.images([tmp_path / "points.npy"]).pixels, points.astype(np.float32))
    np.testing.assert_array_equal(specs.unit("images", points), points)
    np.save(tmp_path / "points.npy", points * np.nan)
    with pytest.raises(InputError, match=r"received values in \[nan, nan\]"):
        inputs.images([tmp_path / "points.npy"])


@pytest.mark.parametrize(
    ("colours", "expected", "received"),
    [
        (["2.png"], "grey images, which the model was trained on, as 7 of these are", "{tmp}/2.png"),
        (["2.png", "5.png"], "as 6 of these are", "{tmp}/2.png, {tmp}/5.png"),
        ([f"{i}.png" for i in range(8)], "which the model was trained on,", "{tmp}/4.png and 3 more"),
    ],
)
def test_colour_pictures_for_a_grey_model_are_named(server, tmp_path, colours, expected, received):
    for i in range(8):
        Image.new("RGB" if f"{i}.png" in colours else "L", (8, 8)).save(tmp_path / f"{i}.png")
    with pytest.raises(InputError) as refused:
        run(server, "encode", f"--images={tmp_path}")
    assert expected in str(refused.value)
    assert f"{received.format(tmp=tmp_path)}. Remedy: convert to grey" in str(refused.value)


def test_files_of_another_size_are_named_and_not_those_that_are_many(tmp_path):
    for i in range(9):
        Image.new("L", (8, 8)).save(tmp_path / f"{i}.png")
    Image.new("RGB", (8, 7)).save(tmp_path / "wide.png")
    np.save(tmp_path / "four.npy", np.zeros([2, 8, 8, 4], np.uint8))
    paths = [tmp_path, tmp_path / "four.npy"]
    with pytest.raises(InputError, match=r"9 of 11 have \[8, 8, 1\], received \S+wide.png \[7, 8, 3\], \S+four.npy \["):
        inputs.images(paths)


ODD_NAMES = [
    "a,b.png",
    "[1].png",
    "*.png",
    " a b .png",
    "a\nb.png",
    b"\xff\xfe.png",
    "a;b'c$(d)\".png",
    "é😀.png",
    "-x.png",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_whatever_a_file_is_called_it_is_one_file_and_one_line(server, tmp_path, monkeypatch, capsys, name):
    name = os.fsdecode(name)
    Image.new("L", (8, 8), 10).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    for path in (name, f"{tmp_path}/{name}", str(tmp_path)):
        assert run(server, "score", f"--images={path}") == 0
        lines = capsys.readouterr().out.encode().splitlines()  # encode: no lone surrogate reaches a terminal
        assert len(lines) == 2
    (tmp_path / name).write_bytes(b"no picture")
    with pytest.raises(InputError, match="an image that decodes") as refused:
        run(server, "score", f"--images={name}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "there", "found"),
    [
        ("a,b.png", ["a,b.png", "a", "b.png"], ["a,b.png"]),  # the longest that exists
        ("a,b.png", ["a", "b.png"], ["a", "b.png"]),
        ("a,b.png,c", ["a,b.png", "c"], ["a,b.png", "c"]),
        ("c,a,b.png,d", ["a,b.png", "c", "d"], ["c", "a,b.png", "d"]),
        ("x,y/a,b.png", ["x,y/a,b.png"], ["x,y/a,b.png"]),
        ("a, b.png", ["a", "b.png"], ["a", "b.png"]),
        ("a, b.png", ["a", " b.png"], ["a", " b.png"]),
        ("a,no.png", ["a"], ["a", "no.png"]),
        (",a", [",a"], [",a"]),
        (",".join(["a"] * 1000), ["a"], ["a"] * 1000),
    ],
)
def test_commas_part_paths_unless_a_path_with_them_exists(tmp_path, monkeypatch, text, there, found):
    monkeypatch.chdir(tmp_path)
    for name in there:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert inputs.paths(text) == found


@pytest.mark.parametrize("text", [",", "a,,b", "a,", " "])
def test_a_path_of_nothing_is_not_the_current_folder(text):
    with pytest.raises(InputError, match="one comma between them"):
        inputs.paths(text)


@pytest.mark.parametrize("verb", ["sample", "encode", "score"])
def test_what_fails_while_it_is_written_leaves_the_old_file(server, folder, tmp_path, monkeypatch, verb):
    out = tmp_path / "out.npz"
    out.write_bytes(b"old")

    def full(file, **_):
        file.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(client.np, "savez_compressed", full)
    given = "--seeds=0:2" if verb == "sample" else f"--images={folder}"
    with pytest.raises(OSError, match="No space"):
        run(server, verb, given, f"--out={out}")
    assert [path.name for path in tmp_path.iterdir()] == ["out.npz"]
    assert out.read_bytes() == b"old"


def test_the_command_as_a_user_runs_it(server, tmp_path):
    """A success and a failure, each in a process of its own: exit status, one line, no traceback."""

    def command(*arguments):
        command = [sys.executable, "-m", "pga_tf.client", *arguments]
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    target = f"127.0.0.1:{servers.free_port()}"
    good = command(f"--target={server.grpc}", "--model=toy", "sample", "--seeds=0:4", f"--out={tmp_path}/a.png")
    bad = command(f"--target={target}", "--timeout=1", "status")
    (made, _), (_, refused) = good.communicate(timeout=servers.PATIENCE), bad.communicate(timeout=servers.PATIENCE)
    assert (good.returncode, made) == (0, f"{tmp_path}/a.png\n")
    assert bad.returncode == 2
    assert "Traceback" not in refused
    assert f"error: Server {target}: expected a model server that speaks gRPC" in refused


def test_the_command_loads_no_tensorflow(server, tmp_path):
    code = (
        "import runpy, sys\ntry: runpy.run_module('pga_tf.client', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'tensorflow', 'keras', 'matplotlib', 'sklearn'} & set(sys.modules)"
    )
    for arguments in (["--help"], ["status"], ["sample", "--seeds=0:4", f"--out={tmp_path}/grid.png"]):
        target = [f"--target={server.grpc}", "--model=toy", "--timeout=60"]
        subprocess.run([sys.executable, "-c", code, *target, *arguments], check=True, cwd=ROOT)
    assert (tmp_path / "grid.png").exists()
