"""ExampleValidator: statistics against the schema and the previous data; anomalies stop the pipeline."""

import json
import pathlib

from pga_tf.core import checks, files
from pipelines.components.artifacts import ANOMALIES, SCHEMA, STATISTICS

NAMED = 10  # images that an anomaly names; anomalies.json and the statistics have more


def example_validator(statistics: str, schema: str, previous: str, anomalies: str) -> dict:
    """Writes `anomalies/anomalies.json`, a list of {"what", "expected", "received", "images"}, empty if all is well.

    Args:
      previous: the statistics of the data before these, for drift, or "".

    Raises:
      InputError: anomalies, each with the names of its images.
    """
    found = find(
        _read(statistics, STATISTICS), _read(schema, SCHEMA), _read(previous, STATISTICS) if previous else None
    )
    files.write_json(pathlib.Path(anomalies) / ANOMALIES, found)
    if found:
        listed = "".join(f"\n  - {_line(anomaly)}" for anomaly in found)
        raise checks.InputError(
            f"{len(found)} anomal{'y' if len(found) == 1 else 'ies'} in the data:{listed}\n"
            "Remedy: repair or remove these images, or allow more by --max_corrupt, --max_duplicates, --max_drift"
        )
    return {"anomalies": 0, "compared with": "the previous data" if previous else "nothing before"}


def _read(folder, name):
    return json.loads((pathlib.Path(folder) / name).read_text())


def _line(anomaly):
    names = anomaly["images"]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    shown = f": {', '.join(names[:NAMED])}{more}" if names else ""
    return f"{anomaly['what']}: expected {anomaly['expected']}, received {anomaly['received']}{shown}"


def find(statistics: dict, schema: dict, previous: dict | None) -> list[dict]:
    """The anomalies of `statistics`, a list of dicts; `previous`: statistics, or None."""
    return [
        *_shapes(statistics, schema),
        *_values(statistics, schema),
        *_shares(statistics, schema),
        *(_drift(statistics, schema, previous) if previous else ()),
    ]


def _anomaly(what, expected, received, images=()):
    return {"what": what, "expected": expected, "received": received, "images": list(images)}


def _shapes(statistics, schema):
    shapes = {tuple(map(int, shape.split("x"))): count for shape, count in statistics["shapes"].items()}
    if not shapes:
        yield _anomaly("images", "some that can be decoded", "none")
        return
    size = (schema["height"], schema["width"])
    if size[0]:
        other = {shape: count for shape, count in shapes.items() if shape[:2] != size}
        if other:
            yield _anomaly(
                "size", f"{size[0]}x{size[1]} pixels, or --image_size", _counted({s[:2]: n for s, n in other.items()})
            )
    small = {shape: count for shape, count in shapes.items() if min(shape[:2]) < schema["least_side"]}
    if small:
        yield _anomaly("size", f"sides of at least --crop={schema['least_side']} pixels", _counted(small))
    coloured = {shape: count for shape, count in shapes.items() if shape[2] > schema["channels"]}
    if coloured and schema["colour"] == "auto":
        yield _anomaly("channels", f"{schema['channels']}, or --colour=grey", _counted(coloured))


def _counted(shapes):
    return ", ".join(f"{count} of {'x'.join(map(str, shape))}" for shape, count in sorted(shapes.items()))


def _values(statistics, schema):
    low, high = statistics["minimum"], statistics["maximum"]
    if low is None:
        return
    if low < schema["low"] or high > schema["high"]:
        yield _anomaly("range", f"values in [{schema['low']}, {schema['high']}]", f"values in [{low}, {high}]")
    span = (high - low) / (schema["high"] - schema["low"])
    if span < schema["least_span"]:
        yield _anomaly(
            "range", f"values that fill {schema['least_span']:.0%} of the range", f"[{low}, {high}], {span:.0%} of it"
        )


def _shares(statistics, schema):
    for kind, key, names in (
        ("corrupt", "max_corrupt_share", list(statistics["corrupt_images"])),
        ("duplicate", "max_duplicate_share", [title for group in statistics["duplicate_images"] for title in group]),
    ):
        number = statistics["corrupt" if kind == "corrupt" else "duplicates"]
        share = number / max(statistics["images"], 1)
        if share > schema[key]:
            yield _anomaly(
                f"{kind} images",
                f"at most {schema[key]:.2%} of {statistics['images']}",
                f"{number} ({share:.2%})",
                names,
            )


def _drift(statistics, schema, previous):
    for name in ("mean", "std"):
        drift = abs(statistics[name] - previous[name]) / (schema["high"] - schema["low"])
        if drift > schema["max_drift"]:
            yield _anomaly(
                f"drift of the pixels' {name}",
                f"at most {schema['max_drift']:.1%} of the range from {previous[name]:.1f}, that of the previous data",
                f"{statistics[name]:.1f} ({drift:.1%} from it)",
            )
