"""Codes of labelled images as a scatter in a plane (as Geng et al., 2020, figure 3, show those of one digit)."""

from collections.abc import Sequence

import numpy as np

COLOURED = 10  # labels with colours of their own


def plane(codes: np.ndarray) -> tuple[np.ndarray, float]:
    """The plane in which codes `[N, H_dim]`, N >= 2 and H_dim >= 2, vary most: (float64 `[N, 2]`, share of variance).

    The coordinates are principal components, with signs that make the largest weight of a dimension positive; codes of
    two dimensions stay as they are.
    """
    codes = np.asarray(codes, np.float64)
    if codes.shape[1] == 2:
        return codes, 1.0
    centred = codes - codes.mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    first = directions[:2]
    first = first * np.sign(first[np.arange(len(first)), np.abs(first).argmax(axis=1)])[:, None]
    total = np.square(values).sum()
    return centred @ first.T, float(np.square(values[:2]).sum() / total) if total else 1.0


def scatter(points: np.ndarray, labels: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """A uint8 picture `[H, W, 3]` of points `[N, 2]`, coloured by int labels `[N]`, which are indices of `names`.

    Beyond `COLOURED` labels the most frequent ones have colours, and the others are grey.
    """
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    held, counts = np.unique(labels, return_counts=True)
    coloured = np.sort(held[np.argsort(-counts, kind="stable")][:COLOURED])
    figure = Figure(figsize=(7.2, 5.4), dpi=100, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    groups = [(labels == label, names[label], colormaps["tab10"](i)) for i, label in enumerate(coloured)]
    if len(held) > COLOURED:
        groups.insert(0, (~np.isin(labels, coloured), f"{len(held) - COLOURED} others", "0.7"))
    for chosen, name, colour in groups:
        axes.scatter(*points[chosen].T, s=9, linewidths=0, color=colour, label=name.replace("$", r"\$"))
    axes.set_aspect("equal", "datalim")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, markerscale=2.0)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
