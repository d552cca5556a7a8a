"""Where the boxes of a graph stand and how the arrows between them run: layers from top to bottom."""

import dataclasses

WIDTH, HEIGHT = 168, 48  # of a box [CSS pixels]
BESIDE, BELOW = 20, 34  # between boxes of a layer, between layers
LANE = 18  # from the boxes to an arrow that passes them, and to the next such arrow


@dataclasses.dataclass(frozen=True)
class Box:
    name: str
    x: float
    y: float
    width: float = WIDTH
    height: float = HEIGHT


@dataclasses.dataclass(frozen=True)
class Arrow:
    """From one box to another; `path` is its SVG path."""

    start: str
    end: str
    path: str


@dataclasses.dataclass(frozen=True)
class Graph:
    width: float
    height: float
    boxes: list[Box]
    arrows: list[Arrow]


def graph(needs):
    """Lays out a graph without cycles.

    A step's layer is one below the lowest of those that it needs. Layers are centred; in one, boxes stand in the order
    of the mean place of what comes in. An arrow over several layers passes those between in a lane at their right,
    shorter ones further in, so that none runs through a box or along another.

    Args:
      needs: dict of a step to the names of those before it, every step after those that it needs.
    """
    depth = {}
    for name, before in needs.items():
        depth[name] = max((depth[need] + 1 for need in before), default=0)
    layers = [[name for name in needs if depth[name] == row] for row in range(max(depth.values()) + 1)]
    middle = max(_span(layer) for layer in layers) / 2
    edges = [(need, name) for name, before in needs.items() for need in before]
    lanes = _lanes(edges, depth)
    passed = [len(layers[row]) for edge in lanes for row in _between(edge, depth)]
    inner = middle + (_span(range(max(passed, default=1)))) / 2
    lane_x = {edge: inner + LANE * (lane + 1) for edge, lane in lanes.items()}

    centre = {}
    for layer in layers:
        comes_from = {name: [lane_x.get((need, name), centre.get(need)) for need in needs[name]] for name in layer}
        left = middle - _span(layer) / 2
        for i, name in enumerate(sorted(layer, key=lambda name: sum(comes_from[name]) / max(1, len(comes_from[name])))):
            centre[name] = left + WIDTH / 2 + i * (WIDTH + BESIDE)

    leaves, enters = {}, {}  # where each arrow touches its boxes: in the order of where it comes from and goes to
    for name in needs:
        for ports, side in ((leaves, 0), (enters, 1)):
            own = [edge for edge in edges if edge[side] == name]
            own.sort(key=lambda edge, side=side: lane_x.get(edge, centre[edge[1 - side]]))
            for i, edge in enumerate(own):
                ports[edge] = centre[name] - WIDTH / 2 + WIDTH * (i + 1) / (len(own) + 1)
    top = {name: depth[name] * (HEIGHT + BELOW) for name in needs}
    return Graph(
        width=max([2 * middle, *(x + LANE / 2 for x in lane_x.values())]),
        height=len(layers) * (HEIGHT + BELOW) - BELOW,
        boxes=[Box(name, centre[name] - WIDTH / 2, top[name]) for name in needs],
        arrows=[
            Arrow(*edge, _path(leaves[edge], top[edge[0]] + HEIGHT, enters[edge], top[edge[1]], lane_x.get(edge)))
            for edge in edges
        ],
    )


def _span(layer):
    return len(layer) * (WIDTH + BESIDE) - BESIDE


def _between(edge, depth):
    return range(depth[edge[0]] + 1, depth[edge[1]])


def _lanes(edges, depth):
    """The number of the lane, from the inside, of each edge that passes layers."""
    lanes = {}
    for edge in sorted((edge for edge in edges if _between(edge, depth)), key=lambda edge: len(_between(edge, depth))):
        own = set(_between(edge, depth))
        taken = {lane for other, lane in lanes.items() if own & set(_between(other, depth))}
        lanes[edge] = next(lane for lane in range(len(edges)) if lane not in taken)
    return lanes


def _path(x, y, to_x, to_y, lane):
    """From the lower edge of a box to the upper edge of another, through a lane where there is one."""
    if lane is None:
        return f"M{x:.1f} {y}{_curve(x, y, to_x, to_y - 2)}"
    first, last = y + BELOW, to_y - BELOW
    return f"M{x:.1f} {y}{_curve(x, y, lane, first)}V{last}{_curve(lane, last, to_x, to_y - 2)}"


def _curve(x, y, to_x, to_y):
    bend = (y + to_y) / 2
    return f"C{x:.1f} {bend:.1f} {to_x:.1f} {bend:.1f} {to_x:.1f} {to_y:.1f}"
