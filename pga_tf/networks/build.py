"""From options and an image shape to a built encoder and decoder."""

import dataclasses
import functools

import keras

from pga_tf.core import checks
from pga_tf.core.options import option, validate
from pga_tf.networks import dcgan, infogan, mlp, resnet, scale_resnet, sngan, wae  # noqa: F401 - enters their networks
from pga_tf.networks import spectral as spectral_lib
from pga_tf.networks.norm import SourceBatchNorm
from pga_tf.networks.plan import NETWORKS, Plan
from pga_tf.networks.sources import DECODER_SOURCES, ENCODER_SOURCES, Stack


def names():
    """The registered networks, sorted."""
    return NETWORKS.names()


@dataclasses.dataclass(frozen=True)
class NetworkOptions:
    """What a user chooses about the encoder and the decoder."""

    network: str = option("conv_mnist", "architecture of encoder and decoder", choices=tuple(names()))
    latent_dim: int = option(32, "H_dim, the size of a code", unit="dimensions", minimum=1)
    filters: int = option(
        0,
        "filters of the first convolution, or width; 0 is the network's published one",
        unit="filters",
        minimum=0,
    )
    batch_norm: str = option(
        "none",
        "batch normalisation: none, one set of running statistics, or one for each source of input",
        choices=("none", "shared", "per_source"),
    )


def build(options, image_shape, *, stochastic, output, code_norm=False, spectral_decoder=False):
    """Returns (encoder, decoder), Keras layers whose weights exist.

    Args:
      options: `NetworkOptions`.
      image_shape: (H, W, C).
      stochastic: whether the encoder returns (mean, stddev) or codes, each `[S * B, latent_dim]`.
      output: the decoder's last function: "tanh" (images in [-1, 1]), "sigmoid" ([0, 1]) or "linear".
      code_norm: whether codes pass through batch norm without scale and shift: mean 0, variance 1 per dimension.
      spectral_decoder: whether every kernel of the decoder is divided by its spectral norm.

    `encoder(images, sources=("data",), training=False)` takes `[S * B, H, W, C]`: S equal segments, one for
    each source out of `ENCODER_SOURCES`. `decoder(codes, sources=("data",), training=False)` takes codes
    `[S * B, latent_dim]`, with sources out of `DECODER_SOURCES`, and returns images. Both return float32
    under any precision policy; `sources` and `training` are passed by keyword.

    Raises:
      InputError: an option out of its range, or an image shape that the network cannot take.
    """
    checks.require_member("Output of the decoder", output, ("tanh", "sigmoid", "linear"))
    architecture, plan = _plan(
        options, image_shape, latent_dim=options.latent_dim, stochastic=stochastic, code_norm=code_norm
    )
    encoder_layers = architecture.encoder(plan, _norm(options.batch_norm, ENCODER_SOURCES))
    if code_norm:
        one_set = {"known_sources": ENCODER_SOURCES, "mode": "shared", "affine": False}
        encoder_layers.append(SourceBatchNorm(**one_set, dtype="float32", name="code_norm"))
    encoder = Stack(encoder_layers, known_sources=ENCODER_SOURCES, name="encoder")
    encoder.build((None, *plan.image_shape))
    decoder_layers = architecture.decoder(plan, _norm(options.batch_norm, DECODER_SOURCES))
    if spectral_decoder:
        decoder_layers = [spectral_lib.normalised(layer) for layer in decoder_layers]
    decoder_layers.append(keras.layers.Activation(output, dtype="float32", name="output"))
    decoder = Stack(decoder_layers, known_sources=DECODER_SOURCES, name="decoder")
    decoder.build((None, options.latent_dim))
    return encoder, decoder


def build_critic(options, image_shape, *, spectral):
    """Returns a critic of images, the encoder's network without norms and with one output: `[B, H, W, C]` to `[B, 1]`.

    Args:
      options, image_shape: as in `build`. spectral: whether every kernel is divided by its spectral norm; its power
        iteration moves where the critic is called with `training=True`.
    """
    architecture, plan = _plan(options, image_shape, latent_dim=1)
    critic_layers = architecture.encoder(plan, None)
    if spectral:
        critic_layers = [spectral_lib.normalised(layer) for layer in critic_layers]
    critic = Stack(critic_layers, known_sources=("data",), name="critic")
    critic.build((None, *plan.image_shape))
    return critic


def _plan(options, image_shape, *, latent_dim, stochastic=False, code_norm=False):
    validate(options)
    architecture, image_shape = NETWORKS.get(options.network), tuple(image_shape)
    _require_fit(options.network, image_shape)
    filters = options.filters or architecture.filters
    return architecture, Plan(image_shape, latent_dim, filters, stochastic, code_norm)


def parameter_count(network):
    """Number of trainable scalars in a built network."""
    return sum(v.shape.num_elements() for v in network.trainable_variables)


def table(network):
    """A built network as text: its number of parameters; name, shape and size of each trained variable."""
    lines = [f"{network.name}: {parameter_count(network):,} parameters"]
    width = max(len(v.path) for v in network.trainable_variables)
    for v in network.trainable_variables:
        lines.append(f"  {v.path:<{width}} {'x'.join(map(str, v.shape)):>16} {v.shape.num_elements():>12,}")
    return "\n".join(lines)


def _norm(mode, known_sources):
    if mode == "none":
        return None
    return functools.partial(SourceBatchNorm, known_sources=known_sources, mode=mode)


def _require_fit(name, image_shape):
    if len(image_shape) != 3 or not all(isinstance(n, int) and n >= 1 for n in image_shape):
        checks.refuse(
            "Image shape",
            expected="(height, width, channels), each at least 1",
            received=image_shape,
            remedy="check the data set",
        )
    height, width, _ = image_shape
    multiple = NETWORKS.get(name).multiple
    if height % multiple or width % multiple:
        fitting = [n for n in names() if not (height % NETWORKS.get(n).multiple or width % NETWORKS.get(n).multiple)]
        checks.refuse(
            f"Image size for network {name}",
            expected=f"height and width that are multiples of {multiple}",
            received=f"{height}x{width}",
            remedy=f"resize or crop the images, or use a network that takes them: {', '.join(fitting)}",
        )
