"""Networks for tests: one of each, small where the published one is slow."""

from pga_tf import networks

SIZES = {
    "conv_8": (8, 8, 1),
    "conv_mnist": (28, 28, 1),
    "conv_32": (32, 32, 3),
    "conv_64": (64, 64, 3),
    "resnet_32": (32, 32, 3),
    "infogan": (28, 28, 1),
    "mlp": (1, 1, 2),
    "scale_resnet": (32, 32, 3),
    "sngan_64": (64, 64, 3),
    "wae": (64, 64, 3),
    "wae_celeba": (64, 64, 3),
    "wae_mnist": (28, 28, 1),
}
# Widths for tests, where the published is slow.
NARROW = {"resnet_32": 16, "scale_resnet": 8, "sngan_64": 4, "wae": 8, "wae_celeba": 8, "wae_mnist": 8}


def make(network, image_shape=None, *, stochastic=False, output="tanh", **options):
    options = networks.NetworkOptions(network=network, **options)
    roles = {"encoder": networks.Encoder(stochastic=stochastic), "decoder": networks.Decoder(output=output)}
    return networks.build_all(roles, options, image_shape or SIZES[network]).values()
