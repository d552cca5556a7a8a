"""How a row is trained and scored: as its flagfile says, or by one small recipe for every method."""

import dataclasses
from collections.abc import Mapping

from pga_tf.core import checks
from pga_tf.ledger.tables import Row

STEPS, PRIOR_STEPS, FILTERS, BATCH, WARMUP, RATE = 2_000, 4_000, 16, 64, 500, 5e-4
COMPONENTS = 10  # of the mixture that is fitted to the codes of every autoencoder

# What follows is true of methods, whose modules load TensorFlow; a test holds it to them.
WITHOUT_ENCODER = ("gan", "began")
WITHOUT_PRIOR = ("ae", "rae", "prior_free")  # of their own
IN_TURN = ("adversarial_pga", "prior_free", "soft_intro_vae", "age", "alae", "gan", "began")  # several players


@dataclasses.dataclass(frozen=True)
class Budget:
    """`told`: what it is, as its card says. `flags` of a row: what is asked for beside the row's own."""

    name: str
    told: str

    def flags(self, values: Mapping[str, str]) -> dict[str, str]:
        """Flags of training, texts by name, for a row of which `values` are all flags."""
        return _laptop(values) if self.name == "laptop" else {}

    def scored(self, row: Row) -> dict[str, str]:
        """Flags of `pga_tf.evaluate`, texts by name."""
        if row.dataset == "digits":  # 297 real images, which more samples do not help
            return {"protocol": "ours", "num_samples": "2000", "seeds": "2"}
        if self.name == "laptop":
            return {"protocol": "ours", "num_samples": "5000", "seeds": "2"}
        return {"protocol": row.flagfile.protocol}

    def mixture(self, values: Mapping[str, str]) -> dict[str, str]:
        """Flags by which a mixture is fitted beside the row's own prior; {} where none is."""
        if self.name != "laptop" or values["method"] in WITHOUT_ENCODER or values.get("prior") == "mixture":
            return {}
        return {"prior": "mixture", "components": str(COMPONENTS)}


PAPER = Budget("paper", "the flagfile as it is")
LAPTOP = Budget(
    "laptop",
    f"networks of {FILTERS} filters, {STEPS:,} steps of {BATCH} images, float32, CPU only; Adam at {RATE:g} with "
    "cosine decay where one player trains, the row's own rates where several do; warm-up of the losses at most "
    f"{WARMUP} steps, a fitted prior at most {PRIOR_STEPS:,}; 5,000 samples for each of two seeds against the test "
    "images (digits: 2,000), features of the data set that ship with this package",
)
BUDGETS = {budget.name: budget for budget in (PAPER, LAPTOP)}


def named(name: str) -> Budget:
    """The budget `name`. Raises `InputError` for an unknown one."""
    checks.require_member("--budget", name, BUDGETS)
    return BUDGETS[name]


def in_turn(values: Mapping[str, str]) -> bool:
    """Whether several players train in turn, whose rates are set against each other."""
    return values["method"] in IN_TURN or (values["method"], values.get("divergence")) == ("wae", "gan")


def _laptop(values):
    asked = {"steps": str(STEPS), "epochs": "0", "batch_size": str(BATCH), "mixed_precision": "none"}
    if values.get("network") not in ("mlp", "conv_8"):  # these are small as they are
        asked["filters"] = str(FILTERS)
    if not in_turn(values):
        asked |= {"optimizer": "adam", "learning_rate": str(RATE), "schedule": "cosine", "momentum": "0.9", "drops": ""}
    if int(values.get("warmup_steps", 0)) > WARMUP:
        asked["warmup_steps"] = str(WARMUP)
    if values["method"] not in WITHOUT_PRIOR:
        asked |= {"evaluate_every": "500"}
    if values.get("prior") in ("second_vae", "latent_map"):
        asked["prior_steps"] = str(min(int(values.get("prior_steps", PRIOR_STEPS)), PRIOR_STEPS))
    if values.get("prior") == "second_vae":
        asked |= {"prior_learning_rate": str(RATE), "prior_schedule": "cosine"}
    return asked
