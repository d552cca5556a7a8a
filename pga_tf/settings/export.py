"""How a model is exported to TensorFlow Serving."""

import dataclasses

BASE = "runs/models"  # where models are exported to, and served from, unless a user says otherwise
LABELS = ("stable", "canary")
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64)  # of saved_models/batching.config
KINDS = ("none", "bfloat16", "int8")
TOLERANCES = {"none": 1e-5, "bfloat16": 0.02, "int8": 0.05}
"""How far the gate lets the exported model be from the Python one: largest difference, over max(1, largest value)."""


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """How a version is published.

    Attributes:
      name: of the model, its folder below `base`. base: TensorFlow Serving's model base, with models.config.
      version: its number; 0: the one after the newest.
      label: "stable" or "canary"; "": stable for a model's first version, canary for the others.
      optimize: what weights are stored as, one of `KINDS`; "none": float32.
      tolerance: largest difference from the Python model that the gate lets pass, over max(1, largest value expected);
        0: that of `optimize`.
      batch_sizes: numbers of rows that the server is warmed up with.
    """

    name: str
    base: str = BASE
    version: int = 0
    label: str = ""
    optimize: str = "none"
    tolerance: float = 0.0
    batch_sizes: tuple = BATCH_SIZES
