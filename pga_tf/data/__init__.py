"""L1: where images come from. A source tells shape, range and counts; its batches resume exactly."""

from pga_tf.data.joined import ALL, whole
from pga_tf.data.load import load
from pga_tf.data.npz import of_array
from pga_tf.data.report import DataReport, format_report, inspect
from pga_tf.data.source import Source
from pga_tf.settings.data import DataOptions, parsed

__all__ = [
    "ALL",
    "DataOptions",
    "DataReport",
    "Source",
    "format_report",
    "inspect",
    "load",
    "of_array",
    "parsed",
    "whole",
]
