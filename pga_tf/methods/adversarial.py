"""What generators without an encoder share: the turns of a critic and a generator, and where their noise comes from."""

import tensorflow as tf

from pga_tf.core import laws, streams
from pga_tf.core.players import Player
from pga_tf.methods.method import Method
from pga_tf.settings.methods.adversarial import AdversarialOptions
from pga_tf.settings.methods.pixels import PIXEL_RANGES


class Adversarial(Method):
    """A critic that steps `critic_updates` times, then a generator, named "decoder", that steps against the new critic.

    Every update has noise u of its own. Subclasses write `critic_loss` and `generator_loss`, and where something
    follows an update of the critic, `after_critic`.
    """

    TOTAL = "L_G"  # no one loss says how far training is

    @classmethod
    def players(cls, options: AdversarialOptions) -> tuple[Player, ...]:
        critic = Player("critic", ("critic",), updates=options.critic_updates, fresh=True)
        return (critic, Player("generator", ("decoder",)))

    @classmethod
    def prior_of(cls, options: AdversarialOptions) -> str:
        return options.noise

    @staticmethod
    def training_range(options: AdversarialOptions) -> tuple[float, float]:
        return PIXEL_RANGES[options.pixel_range][0]

    def loss_scale(self) -> float:
        return 1.0  # the published losses as they are, which TensorFlow 1's Adam trained

    def critic_loss(
        self, x: tf.Tensor, y: tf.Tensor, step: tf.Tensor, substep: int
    ) -> tuple[tf.Tensor, dict[str, tf.Tensor]]:
        """(what the critic descends on for real x and generated y, `[B, H, W, C]` each: `[B]`; what is reported)."""
        raise NotImplementedError

    def generator_loss(self, y: tf.Tensor) -> tf.Tensor:
        """What the generator descends on for its images y, `[B, H, W, C]`, under a critic that is held: `[B]`."""
        raise NotImplementedError

    def after_critic(self, shown: dict[str, tf.Tensor]) -> None:
        """What follows an update of the critic that reported `shown`."""

    def generated(self, count: tf.Tensor | int, step: tf.Tensor, substep: int) -> tf.Tensor:
        """y = G(u) as training sees it, `[count, H, W, C]`; u is that of the sub-step."""
        shape = [count, self.latent_dim]
        if self.options.noise == "normal":
            u = self.normal(shape, "prior", step, substep)
        else:
            u = 2.0 * self.uniform(shape, "prior", step, substep) - 1.0
        return self.decoder(u, sources=("prior",), training=True)

    def update(self, batches: tf.Tensor | list[tf.Tensor], step: tf.Tensor) -> dict[str, tf.Tensor]:
        batches = batches if isinstance(batches, list) else [batches]
        count = tf.shape(batches[0])[0]
        for k, x in enumerate(batches):
            y = tf.stop_gradient(self.generated(count, step, k))  # the critic's updates train the critic alone
            with tf.GradientTape() as tape:
                loss, shown = self.critic_loss(x, y, step, k)
            norms = self.minimise(tape, loss, "critic")
            if self._trains:
                self.after_critic(shown)
        with tf.GradientTape() as tape:
            l_g = self.generator_loss(self.generated(count, step, len(batches)))
        return {**shown, "L_G": l_g, **norms, **self.minimise(tape, l_g, "generator")}

    def looked_at(self, count: int) -> tf.Tensor:
        """`count` images of fixed noise that is no sample's, as inference makes them."""
        seeds = tf.constant(streams.choosing_seeds(count, "look"))
        return self.decode(laws.draw(self.options.noise, seeds, self.latent_dim))
