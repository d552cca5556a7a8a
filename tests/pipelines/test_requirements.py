"""Apache Beam only adds to the project's environment; TFX's has the project's pins, but for those that TFX limits."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parents[2]
FOR_DEVELOPMENT = {
    "ruff", "mkdocs", "mkdocs-material", "mkdocstrings-python", "nbformat", "nbclient", "ipykernel", "pyte",
    "cloudpickle", "kubernetes-validate",
}  # fmt: skip
LIMITED_BY_TFX = {"absl-py", "scikit-learn", "tensorflow-serving-api"}


def pins(file):
    found = re.findall(r"^([A-Za-z0-9_-]+)==([^\s#]+)", (ROOT / file).read_text(), re.MULTILINE)
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_apache_beam_is_added_to_the_environment_of_the_project_and_changes_no_version_there():
    assert pins("requirements-pipeline.txt").keys() == {"apache-beam", "dask", "distributed"}
    assert not pins("constraints.txt").keys() & pins("constraints-pipeline.txt").keys()
    for kind, option in (("requirements", "-r"), ("constraints", "-c")):
        assert f"{option} {kind}.txt" in (ROOT / f"{kind}-pipeline.txt").read_text().splitlines()


def test_the_environment_of_tfx_has_the_pins_of_the_project():
    own, other = pins("requirements.txt"), pins("requirements-tfx.txt")
    assert {name for name in own.keys() & other.keys() if own[name] != other[name]} == LIMITED_BY_TFX
    assert own.keys() - other.keys() == FOR_DEVELOPMENT
    assert other.items() <= pins("constraints-tfx.txt").items()
