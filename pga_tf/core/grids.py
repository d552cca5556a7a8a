"""Pictures of many images: grids, and scatter plots where the "images" are points in the plane."""

import math
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image

from pga_tf.core import checks, files

READABLE_SIDE = 40  # images smaller than this are enlarged, pixel by pixel
GAP = 2  # grey pixels between images
GREY = 96


def tile(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Tiles uint8 images `[N, H, W, C]`, C 1 or 3, row by row into one uint8 picture `[H', W', C]`.

    Images are enlarged to at least `READABLE_SIDE` pixels and set `GAP` grey pixels apart. `columns` defaults to
    the nearest to a square; cells left over are grey. Raises `InputError` on anything else.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images) or images.shape[-1] not in (1, 3):
        checks.refuse(
            "A grid of images",
            expected="a non-empty uint8 array [N, H, W, 1 or 3]",
            received=f"{images.dtype} {images.shape}",
            remedy="quantise the images and stack them",
        )
    enlarge = math.ceil(READABLE_SIDE / images.shape[1])
    images = images.repeat(enlarge, axis=1).repeat(enlarge, axis=2)
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cells = np.full([rows * columns, height + GAP, width + GAP, channels], GREY, np.uint8)
    cells[:count, :height, :width] = images
    cells = cells.reshape(rows, columns, height + GAP, width + GAP, channels)
    picture = cells.transpose(0, 2, 1, 3, 4).reshape(rows * (height + GAP), columns * (width + GAP), channels)
    return picture[:-GAP, :-GAP]


def is_points(image_shape: Sequence[int]) -> bool:
    """Whether examples of this shape are points in the plane, `(1, 1, 2)`."""
    return tuple(image_shape) == (1, 1, 2)


def scatter(points: np.ndarray) -> np.ndarray:
    """Plots points `[N, 1, 1, 2]` in [-1, 1] as a uint8 image `[480, 480, 3]`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.8, 4.8), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.scatter(*np.asarray(points, np.float64).reshape(-1, 2).T, s=3, linewidths=0)
    axes.set(xlim=(-1.1, 1.1), ylim=(-1.1, 1.1), aspect="equal")
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def write_png(path: str | os.PathLike, image: np.ndarray) -> None:
    """Writes a uint8 image `[H, W, 1 or 3]` to `path`, whole or not at all."""
    image = np.asarray(image)
    with files.replacing(path) as file:
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(file, format="PNG")
