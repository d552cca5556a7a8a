"""MMD-PGA: a perceptual generative autoencoder that matches laws of codes by their maximum mean discrepancy.

Paper: none; the twin of adversarial_pga.py without a critic. matched.py says what is added to the losses of Zhang et
al., ICML 2020, and why it trains whom.
Algorithm: L_match = MMD^2(q, r), with q = f(g(z_n)) and r = h(f(x)), and, with `--code_law=matched`, L_code =
MMD^2(f(x), z_n); both are WAE's unbiased estimate under the sum of seven inverse multiquadratic kernels (Tolstikhin et
al., 2018). Several replicas match the codes of the whole batch.
"""

import tensorflow as tf

from pga_tf.core import replicas
from pga_tf.methods.matched import Matched
from pga_tf.methods.method import Roles
from pga_tf.networks import Decoder, Encoder
from pga_tf.objectives import matching
from pga_tf.settings.methods.matched import MatchedOptions


class MMDPGA(Matched):
    """Trained by reconstruction and the MMD of codes; images in [-1, 1]. Interfaces: Encodes, Decodes.

    Args:
      networks: `encoder`, images `[B, H, W, C]` to codes `[B, H_dim]`; `decoder`, codes `[B, H_dim]` to images `[B,
        H, W, C]`, tanh.
      named: options, fields of `MatchedOptions`. What else there is: `KerasDoor`.
    """

    Options = MatchedOptions
    GROUP = 2  # one example alone is at no distance from itself

    @staticmethod
    def roles(options: MatchedOptions) -> Roles:
        return {"encoder": Encoder(), "decoder": Decoder(output="tanh")}

    def match(self, real: tf.Tensor, generated: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"L_match": _mmd(generated, real)}

    def match_prior(self, real: tf.Tensor, codes: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"L_code": _mmd(codes, real)}

    def update(self, images: tf.Tensor, step: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            losses = self.terms(images, step)
            loss = self.objective(losses, step)
        return {**losses, "loss": loss, **self.minimise(tape, loss)}


def _mmd(codes, real):
    return replicas.own(matching.imq_mmd(replicas.of_all(codes), replicas.of_all(real)))
