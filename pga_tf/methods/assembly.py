"""What the constructor of every method does with the parts that are injected into it."""

from pga_tf.core import updates
from pga_tf.core.options import validate


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
    model.image_range = model.requirements(options)["image_range"]
    model.meters = updates.meters([*model.LOSSES, *extra_meters, *updates.gradient_names(model.networks())])
    model.built = True  # its networks are


def optimized(model):
    """The variables that each optimiser trains: dict of optimiser name to list."""
    networks = model.networks()
    return {name: [v for key in keys for v in networks[key]] for name, keys in model.OPTIMIZERS.items()}
