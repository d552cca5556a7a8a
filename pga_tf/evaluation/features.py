"""Feature networks: uint8 images in, feature vectors out, with the hash that says which network it was.

Shipped in `feature_networks/`: small classifiers, trained by `tools/train_feature_network.py`, whose features are the
input of the last layer, and EfficientNet-lite0 as `imagenet`, ported by `tools/port_imagenet_features.py`. Inception's
features are `pool_3`. A Frechet distance is called FID only for those.
"""

import dataclasses
import functools
import hashlib
import json
import pathlib
import re
import zipfile
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from pga_tf.core import checks, files, precision
from pga_tf.evaluation import resizing

SHIPPED = pathlib.Path(__file__).parent / "feature_networks"
BATCH, BATCH_PIXELS = 250, 50 * 224 * 224  # at most, of a network's input at a time: activations take 10 to 30 times it
NONE = "none"  # the name of no features: what needs none is still measured
GENERAL = "imagenet"  # for photographs and all that has no network of its own
OWN = {"digits": "digits", **{f"tfds:{name}": name for name in ("mnist", "fashion_mnist", "cifar10")}}
LARGEST = 4096  # dimensions of features: moments grow with their square
INCEPTION_SHAPE = (299, 299, 3)
INCEPTION_DIMENSIONS = 2048
MOST_UNPACKED, LEAST_SUSPECT = 20, 2**28  # times the bytes of a .keras file, and bytes: weights hardly shrink in a zip


@dataclasses.dataclass(frozen=True)
class FeatureNetwork:
    """A function of uint8 images `[B, H, W, C]` to float32 features `[B, D]`, and its identity.

    Attributes:
      name: `inception`, the name of a shipped network, `pixels`, or a file's name. sha256: of the file or folder.
      input_shape: (H, W, C) that images are brought to, or None where every shape will do.
      dimensions: D, or None if it depends on the images.
      apply: float32 images `[B, H, W, C]` in [0, 255] of `input_shape` to `[B, D]`.
      resize: how other images are brought to `input_shape`, a key of `resizing.RESIZES`.
    """

    name: str
    sha256: str
    input_shape: tuple[int, int, int] | None
    dimensions: int | None
    apply: Callable
    resize: str = "antialiased"

    @property
    def distance_name(self) -> str:
        """What a Frechet distance between these features is called."""
        return "FID" if self.name == "inception" else f"Frechet distance ({self.name} features)"

    @property
    def kernel_name(self) -> str:
        """What its kernel distance is called; KID only for Inception's."""
        return "KID" if self.name == "inception" else f"Kernel distance ({self.name} features)"

    @property
    def batch(self) -> int:
        """How many images it is given at a time: fewer where its input is large, which costs little speed."""
        height, width, _ = self.input_shape or (1, 1, 1)
        return max(1, min(BATCH, BATCH_PIXELS // (height * width)))

    def card(self) -> dict:
        """What the protocol card says of the network: its name, hash, input and how images are brought to it."""
        resize = resizing.RESIZES[self.resize].told
        return {"network": self.name, "sha256": self.sha256, "input_shape": self.input_shape, "resize": resize}

    def extractor(self) -> Callable[[np.ndarray], np.ndarray]:
        """A function of uint8 arrays `[N, H, W, C]` (float32 for points) to float32 features `[N, D]`.

        Raises `InputError` for images that the network cannot be given, and for features that are not finite.
        """

        @functools.cache
        def compiled(shape):  # one for each shape of image: TensorFlow would generalise over shapes that it has met
            del shape
            return tf.function(lambda images: self.apply(self._prepare(images)), autograph=False, reduce_retracing=True)

        def features(images):
            self.require_images(images.shape[1:], images.dtype)
            call, size = compiled(images.shape[1:]), self.batch
            with precision.whole_products():  # a score is the same whatever the run computes in
                parts = [call(tf.constant(images[i : i + size])).numpy() for i in range(0, len(images), size)]
            values = np.concatenate(parts).astype(np.float32)
            if not np.isfinite(values).all():
                row = int(np.argmin(np.isfinite(values).all(axis=1)))
                checks.refuse(
                    f"Features of {self.name}",
                    expected="finite values",
                    received=f"NaN or infinity, first for image {row} of a batch",
                    remedy="look at that image, and at the feature network",
                )
            return values

        return features

    def require_images(self, shape: Sequence[int], dtype: np.typing.DTypeLike = np.uint8) -> None:
        """Raises `InputError` unless images `(H, W, C)` of `dtype` can be brought to the network's input."""
        if len(shape) != 3 or (dtype != np.uint8 and self.name != "pixels"):
            checks.refuse(
                f"Images for --features={self.name}",
                expected="uint8 [N, H, W, C]",
                received=f"{np.dtype(dtype)} [N, {', '.join(map(str, shape))}]",
                remedy="quantise them; points in the plane go with --features=pixels",
            )
        if self.input_shape and shape[-1] not in (self.input_shape[-1], 1):
            checks.refuse(
                f"Images for --features={self.name}",
                expected=f"{self.input_shape[-1]} channel(s), or grey ones",
                received=f"{shape[-1]} channels",
                remedy=f"choose features for such images: --features={default('', shape)}",
            )
        if self.name == "pixels" and np.prod(shape) > LARGEST:
            checks.refuse(
                "Images for --features=pixels",
                expected=f"at most {LARGEST} values",
                received=int(np.prod(shape)),
                remedy="use a feature network",
            )

    def _prepare(self, images):
        """Grey to RGB by repetition, then resized."""
        images = tf.cast(images, tf.float32)
        if self.input_shape is None:
            return images
        if images.shape[-1] == 1 and self.input_shape[-1] == 3:
            images = tf.repeat(images, 3, axis=-1)
        if tuple(images.shape[1:3]) != self.input_shape[:2]:
            images = resizing.RESIZES[self.resize].apply(images, self.input_shape[:2])
        return images


def shipped() -> dict[str, dict]:
    """Names of the networks that come with the package, with what is recorded of each."""
    record = SHIPPED / "networks.json"
    return json.loads(record.read_text()) if record.exists() else {}


def default(dataset: str, image_shape: Sequence[int], *, inception_path: str = "") -> str:
    """The name of the features that images of a dataset are scored by if none are asked for.

    Its own network, else Inception where that is at hand, else `imagenet`; for points their values. `none` for images
    of neither 1 nor 3 channels, which no network takes.
    """
    if tuple(image_shape) == (1, 1, 2):
        return "pixels"
    if dataset in OWN:
        return OWN[dataset]
    if len(image_shape) != 3 or image_shape[-1] not in (1, 3):
        return NONE
    return "inception" if inception_path else GENERAL


def missing(dataset: str, image_shape: Sequence[int], flag: str = "--features") -> str:
    """What would bring the scores that need features, for images that none are computed of: a phrase."""
    best = default(dataset, image_shape)
    if best != NONE:
        return f"{flag}={best} brings them"
    return f"no network here takes images {list(image_shape)}; {flag}=PATH.keras with one of your own brings them"


def load(name: str, *, inception_path: str = "") -> FeatureNetwork | None:
    """The `FeatureNetwork` of a name: `inception`, `pixels`, a shipped one, or a path that ends in `.keras`.

    None for `none`. Raises `InputError` for a name or a file that is not there, or cannot be used.
    """
    name, inception_path = files.home(name), files.home(inception_path)
    if name == NONE:
        return None
    if name == "pixels":
        return FeatureNetwork("pixels", "none", None, None, lambda x: tf.reshape(x, [tf.shape(x)[0], -1]))
    if name == "inception":
        return _inception(inception_path)
    if name.endswith(".keras"):
        return _keras(pathlib.Path(name), pathlib.Path(name).stem)
    checks.require_member("--features", name, [*shipped(), "inception", "pixels", "PATH.keras", NONE])
    network = _keras(SHIPPED / f"{name}.keras", name)
    expected = shipped()[name]["sha256"]
    if network.sha256 != expected:
        checks.refuse(
            f"Feature network {name}",
            expected=f"the file with sha256 {expected[:12]}",
            received=network.sha256[:12],
            remedy="restore it from the repository; a network of your own goes by its path",
        )
    return network


def sha256(path: pathlib.Path) -> str:
    """Hash of a file, or of a folder's files with their names."""
    digest = hashlib.sha256()
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        if path.is_dir():
            digest.update(str(file.relative_to(path)).encode())
        with open(file, "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def _keras(path, name):
    """A Keras classifier of images in [0, 1]; its features are the input of its last layer, flattened.

    A model whose last layer is named `features` gives that layer's output.
    """
    if not path.is_file():
        received = "a folder" if path.is_dir() else "none there"
        checks.refuse(f"--features={path}", expected="a file", received=received, remedy="check the path")
    try:
        _require_zip(path)
        with precision.float32():
            model = keras.saving.load_model(path, compile=False)
            last = model.layers[-1]
            outputs = last.output if last.name == "features" else last.input
            features = keras.Model(model.inputs, outputs)
    except Exception as error:  # what Keras raises for a file it cannot use is not documented
        checks.refuse(
            f"--features={path}",
            expected="a Keras model with one input and a chain of layers",
            received=_reason(error),
            remedy="save a functional or sequential model by model.save(PATH.keras), or copy the file anew",
        )
    shape = features.input_shape
    if not isinstance(shape, tuple) or len(shape) != 4 or None in shape[1:]:
        checks.refuse(
            f"--features={path}",
            expected="a model of images of one size: input [None, H, W, C]",
            received=f"input {shape}",
            remedy="give its Input a full shape",
        )

    def apply(images):
        outputs = features(images / 255.0, training=False)
        return tf.reshape(tf.cast(outputs, tf.float32), [tf.shape(images)[0], -1])

    dimensions = int(np.prod(features.output_shape[1:]))
    if dimensions > LARGEST:
        checks.refuse(
            f"--features={path}",
            expected=f"at most {LARGEST} features",
            received=dimensions,
            remedy="pool them, or name a smaller last layer `features`",
        )
    return FeatureNetwork(name, sha256(path), tuple(shape[1:]), dimensions, apply)


def _require_zip(path):
    """Raises an error for a file that is no zip, which Keras would call not found, or that unpacks to a flood."""
    if not zipfile.is_zipfile(path):
        raise ValueError("no zip archive, or one that was cut short")
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(entry.file_size for entry in archive.infolist())
    if unpacked > max(LEAST_SUSPECT, MOST_UNPACKED * path.stat().st_size):
        raise ValueError(
            f"a zip archive that unpacks to {unpacked} bytes, {unpacked // path.stat().st_size} times its own"
        )


def _inception(text):
    """Inception's `pool_3`, from TF-Hub's `tfgan/eval/inception/1` on disk or the 2015-12-05 frozen graph.

    `text`: its path, to which #sha256=HASH may be added. Either form is a program, and without its hash is warned of.
    """
    found = re.fullmatch(r"(.+?)(?:#sha256=([0-9a-fA-F]*))?", text, re.DOTALL)
    path, known = (pathlib.Path(found[1]), found[2]) if found else (None, None)
    if path is None or not path.exists():
        checks.refuse(
            "--inception_path",
            expected="a folder with the SavedModel tfhub.dev/tensorflow/tfgan/eval/inception/1, or the frozen graph "
            "classify_image_graph_def.pb of inception-2015-12-05.tgz",
            received=f"{text!r}, which does not exist" if text else "none",
            remedy="download either one, unpack it anywhere and pass --inception_path=THERE",
        )
    digest = sha256(path)
    if known is None:
        logging.warning(
            "--inception_path=%s is a program, which can read and write files with your rights. If you trust it, pass "
            "--inception_path=%s#sha256=%s to take no other, and have no warning.",
            path, path, digest,
        )  # fmt: skip
    elif known.lower() != digest:
        checks.refuse(
            f"--inception_path={path}",
            expected=f"what has the sha256 {known or '(none given)'}",
            received=digest,
            remedy="find out why it changed; nothing of it was run",
        )
    apply = _inception_saved_model(path) if path.is_dir() else _inception_graph(path)
    network = FeatureNetwork("inception", digest, INCEPTION_SHAPE, INCEPTION_DIMENSIONS, apply)
    shape = _refused_as(path, lambda: apply(tf.zeros([2, *INCEPTION_SHAPE]))).shape
    if tuple(shape) != (2, INCEPTION_DIMENSIONS):
        _refuse_inception(path, f"a network that gives {tuple(shape)} for 2 images")
    return network


def _inception_saved_model(path):
    """Takes images in [-1, 1] and returns a dict with `pool_3`."""
    loaded = _refused_as(path, lambda: tf.saved_model.load(str(path)))
    call = loaded if callable(loaded) else next(iter(getattr(loaded, "signatures", {}).values()), None)
    if call is None:
        _refuse_inception(path, "a SavedModel that cannot be called")

    def apply(images, _keep=loaded):  # a signature alone does not keep the variables alive
        outputs = call((images - 127.5) / 127.5)
        pooled = outputs["pool_3"] if isinstance(outputs, dict) else outputs
        return tf.reshape(pooled, [tf.shape(images)[0], -1])

    return apply


def _inception_graph(path):
    """Takes images scaled as by the graph's own nodes, (x - 128) / 128, in the place of its node `Mul`."""
    graph = tf.compat.v1.GraphDef()
    _refused_as(path, lambda: graph.ParseFromString(path.read_bytes()))
    missing = {"Mul", "pool_3"} - {node.name for node in graph.node}
    if missing:
        _refuse_inception(path, f"a graph without node {', '.join(sorted(missing))}")

    def build(images):
        (pooled,) = tf.graph_util.import_graph_def(graph, input_map={"Mul:0": images}, return_elements=["pool_3:0"])
        return pooled

    spec = tf.TensorSpec([None, *INCEPTION_SHAPE], tf.float32)
    function = tf.compat.v1.wrap_function(build, [spec])
    return lambda images: tf.reshape(function((images - 128.0) / 128.0), [tf.shape(images)[0], -1])


def _refused_as(path, action):
    try:
        return action()
    except Exception as error:  # what TensorFlow raises for a foreign file is not documented
        return _refuse_inception(path, _reason(error))


def _reason(error):
    """An error in one line: its type, and the first line of what it says, if it says anything."""
    return ": ".join([type(error).__name__, *str(error).strip().splitlines()[:1]]).removesuffix(".")


def _refuse_inception(path, received):
    checks.refuse(
        f"--inception_path={path}",
        expected="Inception with a 2048-dimensional `pool_3`, as a SavedModel folder or the 2015-12-05 frozen graph",
        received=received,
        remedy="download it again",
    )
