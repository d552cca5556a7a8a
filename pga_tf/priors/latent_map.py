"""An adversarial map from N(0, I) to codes. Interface: Samples.

Paper: Geng et al., Generative Model without Prior Distribution Matching, 2020, section 3.2.
Algorithm: generator m and critic D on codes with the hinge loss,
L_D = relu(1 - D(E(x))) + relu(1 + D(m(u))), L_m = -D(m(u)), u ~ N(0, I), Eqs. 12-13; sample x = g(m(u)).
Deviations: the paper prints no networks and no settings for this stage; they are options here. The defaults are those
of SAGAN (Zhang et al., 2019), from which the paper has its loss: a spectrally normalised critic and Adam without
momentum, four times as fast for the critic. With neither, the map of 256-dimensional codes collapsed (docs/results.md).
Of the generators met, the one is kept whose codes have the smallest MMD to held-out codes: an adversarial pair need not
end at its best. The generator steps against the critic that has just stepped.
"""

import keras
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import streams
from pga_tf.core.players import Player
from pga_tf.core.stepwise import Stepwise
from pga_tf.networks import Critic, Mapping
from pga_tf.objectives import adversarial
from pga_tf.priors import draws
from pga_tf.settings.priors import LatentMapOptions


class LatentMap(Stepwise):
    """Generator m and critic D over codes `[H_dim]`, trained by steps on batches of codes."""

    Options = LatentMapOptions
    FIT = "steps"
    DECODED_AS = "data"
    KEEPS_BEST = True  # of the generators met, the one whose codes have the smallest MMD to held-out codes
    PLAYERS = (Player("map_critic", ("critic",)), Player("map_generator", ("generator",)))
    LOSSES = ("L_D", "L_m")
    TOTAL = None
    REPORTED = ()

    def __init__(self, latent_dim: int, options: LatentMapOptions | None = None, *, seed: int = 0):
        options = options or LatentMapOptions()
        shape = {"width": options.map_width, "depth": options.map_depth}
        roles = {
            "generator": Mapping(**shape),
            "critic": Critic(of="codes", spectral=options.map_critic_norm == "spectral", **shape),
        }
        made = networks.build_all(roles, networks.NetworkOptions(latent_dim=latent_dim), None)
        super().__init__(made, options, latent_dim=latent_dim, seed=seed)
        self.sample = draws.sampler(self._draw)

    def state(self) -> dict[str, keras.Variable]:
        """The variables that sampling needs, by name."""
        return {f"{i}/{v.path}": v for i, v in enumerate(self.generator.trainable_variables)}

    def critic_loss(self, codes: tf.Tensor, mapped: tf.Tensor) -> tf.Tensor:
        """Eq. 12: `[B, H_dim]` each side, to `[B]`. It moves the power iteration of a spectral critic."""
        real, generated = tf.split(self.critic(tf.concat([codes, mapped], axis=0), training=True)[:, 0], 2)
        return adversarial.critic_loss("hinge", real, generated)

    def update(self, codes: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        u, v = (
            self.normal([tf.shape(codes)[0], self.latent_dim], use, step) for use in ("fit/prior", "fit/prior_again")
        )
        mapped = tf.stop_gradient(self.generator(u))  # Eq. 12 trains the critic alone
        with tf.GradientTape() as tape:
            l_d = self.critic_loss(codes, mapped)
        norms = self.minimise(tape, l_d, "map_critic")
        with tf.GradientTape() as tape:
            l_m = adversarial.generator_loss("hinge", self.critic(self.generator(v))[:, 0])
        norms |= self.minimise(tape, l_m, "map_generator")
        return {"L_D": l_d, "L_m": l_m, **norms}

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        return self.generator(streams.normals_of(seeds, self.latent_dim, "sample/code"))
