"""The protocol card: how a score was got. Scores under different cards are not comparable."""

import hashlib
import importlib.metadata
import json
from collections.abc import Sequence
from typing import Any

from pga_tf.evaluation.protocols import OURS

SCORING = 2  # raised whenever the definition of a score or of its error changes
DESCRIPTIVE = ("encoder", "prior", "batch_norm", "weights")
"""Of `generated`: what was scored, not how, and so no reason to set two scores apart.

A system draws by a prior, norms and weights of its own. Where a protocol asks for statistics of the samples themselves,
its name says so.
"""

LIBRARIES = ("tensorflow", "keras", "numpy", "scipy")


def versions() -> dict[str, str]:
    """Versions of the libraries that a score depends on."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def card(network: Any, *, real: dict, generated: dict, protocol: str = OURS, rounding: str = "nearest") -> dict:
    """The card of a score: nested dict of plain values.

    Args:
      network: the `FeatureNetwork`, or None where there are no features.
      real: dict on the real side: dataset, split, count, hash of the images.
      generated: dict on the other side: count, seeds, prior, statistics of batch norm, weights.
      protocol: what `protocols.Protocol.told` calls it. rounding: of samples to uint8, "nearest" or "down".
    """
    rounded = "uint8, rounded to nearest" if rounding == "nearest" else f"uint8; samples are rounded {rounding}"
    return plain(
        {
            "protocol": protocol,
            "scoring": SCORING,
            "features": network.card() if network else {"network": "none"},
            "quantisation": "none: points" if real.get("image_shape") == [1, 1, 2] else rounded,
            "real": real,
            "generated": generated,
            "versions": versions(),
        }
    )


def plain(value: Any) -> Any:
    """`value` as it is after a round trip through JSON."""
    return json.loads(json.dumps(value))


def digest(card: dict) -> str:
    """Hash of a card, or of a part of one, without what is `DESCRIPTIVE`: 16 hexadecimal digits."""
    if card.get("protocol") == OURS:  # cards of before there were others do not name it
        card = {name: value for name, value in card.items() if name != "protocol"}
    if isinstance(card.get("generated"), dict):
        generated = {name: value for name, value in card["generated"].items() if name not in DESCRIPTIVE}
        card = card | {"generated": generated}
    return hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()[:16]


def flat(card: dict, prefix: str = "") -> dict[str, Any]:
    """A nested card as a dict of dotted names to values."""
    entries = {}
    for name, value in card.items():
        if isinstance(value, dict):
            entries |= flat(value, f"{prefix}{name}.")
        else:
            entries[f"{prefix}{name}"] = value
    return entries


def differences(cards: Sequence[dict]) -> dict[str, list]:
    """Entries in which cards differ: dict of dotted name to the list of values, None where a card lacks it."""
    flats = [{"protocol": OURS} | flat(card) for card in cards]
    names = sorted(set().union(*flats) - {f"generated.{name}" for name in DESCRIPTIVE})
    values = {name: [entries.get(name) for entries in flats] for name in names}
    return {name: found for name, found in values.items() if any(value != found[0] for value in found)}
