"""Networks as a user would write them, named by --encoder=tests.own_networks:encoder and so on."""

import sys
import tempfile

import keras

L = keras.layers


def encoder(image_shape, latent_dim):
    images = keras.Input(image_shape)
    hidden = L.ReLU()(L.BatchNormalization()(L.Dense(16)(L.Flatten()(images))))
    return keras.Model(images, L.Dense(latent_dim)(hidden))


def posterior(image_shape, latent_dim):
    images = keras.Input(image_shape)
    hidden = L.Dense(16, "relu")(L.Flatten()(images))
    return keras.Model(images, [L.Dense(latent_dim)(hidden), L.Dense(latent_dim, "softplus")(hidden)])


def decoder(image_shape, latent_dim):
    codes = keras.Input((latent_dim,))
    height, width, channels = image_shape
    pixels = L.Dense(height * width * channels, "tanh")(L.Dense(16, "relu")(codes))
    return keras.Model(codes, L.Reshape(image_shape)(pixels))


def critic(image_shape, latent_dim):
    del latent_dim
    images = keras.Input(image_shape)
    return keras.Model(images, L.Dense(1)(L.Dense(16, "relu")(L.Flatten()(images))))


def of_eight(image_shape, latent_dim):
    """Does not do as it is asked."""
    del latent_dim
    return encoder(image_shape, 8)


def broken(image_shape, latent_dim):
    raise RuntimeError("no layers left")


def number(image_shape, latent_dim):
    return 3


def of_a_damaged_file(image_shape, latent_dim):
    with tempfile.NamedTemporaryFile(suffix=".keras") as file:
        return keras.saving.load_model(file.name)


def leaves(image_shape, latent_dim):
    sys.exit(7)
