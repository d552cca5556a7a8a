"""What is set of AGE."""

import dataclasses

from pga_tf.core.options import option


@dataclasses.dataclass(frozen=True)
class AGEOptions:
    """Defaults are the released ones for CelebA, w_z in the paper's unit."""

    weight_x: float = option(10.0, "w_x: weight of |x - g(f(x))|_1 in L_e", unit="factor", minimum=0.0)
    weight_z: float = option(15.625, "w_z: weight of 1 - cos(u, f(g(u))) in L_g", unit="factor", minimum=0.0)
    decoder_updates: int = option(3, "updates of the decoder in a step", unit="updates", minimum=1, maximum=2**10)
    variance_as_stddev: bool = option(False, "v_j where KLb has the standard deviation", source="released code")
    unit_sphere: bool = option(False, "KLb of codes on the unit sphere", source="released code")
    cosine_over_dimensions: bool = option(False, "the cosine divided by H_dim", source="released code")
