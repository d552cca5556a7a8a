"""What a user chooses about optimisers and their learning rates."""

import dataclasses
import itertools
import math

from pga_tf.core import checks
from pga_tf.core.options import option


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    optimizer: str = option("adam", "update rule", choices=("sgd", "adam", "rmsprop"))
    learning_rate: float = option(
        0.0, "peak learning rate; 0: 0.1 with sgd, 0.001 with adam and rmsprop", unit="factor", minimum=0.0
    )
    momentum: float = option(
        0.9,
        "momentum of SGD and RMSprop, first-moment decay (beta_1) of Adam",
        unit="factor",
        minimum=0.0,
        maximum=0.9999,
    )
    beta_2: float = option(
        0.0,
        "second-moment decay of Adam (0: 0.999) and RMSprop (0: 0.9)",
        unit="factor",
        minimum=0.0,
        maximum=0.999999,
    )
    schedule: str = option(
        "constant",
        "learning rate over time",
        choices=("constant", "halving", "drops", "exponential", "cosine", "linear"),
    )
    halve_every: int = option(150, "with --schedule=halving", unit="epochs", minimum=1)
    drops: str = option("", "with --schedule=drops: 30:2,50:5 is half the rate from epoch 30 on, a tenth from 50 on")
    last_rate: float = option(
        0.01, "with --schedule=exponential: the rate at the end, of the peak", unit="factor", above=0.0, maximum=1.0
    )
    weight_decay: float = option(
        0.0,
        "decoupled decay of kernels, times the learning rate; biases, norms and gamma have none",
        unit="factor",
        minimum=0.0,
        maximum=1.0,
    )
    learning_rate_warmup: int = option(0, "linear rise from 0 to the peak", unit="steps", minimum=0)
    ema: float = option(
        0.0,
        "decay of a moving average of the weights, used for samples, after a ramp of about 10 times 1 / (1 - decay) "
        "steps; 0: none",
        unit="factor per step",
        minimum=0.0,
        maximum=0.999999,
    )


def parsed_drops(text):
    """ "30:2,50:5" as [(30.0, 2.0), (50.0, 5.0)]: epochs, and what the rate is divided by from each on.

    Raises `InputError` for a text that is no list of such pairs, with epochs that rise and divisors above 0.
    """
    try:
        pairs = [tuple(map(float, pair.split(":"))) for pair in text.split(",") if text]
        epochs = [0.0, *(epoch for epoch, _ in pairs), math.inf]
        fine = all(a < b for a, b in itertools.pairwise(epochs)) and all(0.0 < d < math.inf for _, d in pairs)
    except ValueError:
        fine = False
    if not fine:
        checks.refuse(
            "--drops",
            expected="EPOCH:DIVISOR, ... with epochs that rise from above 0, as 30:2,50:5",
            received=repr(text),
            remedy="correct it",
        )
    return pairs
