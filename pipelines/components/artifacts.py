"""What lies in the components' output folders: names and small readers, so that no component imports another's code."""

import json
import pathlib

from pga_tf.core import files

SUMMARY = "summary.json"  # ExampleGen
STATISTICS = "statistics.json"
SCHEMA = "schema.json"
ANOMALIES = "anomalies.json"
IMAGES = "images.npz"  # Transform
EVALUATION = "evaluation.json"
BLESSING = "blessing.json"
# Empty files, as in TFX.
BLESSED, NOT_BLESSED = "BLESSED", "NOT_BLESSED"
INFRA_BLESSED, INFRA_NOT_BLESSED = "INFRA_BLESSED", "INFRA_NOT_BLESSED"
STAGED = "1"  # version of the staged model
PUSHED = "pushed.json"


def dataset(transformed):
    """What `--dataset` is for an output of Transform."""
    return f"npz:{pathlib.Path(transformed) / IMAGES}"


def write_blessing(folder, mark, reasons):
    """Writes the empty file `mark` and, for people, the reasons."""
    files.write_json(pathlib.Path(folder) / BLESSING, {"result": mark, "reasons": reasons})
    files.write_text(pathlib.Path(folder) / mark, "")


def read_reasons(folder):
    """What spoke against a blessing: list of sentences."""
    return json.loads((pathlib.Path(folder) / BLESSING).read_text())["reasons"]


def is_blessed(folder, mark=BLESSED):
    """Whether a blessing of this kind lies in `folder`."""
    return (pathlib.Path(folder) / mark).exists()
