"""The environments with Apache Beam and with TFX have the project's pins, but for those that these limit."""

import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
LIMITED = {"pillow", "protobuf", "pyarrow", "python-dateutil"}
LIMITED_BY_TFX = {"absl-py", "pillow", "scikit-learn", "tensorflow-serving-api"}


def pins(name):
    return dict(re.findall(r"^([A-Za-z0-9_-]+)==([^\s#]+)", (ROOT / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("kind", ["requirements", "constraints"])
def test_the_environment_of_beam_is_that_of_the_project(kind):
    own, other = pins(f"{kind}.txt"), pins(f"{kind}-pipeline.txt")
    assert {name for name in own.keys() & other.keys() if own[name] != other[name]} == LIMITED & own.keys()
    if kind == "requirements":
        assert other.keys() - own.keys() == {"apache-beam"}
        assert own.keys() <= other.keys()


def test_the_environment_of_tfx_has_the_pins_of_the_project():
    own, other = pins("requirements.txt"), pins("requirements-tfx.txt")
    assert {name for name in own.keys() & other.keys() if own[name] != other[name]} == LIMITED_BY_TFX
    assert own.keys() - other.keys() == {"ruff"}
    wanted, resolved = (
        {name.lower().replace("_", "-"): version for name, version in found.items()}
        for found in (other, pins("constraints-tfx.txt"))
    )
    assert wanted.items() <= resolved.items()
