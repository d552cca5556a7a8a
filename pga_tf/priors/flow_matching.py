"""A flow from N(0, I) to codes, along straight lines on average. Interface: Samples.

Papers: Lipman et al., Flow Matching for Generative Modeling, ICLR 2023; Liu et al., Flow Straight and Fast (rectified
flow), ICLR 2023. Algorithm, on whitened codes y = L^-1 (z - m): with e ~ N(0, I), t ~ U(0, 1), y_t = (1 - t) e + t y,
minimise |v(y_t, t) - (y - e)|^2. A sample is dy/dt = v(y, t) from y(0) = e to y(1), by Heun's method in K steps:
a = v(y, t), b = v(y + a / K, t + 1 / K), y <- y + (a + b) / (2 K); then z = m + L y. Its density is exact but for the
steps: log p(z) = log N(e) - integral of tr dv/dy dt - log |det L|, e found backwards from y.
Deviations: the papers have images. Network and settings are ours. Samples are of averaged weights.
"""

import keras
import tensorflow as tf

from pga_tf import networks
from pga_tf.core import streams
from pga_tf.core.players import Player
from pga_tf.networks import Flow
from pga_tf.objectives import gaussian
from pga_tf.priors import draws
from pga_tf.priors.whitened import Whitened
from pga_tf.settings.priors import FlowMatchingOptions

LARGEST_EXACT = 64  # dimensions up to which the trace is taken, one derivative for each


class FlowMatching(Whitened):
    """v(y, t) over whitened codes `[H_dim]`, trained by steps on batches of codes; before, N(m, L L^T)."""

    Options = FlowMatchingOptions
    PLAYERS = (Player("flow", ("velocity",)),)
    LOSSES = ("L_v",)
    TOTAL = None
    REPORTED = ()

    def __init__(self, latent_dim: int, options: FlowMatchingOptions | None = None, *, seed: int = 0):
        options = options or FlowMatchingOptions()
        roles = {"velocity": Flow(width=options.flow_width, depth=options.flow_depth)}
        made = networks.build_all(roles, networks.NetworkOptions(latent_dim=latent_dim), None)
        super().__init__(made, options, latent_dim=latent_dim, seed=seed)
        self.average(options.flow_ema, ["velocity"])
        self.sample = draws.sampler(self._draw)
        if latent_dim <= LARGEST_EXACT:
            self.log_prob = self._log_prob

    def state(self) -> dict[str, keras.Variable]:
        """The variables that sampling needs, by name."""
        held = [self.offset, self.factor, *self.velocity.trainable_variables]
        return {f"{i}/{v.path}": v for i, v in enumerate(held)}

    def flow_loss(self, y: tf.Tensor, e: tf.Tensor, t: tf.Tensor) -> tf.Tensor:
        """|v(y_t, t) - (y - e)|^2 of whitened codes, noise `[B, H_dim]`, times `[B]`: `[B]`, mean over dimensions."""
        y_t = (1.0 - t[:, None]) * e + t[:, None] * y
        return tf.reduce_mean(tf.square(self.velocity(y_t, t) - (y - e)), axis=1)

    def update(self, codes: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        count = tf.shape(codes)[0]
        e, t = self.normal([count, self.latent_dim], "fit/prior", step), self.uniform([count], "fit/time", step)
        y = self.whitened(codes)
        with tf.GradientTape() as tape:
            l_v = self.flow_loss(y, e, t)
        return {"L_v": l_v, **self.minimise(tape, l_v)}

    def _v(self, y, t):
        return self.velocity(y, tf.fill(tf.shape(y)[:1], t))

    def _in_steps(self, step, *values):
        """`values` after K of `step(t, *values)`, t = 0, 1 / K, ...; one step's graph, however many there are."""
        k = self.options.flow_steps
        body = lambda i, *held: (i + 1, *step(tf.cast(i, tf.float32) / k, *held))
        return tf.while_loop(lambda i, *_: i < k, body, (tf.constant(0), *values))[1:]

    def _draw(self, seeds):
        """int64 seeds `[B]` to float32 codes `[B, H_dim]`; code i depends on seed i alone, whatever the batch."""
        h = 1.0 / self.options.flow_steps

        def step(t, y):
            a = self._v(y, t)
            b = self._v(y + h * a, t + h)
            return (y + 0.5 * h * (a + b),)

        (y,) = self._in_steps(step, streams.normals_of(seeds, self.latent_dim, "sample/code"))
        return self.coloured(y)

    def _log_prob(self, codes: tf.Tensor) -> tf.Tensor:
        """log p(z) of codes `[B, H_dim]`: `[B]`, nats; the way back by Heun's method in as many steps."""
        h = 1.0 / self.options.flow_steps

        def step(gone, y, trace):
            a, at_a = self._with_trace(y, 1.0 - gone)
            b, at_b = self._with_trace(y - h * a, 1.0 - gone - h)
            return y - 0.5 * h * (a + b), trace + 0.5 * h * (at_a + at_b)

        y = self.whitened(codes)
        y, trace = self._in_steps(step, y, tf.zeros_like(y[:, 0]))
        return -gaussian.gaussian_nll(y, tf.zeros_like(y), 0.0) - trace - self.log_scale()

    def _with_trace(self, y, t):
        """(v(y, t), tr dv/dy): each row is taken once for each dimension, and d v_i / d y_i read off row i."""
        units = tf.tile(tf.eye(self.latent_dim), [tf.shape(y)[0], 1])
        rows = tf.repeat(y, self.latent_dim, axis=0)
        with tf.GradientTape() as tape:
            tape.watch(rows)
            v = self._v(rows, t)
            picked = tf.reduce_sum(v * units)
        slopes = tf.reduce_sum(tape.gradient(picked, rows) * units, axis=1)
        return v[:: self.latent_dim], tf.reduce_sum(tf.reshape(slopes, [-1, self.latent_dim]), axis=1)
