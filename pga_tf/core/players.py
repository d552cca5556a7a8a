"""Players: which networks are trained together, by an optimiser of their own, and how often in a step."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from pga_tf.core import update_rules


@dataclasses.dataclass(frozen=True)
class Player:
    """One of those that a model trains, in the order of their updates.

    Attributes:
      name: of its optimiser; options called NAME_learning_rate, NAME_beta_1 and NAME_beta_2 are that one's.
      roles: names of the networks that it trains.
      updates: how many of its updates there are in a step.
      fresh: whether each update is on a batch of real images of its own; else on the step's only one, or on none.
      again: whether its networks are trained by other players too, and by this one's optimiser once more.
    """

    name: str
    roles: tuple
    updates: int = 1
    fresh: bool = False
    again: bool = False


def batches(players: Sequence[Player]) -> int:
    """How many batches of real images a step of these players is handed."""
    return sum(player.updates for player in players if player.fresh) or 1


def one_optimizer_each(
    optimizer: str | keras.optimizers.Optimizer | dict, players: Sequence[Player]
) -> dict[str, keras.optimizers.Optimizer]:
    """dict of player's name to a Keras optimiser.

    Args:
      optimizer: what `keras.Model.compile` takes, of which each player gets a copy, or a dict with one for each.

    Raises `ValueError` for a dict that lacks a player or names another.
    """
    names = [player.name for player in players]
    if not isinstance(optimizer, dict):
        first = update_rules.get(optimizer)
        copies = [type(first).from_config(first.get_config()) for _ in names[1:]]
        return dict(zip(names, [first, *copies], strict=True))
    if set(optimizer) != set(names):
        raise ValueError(f"optimizer: expected one for each of {', '.join(names)}, received {', '.join(optimizer)}.")
    return {name: update_rules.get(optimizer[name]) for name in names}


def require_each_variable_once(
    players: Sequence[Player], networks: Mapping[str, list], variables: Sequence[keras.Variable]
) -> None:
    """Raises `ValueError` unless every one of `variables` belongs to just one player, those of `again` left aside.

    Args:
      networks: dict of role to its variables.
    """
    owners = {}
    for player in (player for player in players if not player.again):
        for role in player.roles:
            for variable in networks[role]:
                owners.setdefault(id(variable), []).append(player.name)
    for variable in variables:
        found = owners.get(id(variable), [])
        if len(found) != 1:
            raise ValueError(
                f"{variable.path}: expected one player that trains it, received {', '.join(found) or 'none'}."
            )
