"""Figures of many runs, from the lines of results and, for samples, from run directories."""

import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pga_tf.core import files

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE = (9, 4.5)  # inches
COLUMNS = 5  # of a panel of samples
GAP = ("training_images", "reconstructions", "resampled", "samples")


def _figure(size, **kwargs):
    from matplotlib.figure import Figure

    return Figure(size, **kwargs)


def curves(lines: Sequence[dict], loss: str = "loss") -> "Figure":
    """A loss and, where it was measured, the distance in training, each against steps and against seconds.

    A curve for each line. Seconds are those of the whole training, spread evenly over its steps. Losses of two methods
    are on scales of their own.
    """
    kinds = [("losses", loss, loss), ("scores", "frechet", "Frechet distance in training")]
    kinds = [kind for kind in kinds if any(kind[1] in line["curves"][kind[0]] for line in lines)]
    figure = _figure((SIZE[0], len(kinds) * SIZE[1]), layout="constrained")
    axes = figure.subplots(len(kinds), 2, sharey="row", squeeze=False)
    for line in lines:
        pace = line["times"]["train"]["wall"] / line["step"] if line["step"] else 0.0
        for (of_steps, of_seconds), (kind, name, _) in zip(axes, kinds, strict=True):
            steps, values = line["curves"][kind].get(name, ([], []))
            if steps:
                of_steps.plot(steps, values, label=_called(line))
                of_seconds.plot([step * pace for step in steps], values)
    for (of_steps, of_seconds), (kind, _, told) in zip(axes, kinds, strict=True):
        of_steps.set(xlabel="steps", ylabel=told, yscale="symlog" if kind == "losses" else "log")
        of_seconds.set(xlabel="seconds")
    figure.legend(*_once(axes), loc="outside right upper", fontsize=7)
    return figure


def _called(line):
    return line["row"] if line["training"] == 0 else f"{line['row']}, training {line['training']}"


def _once(axes):
    found = {}
    for handle, label in (pair for axis in axes.flat for pair in zip(*axis.get_legend_handles_labels(), strict=True)):
        found.setdefault(label, handle)
    return list(found.values()), list(found)


def priors(lines: Sequence[dict]) -> "Figure":
    """Distance of each row under each prior, as a heat map with its numbers."""
    rows = list(dict.fromkeys(line["row"] for line in lines))
    names = sorted({prior for line in lines for prior in line["scores"]})
    values = np.full((len(rows), len(names)), np.nan)
    for i, row in enumerate(rows):
        for j, prior in enumerate(names):
            found = [line["scores"][prior]["frechet"]["value"] for line in lines
                     if line["row"] == row and prior in line["scores"]]  # fmt: skip
            values[i, j] = np.mean(found) if found else np.nan
    figure = _figure((2.5 + 1.2 * len(names), 1.2 + 0.35 * len(rows)), layout="constrained")
    axis = figure.subplots()
    shown = axis.imshow(np.log(values), aspect="auto", cmap="viridis_r")
    axis.set(xticks=range(len(names)), xticklabels=names, yticks=range(len(rows)), yticklabels=rows)
    dark = np.nanmean(np.log(values))
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value):
            axis.text(j, i, f"{value:.3g}", ha="center", va="center", color="w" if np.log(value) > dark else "k")
    axis.set_title(lines[0]["names"]["frechet"], fontsize=9)
    figure.colorbar(shown, label="log of the distance")
    return figure


def gaps(lines: Sequence[dict]) -> "Figure":
    """Where the distance comes from: training images, reconstructions, resampled codes and samples, as bars by row."""
    having = {}
    for line in lines:
        if line.get("gap"):
            having.setdefault(line["row"], []).append(line["gap"])
    figure = _figure((SIZE[0], 1.5 + 0.45 * len(having)), layout="constrained")
    axis, height = figure.subplots(), 0.8 / len(GAP)
    for k, part in enumerate(GAP):
        values = [
            np.mean([gap[part] for gap in found if gap.get(part) is not None] or [np.nan]) for found in having.values()
        ]
        axis.barh(np.arange(len(having)) + k * height, values, height, label=part.replace("_", " "))
    axis.set(yticks=np.arange(len(having)) + 1.5 * height, yticklabels=list(having), xscale="log")
    axis.invert_yaxis()
    axis.set_xlabel(lines[0]["names"]["frechet"])
    axis.legend(fontsize=8)
    return figure


def panel(pictures: Sequence[tuple[str, str, pathlib.Path]]) -> "Figure":
    """Samples, a row for each method and a column for each data set: of (method, data set, picture of samples)."""
    methods, sets = (list(dict.fromkeys(entry[i] for entry in pictures)) for i in (0, 1))
    figure = _figure((2.6 * len(sets), 2.2 * len(methods)), layout="constrained")
    axes = figure.subplots(len(methods), len(sets), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for method, dataset, path in pictures:
        axis = axes[methods.index(method), sets.index(dataset)]
        image = np.asarray(Image.open(path).convert("RGB"))
        side = min(image.shape[:2])
        axis.imshow(image[:side, :side])
        axis.set_title(f"{method}, {dataset}", fontsize=7)
    return figure


def sweep(lines: Sequence[dict]) -> "Figure":
    """Distance against the values of the first swept flag, a point for each training."""
    figure = _figure((5, 3.5), layout="constrained")
    axis, flag = figure.subplots(), sorted(lines[0]["settings"])[0]
    values = [line["settings"][flag] for line in lines]
    scores = [line["scores"][line["prior"]]["frechet"]["value"] for line in lines]
    try:
        axis.plot([float(value) for value in values], scores, "o")
        if min(map(float, values)) > 0:
            axis.set_xscale("log")
    except ValueError:
        axis.plot(values, scores, "o")
    axis.set(xlabel=flag, ylabel=lines[0]["names"]["frechet"], title=lines[0]["row"])
    return figure


def save(figure: "Figure", path: pathlib.Path) -> None:
    """Writes a figure as a PNG, whole or not at all."""
    files.require_folder(path.parent)
    with files.replacing(path) as file:
        figure.savefig(file, format="png", dpi=110, metadata={"Software": None})


def write(lines: Sequence[dict], runs: pathlib.Path, folder: pathlib.Path, say: Callable[[str], None]) -> None:
    """Every figure of scored lines that belong together, one budget and data set, into `folder`."""
    groups = {}
    for line in lines:
        if "scores" in line and not line["settings"]:
            groups.setdefault((line["budget"], line["flags"]["dataset"].rpartition(":")[2]), []).append(line)
    for (budget, dataset), group in groups.items():
        group = sorted(group, key=lambda line: line["scores"][line["prior"]]["frechet"]["value"])
        for kind, draw in (("curves", curves), ("priors", priors), ("gaps", gaps)):
            path = folder / f"ledger_{budget}_{dataset}_{kind}.png"
            save(draw(group), path)
            say(f"  {path}")
    for budget in dict.fromkeys(budget for budget, _ in groups):
        path = folder / f"ledger_{budget}_samples.png"
        pictures = [
            (line["flags"]["method"], line["row"], _samples(runs, line)) for line in lines if line["budget"] == budget
        ]
        pictures = [entry for entry in pictures if entry[2].exists()]
        if pictures:
            save(panel(pictures), path)
            say(f"  {path}")


def _samples(runs, line):
    return runs / line["budget"] / line["row"] / str(line["training"]) / "evaluation" / "samples.png"
