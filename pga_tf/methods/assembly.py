"""What the constructor of every method does with the parts that are injected into it."""

import dataclasses

from pga_tf import networks
from pga_tf.core import updates
from pga_tf.core.options import validate


@dataclasses.dataclass(frozen=True)
class Requirements:
    """What a method with certain options needs its networks to be."""

    image_range: tuple  # of pixels in training
    output: str  # the decoder's last function: "tanh", "sigmoid" or "linear"
    stochastic: bool = False  # whether the encoder gives (mean, stddev)
    code_norm: bool = False  # whether codes pass through batch norm
    spectral_decoder: bool = False  # whether the decoder's kernels are divided by their spectral norms
    critic: str = ""  # of images: "plain", "spectral", or none


def build_networks(needs, options, image_shape):
    """The networks that a method with the `Requirements` `needs` takes, as its constructor's keyword arguments."""
    encoder, decoder = networks.build(
        options,
        image_shape,
        stochastic=needs.stochastic,
        output=needs.output,
        code_norm=needs.code_norm,
        spectral_decoder=needs.spectral_decoder,
    )
    made = {"encoder": encoder, "decoder": decoder}
    if needs.critic:
        made["critic"] = networks.build_critic(options, image_shape, spectral=needs.critic == "spectral")
    return made


def assemble(model, encoder, decoder, options, *, latent_dim, seed, extra_meters=()):
    """Gives `model` its networks, its options and a meter for each quantity that its train step reports.

    Args:
      model: a `keras.Model` whose class declares `LOSSES`, `requirements` and `networks`.
      encoder, decoder: built networks. options: the method's own `Options`.
      latent_dim: size of a code. seed: the run's seed.
      extra_meters: names reported beside the losses and the gradient norms.
    """
    model.encoder, model.decoder = encoder, decoder
    model.options, model.latent_dim, model.seed = validate(options), latent_dim, seed
    model.image_range = model.requirements(options).image_range
    model.meters = updates.meters([*model.LOSSES, *extra_meters, *updates.gradient_names(model.networks())])
    model.built = True  # its networks are


def optimized(model):
    """The variables that each optimiser trains: dict of optimiser name to list."""
    return {name: [v for group in part.values() for v in group] for name, part in _parts(model).items()}


def parts(model):
    """The pairs (optimiser, networks that it trains) of a compiled method, for `updates.minimise_jointly`."""
    return [(getattr(model, name), part) for name, part in _parts(model).items()]


def _parts(model):
    trained = model.networks()
    return {name: {key: trained[key] for key in keys} for name, keys in model.OPTIMIZERS.items()}
