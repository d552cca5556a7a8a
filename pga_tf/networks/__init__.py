"""L1: encoders, decoders, critics and maps, built from a role, options and an image shape. Knows no objective."""

from pga_tf.networks.adapters import adapted
from pga_tf.networks.budget import activations
from pga_tf.networks.build import build, build_all, names, parameter_count, resolved, table
from pga_tf.networks.roles import Critic, Decoder, Encoder, Flow, Mapping
from pga_tf.networks.sources import CRITIC_SOURCES, DECODER_SOURCES, ENCODER_SOURCES
from pga_tf.settings.networks import NetworkOptions

__all__ = [
    "CRITIC_SOURCES",
    "DECODER_SOURCES",
    "ENCODER_SOURCES",
    "Critic",
    "Decoder",
    "Encoder",
    "Flow",
    "Mapping",
    "NetworkOptions",
    "activations",
    "adapted",
    "build",
    "build_all",
    "names",
    "parameter_count",
    "resolved",
    "table",
]
