"""Where a graph's boxes and arrows come to lie, for the pipeline's graph and for any other."""

import re

from hypothesis import given, settings
from hypothesis import strategies as some

from pipelines import layout

PIPELINE = {
    "a": set(), "b": {"a"}, "c": {"b"}, "d": {"b", "c"}, "e": {"a", "c", "d"}, "f": {"e"}, "g": {"e", "f"},
    "h": {"e", "g"}, "i": {"g"}, "j": {"h", "i"},
}  # fmt: skip


@some.composite
def graphs(draw):
    """dict of a step to those before it."""
    made = {}
    for i in range(draw(some.integers(1, 9))):
        made[f"s{i}"] = draw(some.sets(some.sampled_from(list(made)))) if made else set()
    return made


def parts(path):
    """The commands of a path with their numbers."""
    return [(kind, [float(n) for n in numbers.split()]) for kind, numbers in re.findall(r"([MCV])([^MCV]*)", path)]


def check(needs):
    made = layout.graph(needs)
    boxes = {box.name: box for box in made.boxes}
    assert list(boxes) == list(needs)
    assert {(arrow.start, arrow.end) for arrow in made.arrows} == {(n, name) for name in needs for n in needs[name]}
    for box in boxes.values():
        assert 0 <= box.x <= made.width - box.width
        assert 0 <= box.y <= made.height - box.height
        for other in boxes.values():
            apart = abs(box.y - other.y) >= box.height or abs(box.x - other.x) >= box.width
            assert box is other or apart
    ends, lanes = [], []
    for arrow in made.arrows:
        start, end = boxes[arrow.start], boxes[arrow.end]
        found = parts(arrow.path)
        (x, y), (to_x, to_y) = found[0][1], found[-1][1][-2:]
        assert y == start.y + start.height
        assert end.y - 3 <= to_y < end.y  # the head touches the box
        assert start.x < x < start.x + start.width
        assert end.x < to_x < end.x + end.width
        ends += [(x, y), (to_x, to_y)]
        for i, (kind, numbers) in enumerate(found):
            if kind == "V":
                (lane, first), last = found[i - 1][1][-2:], numbers[0]
                assert 0 < lane < made.width
                lanes.append((lane, first, last))
                for box in boxes.values():
                    beside = not box.x <= lane <= box.x + box.width
                    assert beside or box.y + box.height <= first or last <= box.y, (arrow, box)
    assert len(ends) == len(set(ends))  # no two arrows begin or end at one point
    for i, (x, first, last) in enumerate(lanes):
        for other_x, other_first, other_last in lanes[:i]:
            assert x != other_x or last <= other_first or other_last <= first
    return made


def test_the_pipelines_graph_runs_down_one_column():
    left = {box.name: box.x for box in check(PIPELINE).boxes}
    assert len({left[name] for name in "abcdefgj"}) == 1
    assert left["i"] < left["a"] < left["h"]  # where the lane from e ends


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_no_arrow_passes_through_a_box_or_runs_along_another(needs):
    check(needs)
