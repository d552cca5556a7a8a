"""Lines of results as trainings leave them, for tests."""


def line(row="lpga_mnist", value=9.0, error=0.2, **others):
    """A line of a scored training of `row`: MNIST at the paper's settings by Inception, unless `others` say so."""
    card = {
        "protocol": others.pop("protocol", "pga"),
        "features": {"network": others.pop("network", "inception"), "sha256": "0123456789abcdef"},
        "real": {"count": 60_000, "split": "train"},
        "generated": {"count": 5_000, "seeds": [0, 1, 2]},
        "versions": {"tensorflow": "2.21.0"},
    }
    found = {
        "step": 100, "row": row, "table": "pga_table1", "budget": "paper", "training": 0, "settings": {},
        "flags": {"method": "lpga", "dataset": "tfds:mnist"}, "prior": "normal", "card": card,
        "names": {"frechet": "FID"},
        "times": {"train": {"wall": 60.0, "cpu": 90.0}, "evaluate": {"wall": 30.0, "cpu": 30.0}},
        "gap": {"training_images": 0.1, "reconstructions": 2.0, "samples": value}, "resumed": False,
        "code": {"commit": "abcdefabcdef0"}, "processor": {"name": "a processor", "cores": 2},
        "curves": {"losses": {"loss": [[50, 100], [2.0, 1.0]]}, "scores": {"frechet": [[50, 100], [20.0, value]]}},
        "scores": {"normal": scores(value, error)},
    }  # fmt: skip
    return found | others


def scores(value, error=0.2):
    """Scores under one prior, of which `value` is the distance."""
    others = {name: {"value": 0.5, "error": 0.01} for name in ("kernel", "precision", "recall", "density", "coverage")}
    return {"frechet": {"value": value, "error": error}} | others
