"""The port of EfficientNet-lite0: what reads its file, what is built of it, and the file that ships."""

import collections
import importlib
import io
import pathlib
import pickle
import struct

import keras
import numpy as np
import pytest

from pga_tf.evaluation import features

TOOLS = pathlib.Path(__file__).parents[2] / "tools"


@pytest.fixture(scope="module")
def tools():
    """A function of a name to that module of tools/."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TOOLS))
        yield importlib.import_module


class Named:
    """Pickled as a call of `module.name`, as torch pickles its own."""

    def __init__(self, module, name, *arguments):
        self.module, self.name, self.arguments = module, name, arguments


class Pid:
    def __init__(self, key, length, dtype="FloatStorage"):
        self.value = ("storage", Named("torch", dtype), key, "cpu", length, None)


class Writer(pickle._Pickler):  # the one in Python: only there can a name be written that no module has
    def persistent_id(self, value):
        return value.value if isinstance(value, Pid) else None

    def save(self, value, save_persistent_id=True):
        if not isinstance(value, Named):
            return super().save(value, save_persistent_id)
        self.write(pickle.GLOBAL + f"{value.module}\n{value.name}\n".encode())
        if value.arguments:
            super().save(value.arguments)
            self.write(pickle.REDUCE)
        return None


def pth(state, storages, version=1001):
    """The bytes of a `.pth` in torch's old format. `storages`: dict of key to array."""
    file = io.BytesIO()
    machine = {"protocol_version": 1001, "little_endian": True, "type_sizes": {"short": 2, "int": 4, "long": 4}}
    for part in (0x1950A86A20F9469CFC6C, version, machine, state, list(storages)):
        Writer(file, 2).dump(part)
    for values in storages.values():
        file.write(struct.pack("<q", len(values)) + values.tobytes())
    return file.getvalue()


def tensor(key, length, offset, shape, strides, dtype="FloatStorage"):
    arguments = (Pid(key, length, dtype), offset, shape, strides, False, collections.OrderedDict())
    return Named("torch._utils", "_rebuild_tensor_v2", *arguments)


def test_tensors_are_read_with_offset_and_strides(tools):
    values = np.arange(10, dtype=np.float32)
    state = collections.OrderedDict(
        a=tensor("7", 10, 1, (3, 2), (1, 4)), n=tensor("8", 1, 0, (), (), dtype="LongStorage")
    )
    found = tools("torch_tensors").load(pth(state, {"7": values, "8": np.array([5])}))
    np.testing.assert_array_equal(found["a"], [[1, 5], [2, 6], [3, 7]])
    assert (found["a"].dtype, found["n"]) == (np.float32, 5)


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [("os", "system", ("touch owned",)), ("builtins", "eval", ("1",)), ("torch", "load", ("x",))],
)
def test_a_file_that_would_run_something_is_refused_and_does_not(module, name, arguments, tools, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for state in ({"a": Named(module, name, *arguments)}, Named(module, name, *arguments)):
        with pytest.raises(pickle.UnpicklingError, match=f"names {module}.{name}"):
            tools("torch_tensors").load(pth(state, {}))
    assert not list(tmp_path.iterdir())


def test_parts_that_do_not_fit_together_are_refused(tools):
    load, values = tools("torch_tensors").load, {"7": np.zeros(10, np.float32)}
    for shape, strides in (((3, 2), (1, 9)), ((11,), (1,)), ((2,), (-1,))):  # outside of the memory that was read
        with pytest.raises(pickle.UnpicklingError, match="a: expected a part of 10 numbers"):
            load(pth({"a": tensor("7", 10, 0, shape, strides)}, values))
    whole = pth({"a": tensor("7", 10, 0, (10,), (1,))}, values)
    with pytest.raises(pickle.UnpicklingError, match="cut short"):
        load(whole[:-1])
    with pytest.raises(pickle.UnpicklingError, match="expected torch's format 1001"):
        load(pth({}, {}, version=1002))


def same_padded(x, kernel, stride):
    """Zeros around `[H, W, C]` as TensorFlow's "same" asks for: what is odd goes below and right."""
    out = -(-x.shape[0] // stride)
    total = max((out - 1) * stride + kernel - x.shape[0], 0)
    return np.pad(x, [(total // 2, total - total // 2)] * 2 + [(0, 0)])


def windows(x, kernel, stride):
    """`[H', W', C, kernel, kernel]`."""
    views = np.lib.stride_tricks.sliding_window_view(same_padded(x, kernel, stride), (kernel, kernel), axis=(0, 1))
    return views[::stride, ::stride]


def normed(x, tensors, name):
    part = {k: tensors[f"{name}.{k}"] for k in ("weight", "bias", "running_mean", "running_var")}
    return (x - part["running_mean"]) / np.sqrt(part["running_var"] + 1e-3) * part["weight"] + part["bias"]


def test_the_network_built_is_the_one_of_the_paper_layer_by_layer(tools, monkeypatch):
    """Stem and first blocks against NumPy, with torch's layout of weights and batch norm as it stands in the paper."""
    port, rng = tools("port_imagenet_features"), np.random.default_rng(0)

    class Tensors(dict):
        """Random weights of the shapes that are asked for, in torch's layout."""

        shapes = {}

        def __missing__(self, name):
            values = rng.normal(size=self.shapes[name])
            self[name] = np.abs(values) if name.endswith("running_var") else values
            return self[name]

    monkeypatch.setattr(port, "STAGES", port.STAGES[:2])
    monkeypatch.setattr(port, "SIDE", 32)
    tensors = Tensors()
    kernels = {"_conv_stem": (32, 3, 3, 3), "_conv_head": (1280, 24, 1, 1)}
    norms = {"_bn0": 32, "_bn1": 1280}
    for i, (inside, wide, out) in enumerate(((32, 32, 16), (16, 96, 24), (24, 144, 24))):
        kernels |= {f"_blocks.{i}._expand_conv": (wide, inside, 1, 1), f"_blocks.{i}._project_conv": (out, wide, 1, 1),
                    f"_blocks.{i}._depthwise_conv": (wide, 1, 3, 3)}  # fmt: skip
        norms |= {f"_blocks.{i}._bn0": wide, f"_blocks.{i}._bn1": wide, f"_blocks.{i}._bn2": out}
    Tensors.shapes = {f"{name}.weight": shape for name, shape in kernels.items()} | {
        f"{name}.{part}": (width,)
        for name, width in norms.items()
        for part in ("weight", "bias", "running_mean", "running_var")
    }
    model = port.build(tensors)
    image = rng.random((32, 32, 3))

    def conv(x, name, stride=1):
        kernel = tensors[f"{name}.weight"]
        return np.einsum("hwcij,ocij->hwo", windows(x, kernel.shape[-1], stride), kernel)

    def by_channel(x, name, stride):
        return np.einsum("hwcij,cij->hwc", windows(x, 3, stride), tensors[f"{name}.weight"][:, 0])

    relu6 = lambda x: np.clip(x, 0.0, 6.0)
    x = relu6(normed(conv((255.0 * image - 127.0) / 128.0, "_conv_stem", 2), tensors, "_bn0"))
    for i, stride in enumerate((1, 2, 1)):
        y, name = x, f"_blocks.{i}"
        if i:  # the first block does not expand
            y = relu6(normed(conv(y, f"{name}._expand_conv"), tensors, f"{name}._bn0"))
        y = relu6(normed(by_channel(y, f"{name}._depthwise_conv", stride), tensors, f"{name}._bn1"))
        y = normed(conv(y, f"{name}._project_conv"), tensors, f"{name}._bn2")
        x = x + y if i == 2 else y  # only where neither size nor width changes
    x = relu6(normed(conv(x, "_conv_head"), tensors, "_bn1"))
    np.testing.assert_allclose(model(image[None].astype(np.float32))[0], x.mean(axis=(0, 1)), rtol=1e-3, atol=1e-3)


def test_what_ships_sees_what_the_classifier_named():
    """Features whose original classifier says daisy and monastery, by their mean and norm as the tool printed them."""
    from sklearn.datasets import load_sample_image

    network = features.load("imagenet")
    assert (network.input_shape, network.dimensions) == ((224, 224, 3), 1280)
    assert network.distance_name == "Frechet distance (imagenet features)"
    extract = network.extractor()
    for name, mean, norm in (("flower.jpg", 0.1837, 16.534), ("china.jpg", 0.1934, 15.896)):
        picture = load_sample_image(name)
        left = (picture.shape[1] - len(picture)) // 2
        (found,) = extract(picture[None, :, left : left + len(picture)])
        assert found.mean() == pytest.approx(mean, abs=2e-4)
        assert np.linalg.norm(found) == pytest.approx(norm, abs=5e-3)
    entry = features.shipped()["imagenet"]
    assert entry["licence"].startswith("Apache-2.0")
    assert entry["weights"].startswith("half precision")
    model = keras.saving.load_model(features.SHIPPED / "imagenet.keras", compile=False)
    assert {np.dtype(v.dtype) for v in model.weights} == {np.dtype("float32")}  # it computes in single precision
