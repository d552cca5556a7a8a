"""StatisticsGen: what the images are like, as JSON."""

import pathlib

from pga_tf.core import files
from pipelines import examples as examples_lib
from pipelines.components.artifacts import STATISTICS
from pipelines.image_statistics import Summary, facts


def statistics_gen(examples: str, statistics: str) -> dict:
    """Writes `statistics/statistics.json` over all images of both splits, before any crop or resize.

    It holds: count, count by split and by shape ("HxWxC"); minimum, maximum, mean and standard deviation of all pixels
    in [0, 255]; a histogram of 256 levels for each channel; images that cannot be decoded, near-constant ones (their
    values span less than 1% of the range) and groups with equal pixels, each with their number and at most 100 names.
    Memory: some 250 bytes for each image, its hash and its name as objects of Python.
    """
    summary = Summary()
    for split in examples_lib.SPLITS:
        for item in examples_lib.read(examples, split):
            summary.add(facts(item))
    return write(statistics, summary.result())


def write(folder: str, result: dict) -> dict:
    """Writes the statistics; returns those of them that are single numbers."""
    files.write_json(pathlib.Path(folder) / STATISTICS, result)
    figures = {key: value for key, value in result.items() if isinstance(value, int | float)}
    return figures | {"shapes": ", ".join(result["shapes"])}
