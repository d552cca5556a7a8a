"""L1: encoders and decoders by name, built from options and an image shape. Knows no objective."""

from pga_tf.networks.build import NetworkOptions, build, build_critic, names, parameter_count, table
from pga_tf.networks.sources import DECODER_SOURCES, ENCODER_SOURCES

__all__ = [
    "DECODER_SOURCES",
    "ENCODER_SOURCES",
    "NetworkOptions",
    "build",
    "build_critic",
    "names",
    "parameter_count",
    "table",
]
