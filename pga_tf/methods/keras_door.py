"""A method as Keras users meet it: built on their own networks, fitted to arrays, saved, loaded, sampled.

Training by the commands does not come through here: it hands float images of the right range to the same `train_step`.
"""

import dataclasses
import os
import warnings
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from pga_tf import networks as networks_lib
from pga_tf.core import checks, grids, interfaces, laws, ranges, streams
from pga_tf.core.stepwise import Stepwise

SAMPLES = 250  # decoded at a time
KERAS_BATCH = 32  # what `fit` and `evaluate` cut arrays into by default
VALIDATION_NOISE = 2**41  # step whose noise validation draws, whatever step training is at


class KerasDoor(Stepwise):
    """`Method(encoder, decoder, weight_nll=0.01)`: networks in the order of `roles`, or by role, and options by name.

    Args:
      networks: a network for each role: Keras models, or networks of this package.
      options: the method's `Options`, instead of options by name.
      latent_dim, image_shape: read off the networks where they can be.
      seed: what noise derives from, in [0, 2^31).
      named: options, and networks by role.

    Images that `fit`, `evaluate`, `predict` and `model(images)` take are uint8, or floats in `image_range`; others are
    refused by `fit`, `evaluate` and `predict` before the first step. A model gives reconstructions, one without an
    encoder images of codes. Raises `InputError` for networks that do not fit the method, and for options it lacks.
    """

    def __init__(
        self,
        *networks: keras.layers.Layer,
        options: Any = None,
        latent_dim: int | None = None,
        image_shape: Sequence[int] | None = None,
        seed: int = 0,
        **named: Any,
    ):
        options, given = self._sorted(networks, options, named)
        wanted, self._recipe = self.roles(options), None
        if not all(isinstance(network, keras.layers.Layer) for network in given.values()):
            foreign = next(name for name, network in given.items() if not isinstance(network, keras.layers.Layer))
            _refuse(
                f"{type(self).__name__}: {foreign}", "a Keras model", type(given[foreign]).__name__, "wrap it in one"
            )
        if all(isinstance(network, keras.Model) for network in given.values()):
            given, latent_dim, image_shape = networks_lib.adapted(
                wanted, given, latent_dim=latent_dim, image_shape=image_shape
            )
        super().__init__(given, options, latent_dim=latent_dim, seed=seed)
        self.image_range, self.PRIOR = self.training_range(options), self.prior_of(options)
        shape = image_shape or self.decoder.compute_output_shape((None, latent_dim))[1:]
        self.image_shape = tuple(shape)

    @classmethod
    def _sorted(cls, networks, options, named):
        """(options, networks by role) of what a constructor was given."""
        fields = [field.name for field in dataclasses.fields(cls.Options)]
        own = {name: named.pop(name) for name in fields if name in named}
        if options is not None and own:
            raise TypeError(f"{cls.__name__}: expected options= or options by name, received both.")
        options = options if options is not None else cls.Options(**own)
        roles = list(cls.roles(options))
        given = dict(zip(roles, networks, strict=False)) | named
        if set(given) != set(roles) or len(networks) > len(roles):
            foreign = sorted(set(given) - set(roles))
            close = checks.nearest(foreign[0], [*fields, *roles]) if foreign else None
            checks.refuse(
                cls.__name__,
                expected=f"networks {', '.join(roles)} and options out of {', '.join(fields) or 'none'}",
                received=", ".join([*given] or ["nothing"]),
                remedy=f"did you mean {close}=" if close else "pass each of these networks once",
            )
        return options, given

    def compile(self, optimizer: str | keras.optimizers.Optimizer | dict = "adam", **kwargs: Any) -> None:
        """As `keras.Model.compile`; XLA only where `jit_compile=True` asks for it."""
        super().compile(optimizer, **{"jit_compile": False} | kwargs)

    # What comes in

    def in_training_range(self, images: np.ndarray | tf.Tensor) -> tf.Tensor:
        """uint8 images as float32 in `image_range`; floats as they are."""
        images = tf.convert_to_tensor(images)
        if images.dtype.is_integer:
            return ranges.rescale(images, ranges.UINT8, self.image_range)
        return tf.cast(images, tf.float32)

    def prepare(self, batch: Any, step: tf.Tensor) -> tf.Tensor | list[tf.Tensor]:
        """Images of a batch in the training range; where a step takes several batches, the list of them."""
        images, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        if y is not None:
            _refuse_targets(type(self).__name__)
        images = self.in_training_range(images)
        count = self.batches_per_step()
        if count > 1 and images.shape.rank == len(self.image_shape) + 1:  # one batch of a user's: cut into as many
            return tf.split(images, count)
        return super().prepare(images, step)

    def _require(self, x, y, what):
        """Raises `InputError` for what cannot be trained on, by the array or by the first batch of a dataset."""
        if y is not None or isinstance(x, (tuple, list)):
            _refuse_targets(what)
        first = x
        if isinstance(x, tf.data.Dataset):
            first = next(iter(x.take(1)), None)
        elif not isinstance(x, np.ndarray) and not tf.is_tensor(x):
            return  # a generator, which looking at would use up
        if isinstance(first, (tuple, list)):
            _refuse_targets(what)
        values = np.asarray(first)
        low, high = self.image_range
        if values.shape[-len(self.image_shape) :] != self.image_shape:
            _refuse(
                what, f"images [N, {', '.join(map(str, self.image_shape))}]", f"{list(values.shape)}", "reshape them"
            )
        if values.dtype == np.uint8:
            return
        if values.dtype.kind == "f" and values.size and low < 0.0 <= values.min() and 0.5 < values.max() <= 1.0:
            warnings.warn(
                f"{what}: floats are taken as in [{low:g}, {high:g}], and none here is below 0. Images in [0, 1] want "
                "2 * images - 1, or uint8.",
                stacklevel=3,
            )
        if values.dtype.kind != "f" or not np.isfinite(values).all() or values.min() < low or values.max() > high:
            _refuse(
                what,
                f"uint8 images, or floats in [{low:g}, {high:g}]",
                f"{values.dtype} in [{values.min():g}, {values.max():g}]",
                "pass the uint8 pixels, or scale them",
            )

    def _require_groups(self, x, batch_size, what):
        """Raises `InputError` for an array whose batches, the last one too, do not come in the groups of a step."""
        group = self.GROUP * self.batches_per_step()
        if group > 1 and isinstance(x, np.ndarray) and (batch_size % group or len(x) % batch_size % group):
            last = len(x) % batch_size or batch_size
            received = f"batches of {batch_size} and a last one of {last}"
            _refuse(
                what, f"batches that are multiples of {group}", received, "choose another batch_size, or fewer images"
            )

    def fit(
        self,
        x: np.ndarray | tf.Tensor | tf.data.Dataset | None = None,
        y: None = None,
        batch_size: int | None = None,
        validation_data: np.ndarray | tf.Tensor | tf.data.Dataset | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """As `keras.Model.fit`, of images alone. Raises `InputError` for images it does not take."""
        for part, what in ((x, "fit"), (validation_data, "fit(validation_data=...)")):
            if part is not None:
                self._require(part, y, what)
                self._require_groups(part, batch_size or KERAS_BATCH, what)
        first = None if int(np.asarray(self.step)) else self.before()
        if first:  # as often through the images as it takes
            first.fit(x, batch_size=batch_size, epochs=first.length, verbose=0, callbacks=[first.ending()])
        return super().fit(x, batch_size=batch_size, validation_data=validation_data, **kwargs)

    def evaluate(
        self,
        x: np.ndarray | tf.Tensor | tf.data.Dataset | None = None,
        y: None = None,
        batch_size: int | None = None,
        **kwargs: Any,
    ) -> float | list[float] | dict[str, float]:
        """As `keras.Model.evaluate`: the losses of images, with the noise of no training step."""
        self._require(x, y, "evaluate")
        self._require_groups(x, batch_size or KERAS_BATCH, "evaluate")
        return super().evaluate(x, batch_size=batch_size, **kwargs)

    def predict(self, x: np.ndarray | tf.Tensor | tf.data.Dataset, **kwargs: Any) -> np.ndarray:
        """As `keras.Model.predict`: reconstructions of images, in `image_range`; or images of codes."""
        if isinstance(self, interfaces.Encodes):
            self._require(x, None, "predict")
        return super().predict(x, **kwargs)

    def test_step(self, batch: Any) -> dict[str, tf.Tensor]:
        step = tf.constant(VALIDATION_NOISE, tf.int64)
        with keras.StatelessScope(), self.without_training():  # whatever the passes move is not kept
            values = self.with_total(self.update(self.prepare(batch, step), step))
        return self.means.record(values)

    # What goes out

    def call(self, images: np.ndarray | tf.Tensor, training: bool = False) -> tf.Tensor:
        """Reconstructions of images, in `image_range`; of a method without an encoder, images of codes."""
        del training
        if isinstance(self, interfaces.Encodes):
            return self.reconstruct(self.in_training_range(images))
        return self.decode(images)

    def sample(self, count: int, seed: int = 0, start: int = 0) -> np.ndarray:
        """Samples `start` to `start + count` of the method's own prior: uint8 `[count, H, W, C]`, or floats of points.

        Sample i is a function of (seed, i). Raises `InputError` for a method whose prior has to be fitted first.
        """
        if self.PRIOR is None:
            checks.refuse(
                f"{type(self).__name__}.sample",
                expected="a method with a prior of its own",
                received="one whose codes follow no known law",
                remedy="train it as a run, and sample that with a prior fitted to it: run.fit_prior('mixture')",
            )
        seeds = streams.sample_seeds(count, seed=seed, start=start)
        parts = [self._drawn(seeds[i : i + SAMPLES]) for i in range(0, count, SAMPLES)]
        return np.concatenate(parts) if parts else np.zeros([0, *self.image_shape], np.uint8)

    def _drawn(self, seeds):
        law = "normal" if self.PRIOR == "own" else self.PRIOR
        codes = laws.draw(law, tf.constant(seeds), self.NOISE_PARTS * self.latent_dim)
        codes = self.map_noise(codes) if self.PRIOR == "own" else codes
        images = self.decode(codes, source="prior")
        pixels = len(self.image_shape) == 3 and not grids.is_points(self.image_shape)
        return (ranges.to_uint8(images, self.image_range) if pixels else images).numpy()

    # On disk

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Sequence | None = None,
        **kwargs: Any,
    ) -> None:
        """As `keras.Model.export`, of what `model(images)` gives: `serve` takes float32 images in `image_range`.

        `Run.export` writes what TensorFlow Serving samples, encodes and scores with.
        """
        if input_signature is None:
            taken = self.image_shape if isinstance(self, interfaces.Encodes) else (self.latent_dim,)
            input_signature = [keras.InputSpec(shape=(None, *taken), dtype="float32")]
        super().export(filepath, format=format, verbose=verbose, input_signature=input_signature, **kwargs)

    def get_config(self) -> dict:
        held = {} if self._recipe else {name: getattr(self, name).model for name in self.roles_held}
        return {
            "networks": {name: keras.saving.serialize_keras_object(network) for name, network in held.items()},
            "recipe": self._recipe,
            "options": dataclasses.asdict(self.options),
            "latent_dim": self.latent_dim,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config: dict) -> Self:
        options = cls.Options(**config["options"])
        recipe = config["recipe"]
        if recipe:
            return cls.on_named_networks(
                options,
                networks_lib.NetworkOptions(**recipe["network"]),
                tuple(recipe["image_shape"]),
                seed=config["seed"],
            )
        given = {name: keras.saving.deserialize_keras_object(part) for name, part in config["networks"].items()}
        return cls(**given, options=options, latent_dim=config["latent_dim"], seed=config["seed"])

    @classmethod
    def on_named_networks(
        cls, options: Any, network_options: networks_lib.NetworkOptions, image_shape: Sequence[int], *, seed: int = 0
    ) -> Self:
        """The method on networks of this package, whose weights are a function of `seed`.

        Args:
          options: the method's `Options`. network_options: `NetworkOptions`. image_shape: (H, W, C).

        Raises `InputError` for options or an image shape that cannot be.
        """
        wanted = cls.roles(options)
        keras.utils.set_random_seed(seed)
        made = networks_lib.build_all(wanted, network_options, image_shape)
        model = cls(**made, options=options, latent_dim=network_options.latent_dim, seed=seed)
        model._recipe = {"network": dataclasses.asdict(network_options), "image_shape": list(image_shape)}
        return model

    def get_compile_config(self) -> dict:
        of_each = {name: keras.saving.serialize_keras_object(optimizer) for name, optimizer in self.optimizers.items()}
        return {"optimizers": of_each}

    def compile_from_config(self, config: dict) -> None:
        of_each = config["optimizers"].items()
        self.compile({name: keras.saving.deserialize_keras_object(part) for name, part in of_each})


def _refuse_targets(what):
    _refuse(what, "images alone", "images and targets", "leave the targets out: a generative model has none")


def _refuse(what, expected, received, remedy):
    checks.refuse(what, expected=expected, received=received, remedy=remedy)
