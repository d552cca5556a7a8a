"""What the PGA papers leave out on purpose, as options that are off: each puts back what they argue against.

Zhang et al., ICML 2020. `--weight_reconstruction=0`: without L_r there is no model (section 4). `--lr_trains=both`:
L_lr trained into g too degrades samples (section 3.1). `--nll_trains=both`: under Eq. 7, or L_vr in its place, an f
that is trained too learns to ignore delta (section 3.2). `--vr_scale=fixed`: with sigma of L_vr fixed, as in the
workshop version (2019, Eq. 10), shrinking all codes gains. `--pixel_loss`: the l2 norm of Eq. 1 is "not a necessity".
"""

import dataclasses

from pga_tf.core import checks
from pga_tf.core.options import option
from pga_tf.settings.objectives import PIXEL_LOSSES


@dataclasses.dataclass(frozen=True)
class AblationOptions:
    """Of every perceptual method; the defaults are the papers' own routing."""

    weight_reconstruction: float = option(
        1.0, "weight of L_r; with 0 there is no warm-up", unit="factor", source="ablation", minimum=0.0
    )
    pixel_loss: str = option("l2", "norm of Eq. 1, by pixel", source="ablation", choices=PIXEL_LOSSES)
    lr_trains: str = option("encoder", "whom L_lr trains", source="ablation", choices=("encoder", "both"))
    nll_trains: str = option(
        "decoder",
        "whom L_nll^theta, or L_vr, trains; both: f(x) is not held under it either",
        source="ablation",
        choices=("decoder", "both"),
    )


@dataclasses.dataclass(frozen=True)
class ScaleOptions:
    """Of the methods with L_vr as a likelihood."""

    vr_scale: str = option(
        "norm", "sigma of L_vr: in proportion to codes, or fixed", source="ablation", choices=("norm", "fixed")
    )
    vr_sigma: float = option(1.0, "sigma of L_vr where it is fixed", unit="latent units", source="ablation", above=0.0)


def refuse_idle(options: AblationOptions, *, nll: float, weighed_by: str) -> None:
    """Raises `InputError` for an ablation that would change nothing.

    `nll`: the weight of L_nll^theta or L_vr. `weighed_by`: the flags that give it one, as a refusal names them.
    """
    o = options
    idle = [
        ("pixel_loss", "l2", o.weight_reconstruction, "--weight_reconstruction above 0"),
        ("lr_trains", "encoder", o.weight_lr_n + o.weight_lr_h, "--weight_lr_n or --weight_lr_h above 0"),
        ("nll_trains", "decoder", nll, weighed_by),
    ]
    if isinstance(o, ScaleOptions):
        idle.append(("vr_sigma", 1.0, o.vr_scale == "fixed", "--vr_scale=fixed"))
    for name, default, effective, needs in idle:
        if getattr(o, name) != default and not effective:
            checks.refuse(
                f"--{name}",
                expected=f"{needs} beside it",
                received=f"--{name}={getattr(o, name)} alone, which changes nothing",
                remedy=f"leave --{name} out, or add {needs}",
            )
