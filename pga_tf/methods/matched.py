"""What perceptual methods share that match codes of samples with codes of reconstructions: MMD-PGA, adversarial PGA.

Theorem 1 (Zhang et al., ICML 2020) asks for two things: L_lr,N small by the encoder alone, and h(z_n) of the law of
h(f(x)). LPGA and VPGA come to the second by likelihood; here it is asked for directly, as the paper's conclusion
suggests. It prints no equations for this, these are ours:

L = L_r + a L_lr,N + b L_lr,H + w L_match + c L_code

L_match brings q = f(g(z_n)) to r = h(f(x)) in law and trains the decoder alone, *through* a held encoder: one that it
trained would make both sides alike, and Theorem 1 would say nothing. L_code brings f(x) to N(0, I) and trains the
encoder alone, since L_lr,N makes h(z_n) follow N(0, I), and only the encoder can move codes of data there; or it is
LPGA's likelihood, Eqs. 6 and 7.
Deviations: under batch norm with statistics for each source, those of samples move twice in a step, by the same batch.
"""

import tensorflow as tf

from pga_tf.core import routing
from pga_tf.methods.perceptual import Passes, Perceptual
from pga_tf.objectives import gaussian, pga


class Matched(Perceptual):
    """A perceptual method with L_match; images in [-1, 1]. Subclasses write `match` and `match_prior`."""

    LOSSES = ("L_r", "L_lr_N", "L_lr_H", "L_match", "L_code")

    def terms(self, x: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        """Every loss for images `[B, H, W, C]` in [-1, 1]: dict of `[B]`, means over dimensions where it is a sum."""
        o, likelihood = self.options, self.options.code_law == "likelihood"
        perturb = lambda eps, _: pga.perturbation(eps, o.perturbation_scale, "sphere")
        p = self.passes(x, step, perturb=perturb if likelihood else None)
        q = routing.held(self.encoder)(p.x_n, sources=("samples",), training=True)
        losses = self.reconstruction_losses(x, p) | self.match(tf.stop_gradient(p.h), q)
        return losses | ({"L_code": self._nll(p)} if likelihood else self.match_prior(p.z_n, p.z))

    def match(self, real: tf.Tensor, generated: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_match of r `[B, H_dim]`, held, and q `[B, H_dim]`, which trains theta, with what else it takes."""
        raise NotImplementedError

    def match_prior(self, real: tf.Tensor, codes: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_code of z_n `[B, H_dim]` and f(x) `[B, H_dim]`, which trains phi, with what else it takes."""
        raise NotImplementedError

    def _nll(self, p: Passes):
        l_nll_phi = pga.code_nll(p.z) / self.latent_dim + 0.5 * gaussian.LOG_2_PI
        return l_nll_phi + pga.volume_nll(p.h_pert, p.h, p.delta) / self.latent_dim

    def objective(self, losses: dict[str, tf.Tensor], step: tf.Tensor) -> tf.Tensor:
        """L, of which L_r alone trains in the warm-up: `[B]`."""
        matching = self.options.weight_match * losses["L_match"] + self.options.weight_code * losses["L_code"]
        return self.total(losses, self.l_lr(losses) + matching, step)
