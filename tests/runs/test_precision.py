"""The arithmetic of a run: which precision `auto` stands for, and that float32 is whole where it is asked for."""

import keras
import pytest
import tensorflow as tf

from pga_tf.core import precision
from pga_tf.methods import METHODS
from pga_tf.runs import build, devices
from tests.training import helpers

TF32 = tf.config.experimental.tensor_float_32_execution_enabled


@pytest.fixture(autouse=True)
def _as_before():
    yield
    keras.config.set_dtype_policy("float32")
    tf.config.experimental.enable_tensor_float_32_execution(True)


@pytest.mark.parametrize("name", ["none", "tf32", "bfloat16"])
def test_tf32_has_to_be_asked_for(tmp_path, name):
    config = helpers.config(tmp_path, mixed_precision=name)
    build.build_model(build.resolved(config), (8, 8, 1))
    assert TF32() == (name != "none")  # TensorFlow's own default is True
    assert keras.config.dtype_policy().compute_dtype == ("bfloat16" if name == "bfloat16" else "float32")
    with precision.whole_products():
        assert not TF32()
    assert TF32() == (name != "none")


@pytest.mark.parametrize(("gpu", "bfloat16"), [(False, False), (False, True), (True, True), (True, False)])
def test_auto_gives_methods_of_small_differences_no_bfloat16(tmp_path, monkeypatch, gpu, bfloat16):
    monkeypatch.setattr(devices, "has_gpu", lambda: gpu)
    monkeypatch.setattr(devices, "has_bfloat16", lambda: bfloat16)
    found = {
        method: build.resolved(helpers.config(tmp_path, method=method, mixed_precision="auto")).run.mixed_precision
        for method in METHODS.names()
    }
    perceptual = {"lpga", "vpga", "lvpga", "mmd_pga", "adversarial_pga"}
    assert {found[name] for name in perceptual} == {"tf32" if gpu else "none"}
    assert {found[name] for name in found.keys() - perceptual} == {"bfloat16" if bfloat16 else "none"}


def test_xla_is_left_to_gpus(tmp_path, monkeypatch):
    config = helpers.config(tmp_path / "run", method="vae", steps=2, jit=True)
    for gpu in (False, True):
        monkeypatch.setattr(devices, "has_gpu", lambda gpu=gpu: gpu)
        assert build.build_model(build.resolved(config), (8, 8, 1)).jit_compile == gpu
