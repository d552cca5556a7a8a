"""A model that is trained by steps: networks by role, players, a clock. Methods are such models, and so are priors."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from pga_tf.core import averages, means, players, replicas, routing, streams, updates
from pga_tf.core.options import validate
from pga_tf.core.players import Player


class Stepwise(keras.Model):
    """Base of what is trained by `update(batch, step)`, which each subclass writes as its paper does.

    `step`, int64 and checkpointed, is the only clock: noise, schedules and "trained already" go by it, however often
    an optimiser is applied in a step. Subclasses declare:

    * `Options`: frozen dataclass of what a user may set.
    * `PLAYERS`: tuple of `Player` in the order of their updates, or `players(options)` where options decide.
    * `LOSSES`: names of the losses that `update` reports, in the paper's order. `REPORTED`: of what else it reports.
    * `TOTAL`: which of these is shown as "loss" too, for callbacks that look for one; None for none.

    Args:
      networks: dict of role to built network; each becomes the attribute of its name.
      options: `Options`. latent_dim: size of a code. seed: the run's seed, in [0, 2^31).

    Raises `ValueError` for a variable that no player trains, or two; `InputError` for an option out of its range.
    """

    PLAYERS = ()
    LOSSES = ()
    REPORTED = ("loss",)
    TOTAL = "loss"

    @classmethod
    def players(cls, options: Any) -> tuple[Player, ...]:
        """The players of a model with these options, in the order of their updates."""
        del options
        return cls.PLAYERS

    def __init__(self, networks: dict[str, keras.layers.Layer], options: Any, *, latent_dim: int, seed: int = 0):
        super().__init__(name=type(self).__name__.lower())  # weights have the same paths in every process
        self.options, self.latent_dim, self.seed = validate(options), latent_dim, seed
        self.roles_held = tuple(networks)
        for role, network in networks.items():
            setattr(self, role, network)
        self.step = self.add_weight(
            name="step", shape=(), dtype="int64", initializer="zeros", trainable=False,
            aggregation="only_first_replica",
        )  # fmt: skip
        self.add_own_weights()
        self.averages, self._trains = None, True
        players.require_each_variable_once(self.players(options), self.networks(), self.trainable_variables)
        named = [*self.LOSSES, *self.REPORTED, *(["loss"] if self.TOTAL else [])]
        self.means = means.Means([*dict.fromkeys(named), *updates.gradient_names(self.networks())])
        self.built = True  # its networks are

    def add_own_weights(self) -> None:
        """Where a subclass makes the weights that it has beside its networks; `networks` says whose they are."""

    def batches_per_step(self) -> int:
        """How many batches of real images a step is handed."""
        return players.batches(self.players(self.options))

    def networks(self) -> dict[str, list[keras.Variable]]:
        """Trained variables by role: dict of role to list."""
        return {role: list(getattr(self, role).trainable_variables) for role in self.roles_held}

    def trained_by(self, player: Player) -> list[keras.Variable]:
        """The variables that the `Player` trains."""
        networks = self.networks()
        return [variable for role in player.roles for variable in networks[role]]

    def compile(self, optimizer: str | keras.optimizers.Optimizer | dict = "adam", **kwargs: Any) -> None:
        """As `keras.Model.compile`; `optimizer` may be a dict of player's name to optimiser. All slots exist then."""
        everyone = self.players(self.options)
        made = players.one_optimizer_each(optimizer, everyone)
        super().compile(optimizer=made[everyone[0].name], **kwargs)
        self.optimizers = made
        for player in everyone:
            _make_slots(made[player.name], self.trained_by(player))

    def before(self) -> "Stepwise | None":
        """What is trained, once, before this model's first step; None for nothing.

        A compiled model on this one's networks. It says by `length` how many steps it takes at most, from which batches
        of this one's serve, by `ending()`, a callback, when fewer are enough, and by `told()` what came of it.
        """
        return None

    def average(self, decay: float, roles: Sequence[str]) -> None:
        """Keeps moving averages of the networks of `roles` from here on; `decay` 0 keeps none."""
        weights = [v for role in roles for v in self.networks()[role]]
        statistics = [v for role in roles for v in getattr(self, role).non_trainable_variables]
        self.averages = averages.Averages(weights, statistics, decay) if decay else None

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """A context in which the model has its averaged weights, where it keeps them."""
        return self.averages.applied() if self.averages else contextlib.nullcontext()

    def state_between_steps(self) -> dict[str, keras.Variable]:
        """All variables that the next step depends on, by name: the model's, its optimisers', its averages."""
        metrics = {id(v) for metric in self.metrics for v in metric.variables}
        own = [v for v in [*self.trainable_variables, *self.non_trainable_variables] if id(v) not in metrics]
        named = {f"model/{i}/{v.path}": v for i, v in enumerate(own)}
        for player, optimizer in self.optimizers.items():
            named |= {f"{player}/{i}/{v.path}": v for i, v in enumerate(optimizer.variables)}
        return named | {f"average/{i}": v for i, v in enumerate(self.averages.variables if self.averages else [])}

    def collapse(self, values: dict[str, float], step: int) -> str | None:
        """Why training has come to nothing by `step` although all is finite, and the remedy; None where it has not.

        `values`: means over the last steps of what `update` reports, by name.
        """
        del values, step
        return None

    def window(self) -> dict[str, keras.Variable]:
        """What the means that are logged next have taken in so far, by name."""
        return {"window/means": self.means.state}

    def loss_scale(self) -> float | None:
        """What a published bound, a sum over dimensions, is multiplied by before it is trained; None where none is.

        In the same units, epsilon leaves an optimiser's steps as they are on the bound. Runs see to it; an Adam of
        one's own wants `epsilon=1e-8 * model.loss_scale()`.
        """
        return None

    def update(self, batch: tf.Tensor | list[tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        """One step of every player: the paper. Returns the value, scalar or `[B]`, of each name that is reported."""
        raise NotImplementedError

    def train_step(self, batch: tf.Tensor) -> dict[str, tf.Tensor]:
        step = tf.identity(self.step.value)  # read once: it moves within this step
        values = self.update(self.prepare(batch, step), step)
        if self.averages:
            self.averages.update(step)
        self.step.assign_add(1)
        values = self.with_total(values)
        if missing := sorted(set(self.means.names) - set(values)):
            raise KeyError(f"Expected values for {sorted(self.means.names)} from update, received none for {missing}.")
        return replicas.reported(self.means.record(values))

    def with_total(self, values: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """`values` with the entry "loss"."""
        return values | {"loss": values[self.TOTAL]} if self.TOTAL else values

    def prepare(self, batch: tf.Tensor, step: tf.Tensor) -> tf.Tensor | list[tf.Tensor]:
        """What `update` is handed: `batch`, or the list of a step's batches, which come as axis 1 of one tensor."""
        del step
        count = self.batches_per_step()
        return batch if count == 1 else tf.unstack(batch, num=count, axis=1)

    def pass_through(self, batch: tf.Tensor, step: tf.Tensor, seen: tf.Tensor, run: Callable | None = None) -> None:
        """The passes of a step, with no weight moved: running statistics become means over `seen` + 1 batches.

        Args:
          batch, step: as a step takes them; `step` keys the noise. seen: float tensor, batches passed before.
          run: `tf.distribute.Strategy.run` for a batch that replicas share; what is set here is set once for all.
        """
        passes = lambda batch: self.update(self.prepare(batch, step), step)
        layers = [layer for layer in self._flatten_layers() if hasattr(layer, "momentum")]
        kept = [layer.momentum for layer in layers]
        for layer in layers:
            layer.momentum = seen / (seen + 1.0)
        try:
            with self.without_training():
                run(passes, args=(batch,)) if run else passes(batch)
        finally:
            for layer, momentum in zip(layers, kept, strict=True):
                layer.momentum = momentum

    @contextlib.contextmanager
    def without_training(self) -> Iterator[None]:
        """Inside the block `update` moves no weight and reports no gradient norms."""
        self._trains = False
        try:
            yield
        finally:
            self._trains = True

    def minimise(self, tape: tf.GradientTape, loss: tf.Tensor, *names: str) -> dict[str, tf.Tensor]:
        """One update of the players called `names`, or of all, on `loss` `[B]`, for which all weights are those before.

        The routing of the loss's terms decides which of them trains which network.

        Returns:
          dict of `gradient_norm/ROLE` to the Euclidean norm of that network's gradient over the global batch. Raises
          `ValueError` if a variable receives no gradient.
        """
        chosen = [player for player in self.players(self.options) if player.name in names or not names]
        if not self._trains:
            return {}
        variables = [v for player in chosen for v in self.trained_by(player)]
        gradients = tape.gradient(loss, variables, output_gradients=replicas.shares(loss))
        routing.require_gradients(gradients, variables)
        squares = updates.sums_of_squares(gradients)
        ordered = self.jit_compile and replicas.count() == 1  # by XLA
        one, of_all = None if ordered else updates.one_of_all(squares), iter(gradients)
        for player in chosen:
            own = self.trained_by(player)
            updates.apply(self.optimizers[player.name], [next(of_all) for _ in own], own, one)
        groups = {role: self.networks()[role] for player in chosen for role in player.roles}
        return updates.norms(gradients, squares, groups)

    def normal(self, shape: Sequence[int | tf.Tensor], use: str, step: tf.Tensor, substep: int = 0) -> tf.Tensor:
        """N(0, 1) noise of this model's seed; see `streams.normal`."""
        return streams.normal(shape, use, seed=self.seed, step=step, substep=substep)

    def truncated_normal(
        self, shape: Sequence[int | tf.Tensor], use: str, step: tf.Tensor, substep: int = 0
    ) -> tf.Tensor:
        """N(0, 1) noise cut off at two standard deviations; see `streams.truncated_normal`."""
        return streams.truncated_normal(shape, use, seed=self.seed, step=step, substep=substep)

    def shared_normal(self, shape: Sequence[int], use: str, step: tf.Tensor, substep: int = 0) -> tf.Tensor:
        """N(0, 1) noise that is the same on every replica; see `streams.shared_normal`."""
        return streams.shared_normal(shape, use, seed=self.seed, step=step, substep=substep)

    def uniform(self, shape: Sequence[int | tf.Tensor], use: str, step: tf.Tensor, substep: int = 0) -> tf.Tensor:
        """U(0, 1) noise of this model's seed; see `streams.uniform`."""
        return streams.uniform(shape, use, seed=self.seed, step=step, substep=substep)


def _make_slots(optimizer, variables):
    """Builds `optimizer` for `variables`; biases, scales of norms and single numbers are kept from weight decay."""
    if not optimizer.built:
        optimizer.exclude_from_weight_decay(var_list=[v for v in variables if len(v.shape) < 2])
        optimizer.build(variables)
