"""From a role, options and an image shape to a built network."""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from pga_tf.core import checks
from pga_tf.core.options import validate
from pga_tf.networks import adapters, budget, dcgan, infogan, mlp, resnet, roles, scale_resnet, sngan, wae  # noqa: F401 - enters their networks
from pga_tf.networks import spectral as spectral_lib
from pga_tf.networks.mapping import MLP
from pga_tf.networks.norm import SourceBatchNorm, code_norm, critic_norm
from pga_tf.networks.plan import NETWORKS, Plan
from pga_tf.networks.sources import CRITIC_SOURCES, DECODER_SOURCES, ENCODER_SOURCES, Stack
from pga_tf.networks.velocity import Velocity
from pga_tf.settings.networks import AUTO, SCALE_BLOCKS, NetworkOptions


def names() -> list[str]:
    """The registered networks, sorted."""
    return NETWORKS.names()


def resolved(options: NetworkOptions, image_shape: Sequence[int]) -> NetworkOptions:
    """`options` with the network that "auto" stands for: convolutions where the images' size has room for them."""
    if options.network != AUTO:
        return options
    side, multiple = min(image_shape[:2]), math.gcd(*image_shape[:2])
    room = {"conv_64": (48, 16), "conv_32": (24, 8), "conv_mnist": (24, 4), "conv_8": (8, 4), "mlp": (1, 1)}
    name = next(name for name, (least, factor) in room.items() if side >= least and not multiple % factor)
    return dataclasses.replace(options, network=name)


def build(
    role: roles.Encoder | roles.Decoder | roles.Critic | roles.Mapping | roles.Flow,
    options: NetworkOptions,
    image_shape: Sequence[int],
    *,
    name: str,
) -> keras.layers.Layer:
    """A built network for a role, a Keras layer whose weights exist.

    Args:
      role: an `Encoder`, `Decoder`, `Critic`, `Mapping` or `Flow`. options: `NetworkOptions`. image_shape: (H, W, C).

    `encoder(images, sources=("data",), training=False)` takes `[S * B, H, W, C]`: S equal segments, one for
    each source out of `ENCODER_SOURCES`. `decoder(codes, sources=("data",), training=False)` takes codes
    `[S * B, latent_dim]`, with sources out of `DECODER_SOURCES`, and returns images; `critic(...)` has sources out of
    `CRITIC_SOURCES`. All return float32 under any precision policy; `sources` and `training` are passed by keyword.

    Raises:
      InputError: an option out of its range, or an image shape that the network cannot take.
    """
    return {
        roles.Encoder: _encoder,
        roles.Decoder: _decoder,
        roles.Critic: _critic,
        roles.Mapping: _mapping,
        roles.Flow: _flow,
    }[type(role)](role, options, image_shape, name)


def build_all(
    wanted: Mapping[str, Any], options: NetworkOptions, image_shape: Sequence[int] | None
) -> dict[str, keras.layers.Layer]:
    """dict of name to network for a dict of name to role: a user's own where `options` name one, else see `build`."""
    validate(options)
    own = options.own()
    with budget.within_memory():
        return {
            name: adapters.imported(name, role, own[name], image_shape, options.latent_dim)
            if name in own
            else build(role, options, image_shape, name=name)
            for name, role in wanted.items()
        }


def _encoder(role, options, image_shape, name):
    kind = {"stochastic": role.stochastic, "code_norm": role.code_norm == "batch"}
    architecture, plan = _plan(options, image_shape, latent_dim=options.latent_dim, **kind)
    norm = _norm(options.batch_norm if role.batch_norm else "none", ENCODER_SOURCES, architecture)
    made = architecture.encoder(plan, norm)
    return _stack([*made, *code_norm(role.code_norm)], ENCODER_SOURCES, name, plan.image_shape)


def _decoder(role, options, image_shape, name):
    architecture, plan = _plan(options, image_shape, latent_dim=options.latent_dim)
    made = architecture.decoder(plan, _norm(options.batch_norm, DECODER_SOURCES, architecture))
    made = [spectral_lib.normalised(layer) for layer in made] if role.spectral else made
    made.append(keras.layers.Activation(role.output, dtype="float32", name="output"))
    return _stack(made, DECODER_SOURCES, name, (options.latent_dim,))


def _critic(role, options, image_shape, name):
    if role.of == "codes":
        size, norm = {"width": role.width, "depth": role.depth}, critic_norm(role.norm)
        return MLP(options.latent_dim, 1, **size, norm=norm, spectral=role.spectral, name=name)
    logit = role.output == "logit"
    architecture, plan = _plan(options, image_shape, latent_dim=1 if logit else options.latent_dim)
    shape = (architecture.critic or architecture.encoder) if logit else _restoring(architecture)
    made = shape(plan, critic_norm(role.norm, architecture.batch_norm))
    if not logit:
        made.append(keras.layers.Activation(role.output, dtype="float32", name="output"))
    made = [spectral_lib.normalised(layer) for layer in made] if role.spectral else made
    return _stack(made, CRITIC_SOURCES, name, plan.image_shape)


def _restoring(architecture):
    """The shape of a critic that gives images back, as `Architecture.decoder`."""

    def in_a_row(plan, norm):
        parts = {"encoder": architecture.encoder(plan, norm), "decoder": architecture.decoder(plan, norm)}
        return [Stack(part, known_sources=CRITIC_SOURCES, name=name) for name, part in parts.items()]

    return architecture.restoring_critic or in_a_row


def _mapping(role, options, image_shape, name):
    del image_shape
    dim = options.latent_dim
    return MLP(dim, role.outputs * dim, width=role.width, depth=role.depth, join=role.join, name=name)


def _flow(role, options, image_shape, name):
    del image_shape
    return Velocity(options.latent_dim, width=role.width, depth=role.depth, name=name)


def _stack(made, known_sources, name, input_shape):
    network = Stack(made, known_sources=known_sources, name=name)
    network.build((None, *input_shape))
    return network


def _plan(options, image_shape, *, latent_dim, stochastic=False, code_norm=False):
    validate(options)
    image_shape = tuple(image_shape)
    _require_shape(image_shape)
    name = resolved(options, image_shape).network
    architecture = NETWORKS.get(name)
    _require_fit(name, image_shape)
    _require_unpooling(name, options)
    _require_scale_blocks(name, options)
    filters = options.filters or architecture.filters
    built_as = {"unpooling": options.unpooling, "scale_blocks": options.scale_blocks}
    return architecture, Plan(image_shape, latent_dim, filters, stochastic, code_norm, **built_as)


def parameter_count(network: keras.layers.Layer) -> int:
    """Number of trainable scalars in a built network."""
    return sum(v.shape.num_elements() for v in network.trainable_variables)


def table(network: keras.layers.Layer) -> str:
    """A built network as text: its number of parameters; name, shape and size of each trained variable."""
    lines = [f"{network.name}: {parameter_count(network):,} parameters"]
    width = max(len(v.path) for v in network.trainable_variables)
    for v in network.trainable_variables:
        lines.append(f"  {v.path:<{width}} {'x'.join(map(str, v.shape)):>16} {v.shape.num_elements():>12,}")
    return "\n".join(lines)


def _norm(mode, known_sources, architecture):
    if mode == "none":
        return None
    return functools.partial(SourceBatchNorm, known_sources=known_sources, mode=mode, constants=architecture.batch_norm)


def _require_shape(image_shape):
    if len(image_shape) != 3 or not all(isinstance(n, int) and n >= 1 for n in image_shape):
        checks.refuse(
            "Image shape",
            expected="(height, width, channels), each at least 1",
            received=image_shape,
            remedy="check the data set",
        )


def _require_fit(name, image_shape):
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


def _require_unpooling(name, options):
    if options.unpooling == NetworkOptions.unpooling or NETWORKS.get(name).unpools:
        return
    taking = " or ".join(f"--network={n}" for n in names() if NETWORKS.get(n).unpools)
    checks.refuse(
        "--unpooling",
        expected=f"{NetworkOptions.unpooling} with --network={name}, which has no residual blocks to unpool in",
        received=options.unpooling,
        remedy=f"use {taking}, or leave it out",
    )


def _require_scale_blocks(name, options):
    if options.scale_blocks == SCALE_BLOCKS or name == "scale_resnet":
        return
    checks.refuse(
        "--scale_blocks",
        expected=f"{SCALE_BLOCKS} with --network={name}, which has no scales of residual blocks",
        received=options.scale_blocks,
        remedy="use --network=scale_resnet, or leave it out",
    )
