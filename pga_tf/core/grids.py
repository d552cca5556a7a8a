"""Pictures of many images: grids, and scatter plots where the "images" are points in the plane."""

import math
import os
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pga_tf.core import checks, files

READABLE_SIDE = 40  # images smaller than this are enlarged, pixel by pixel
GAP = 2  # grey pixels between images
GREY = 96
WHITE = 255  # of captions, on GREY
FONT_SIZE = 13  # pixels
CAPTIONED_WIDTH = 720  # a captioned grid is enlarged towards it, so that it need not be enlarged where it is shown


def tile(images: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Tiles uint8 images `[N, H, W, C]`, C 1 or 3, row by row into one uint8 picture `[H', W', C]`.

    Images are enlarged to at least `READABLE_SIDE` pixels and set `GAP` grey pixels apart. `columns` defaults to
    the nearest to a square; cells left over are grey. Raises `InputError` on anything else.
    """
    images = _enlarged(images, READABLE_SIDE)
    count, height, width, channels = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    cells = np.full([rows * columns, height + GAP, width + GAP, channels], GREY, np.uint8)
    cells[:count, :height, :width] = images
    cells = cells.reshape(rows, columns, height + GAP, width + GAP, channels)
    picture = cells.transpose(0, 2, 1, 3, 4).reshape(rows * (height + GAP), columns * (width + GAP), channels)
    return picture[:-GAP, :-GAP]


def tile_rows(images: np.ndarray, captions: Sequence[str], columns: int, *, heads: Sequence[str] = ()) -> np.ndarray:
    """Tiles uint8 images `[N, H, W, C]`, C 1 or 3, in bands of rows that belong together, such as images and theirs.

    Image i of band b is the i-th of each of its rows: `images` holds, one after another, `len(captions)` images that
    stand below each other. A band has a row for each caption, which stands to its left, and `columns` images in a row.
    Bands are set apart by more than the images in them. `heads`, `columns` short texts, stand above the columns.

    Returns:
      uint8 picture `[H', W', C]`, of whole pixels for each of the images', near `CAPTIONED_WIDTH` wide. Raises
      `InputError` on anything but such images, and where they are no whole number of columns of a band.
    """
    _require_images(images)
    if len(images) % len(captions):
        checks.refuse(
            "A captioned grid",
            expected=f"a multiple of {len(captions)} images, for the rows {', '.join(map(repr, captions))}",
            received=len(images),
            remedy="give each its partner",
        )
    font = ImageFont.load_default(FONT_SIZE)
    margin = math.ceil(max(map(font.getlength, captions))) + (8 * GAP if any(captions) else 0)
    images = _enlarged(images, max(READABLE_SIDE, CAPTIONED_WIDTH * images.shape[1] // images.shape[2] // columns))
    sets = images.reshape(-1, len(captions), *images.shape[1:])
    height, width, channels = images.shape[1:]
    head = 2 * FONT_SIZE if heads else 0
    apart = 5 * GAP if len(captions) > 1 else GAP
    band = len(captions) * (height + GAP) + apart
    bands = math.ceil(len(sets) / columns)
    shape = head + bands * band - GAP - apart, margin + columns * (width + GAP) - GAP, channels
    picture = np.full(shape, GREY, np.uint8)
    for i, column in enumerate(sets):
        left, top = margin + i % columns * (width + GAP), head + i // columns * band
        for row, image in enumerate(column):
            start = top + row * (height + GAP)
            picture[start : start + height, left : left + width] = image
    drawn = Image.fromarray(picture[..., 0] if channels == 1 else picture)
    pen = ImageDraw.Draw(drawn)
    fill = WHITE if channels == 1 else (WHITE,) * 3
    for i in range(bands):
        for row, caption in enumerate(captions):
            middle = head + i * band + row * (height + GAP) + height // 2
            pen.text((4 * GAP, middle), caption, fill=fill, font=font, anchor="lm")
    for i, text in enumerate(heads):
        pen.text((margin + i * (width + GAP) + width // 2, head // 2), text, fill=fill, font=font, anchor="mm")
    return np.asarray(drawn).reshape(shape)


def panel(
    rows: Sequence[tuple[str, Sequence[np.ndarray | None]]], heads: Sequence[str], *, missing: str = "none"
) -> np.ndarray:
    """Pictures as a table, with a title above each row and a head above each column.

    Args:
      rows: of each its title and a uint8 picture `[H, W, 1 or 3]` for each head, None where there is none and `missing`
        is said instead. Cells are as large as the largest picture.

    Returns:
      uint8 picture `[H', W', 3]`.
    """
    pictures = [picture for _, row in rows for picture in row if picture is not None]
    height, width = (max(picture.shape[axis] for picture in pictures) for axis in (0, 1))
    font, head, apart = ImageFont.load_default(2 * FONT_SIZE), 4 * FONT_SIZE, 10 * GAP
    table = Image.new(
        "RGB", (len(heads) * (width + apart) - apart, head + len(rows) * (head + height + apart) - apart), (GREY,) * 3
    )
    pen = ImageDraw.Draw(table)
    write = lambda x, y, text, anchor: pen.text((x, y), text, fill=(WHITE,) * 3, font=font, anchor=anchor)
    for column, text in enumerate(heads):
        write(column * (width + apart) + width // 2, head // 2, text, "mm")
    for i, (title, row) in enumerate(rows):
        top = head + i * (head + height + apart)
        write(4 * GAP, top + head // 2, title, "lm")
        for column, picture in enumerate(row):
            left = column * (width + apart)
            if picture is None:
                write(left + width // 2, top + head + height // 2, missing, "mm")
            else:
                shown = picture[..., 0] if picture.shape[-1] == 1 else picture
                table.paste(Image.fromarray(shown), (left, top + head))
    return np.asarray(table)


def _require_images(images):
    images = np.asarray(images)
    if images.ndim != 4 or images.dtype != np.uint8 or not len(images) or images.shape[-1] not in (1, 3):
        checks.refuse(
            "A grid of images",
            expected="a non-empty uint8 array [N, H, W, 1 or 3]",
            received=f"{images.dtype} {images.shape}",
            remedy="quantise the images and stack them",
        )


def _enlarged(images, side):
    """Images of whole multiples of their pixels: the fewest that make them `READABLE_SIDE` high, or up to `side`."""
    _require_images(images)
    images = np.asarray(images)
    enlarge = max(math.ceil(READABLE_SIDE / images.shape[1]), side // images.shape[1])
    return images.repeat(enlarge, axis=1).repeat(enlarge, axis=2)


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
