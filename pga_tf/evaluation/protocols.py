"""Protocols by name: what published scores were got by, and what ours are. Scores of two protocols are not comparable.

Sources: Zhang et al., ICML 2020, section 4 and the authors' code; Dai and Wipf, ICLR 2019, section 5 and the authors'
code. They feed images of any size to the graph of Inception, which resizes them. Of the prior-free paper (its table 1)
only number and split are known.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How images are scored, where nothing else is asked for.

    Attributes:
      split: of the real images. num_samples: for each of `seeds` sets of samples.
      resize: how images are brought to a feature network's input, a key of `resizing.RESIZES`.
      rounding: of samples to uint8, "nearest" or "down".
      norm_batch: of how many samples batch norm takes the statistics, as in training; 0: running statistics.
    """

    name: str
    split: str
    num_samples: int
    seeds: int
    resize: str
    rounding: str = "nearest"
    norm_batch: int = 0

    def told(self, **asked: int | str) -> str:
        """Its name and, of a published one, what else was asked for than it has: "pga, but num_samples=1000".

        `asked`: fields of a protocol, and others that it says nothing of, 0 or "" where nothing is asked for.
        """
        if self.name == OURS:
            return OURS
        others = {name: value for name, value in asked.items() if value and value != getattr(self, name, 0)}
        changed = ", ".join(f"{name}={value}" for name, value in others.items())
        return f"{self.name}, but {changed}" if changed else self.name


OURS = "ours"
PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol(OURS, "test", 10_000, 3, "antialiased"),
        Protocol("pga", "train", 5_000, 3, "legacy", rounding="down", norm_batch=1_000),
        Protocol("dai_wipf", "test", 10_000, 3, "legacy"),
        Protocol("prior_free", "train", 50_000, 1, "legacy"),
    )
}
