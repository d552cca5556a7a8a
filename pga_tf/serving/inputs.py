"""What a user names on the client's command line: seeds, codes and images. Nothing is cropped, resized or scaled."""

import pathlib
import re
import zipfile

import numpy as np

from pga_tf.core import checks, grids, photo

ARRAYS = (".npz", ".npy")
UNREADABLE = (OSError, ValueError, EOFError, zipfile.BadZipFile)  # what NumPy says of a file that is no array
MOST_SEEDS = 1_000_000


def seeds(text):
    """int64 seeds `[N]` of "A:B" (A to B - 1) or "A,B,...". Raises `InputError`."""
    span, listed = re.fullmatch(r"(-?\d{1,20}):(-?\d{1,20})", text), re.fullmatch(r"-?\d{1,20}(,-?\d{1,20})*", text)
    found = []
    if span and 0 < int(span[2]) - int(span[1]) <= MOST_SEEDS:
        found = range(int(span[1]), int(span[2]))
    elif listed:
        found = [int(part) for part in text.split(",")]
    if not found or len(found) > MOST_SEEDS or min(found) < -(2**63) or max(found) >= 2**63:
        checks.refuse(
            "--seeds",
            expected=f"A:B with A < B, or a list A,B,...: 1 to {MOST_SEEDS} integers of 64 bits",
            received=text,
            remedy="try --seeds=0:16",
        )
    return np.array(found, np.int64)


def codes(path):
    """Codes `[N, D]` of an .npy file, or of an .npz file that holds them as `codes`, as encode writes it.

    Raises `InputError` for another file, or what it holds being something else.
    """
    try:
        found = _load(path, "codes")
        if found.ndim != 2 or not len(found) or found.dtype.kind not in "fiu":
            raise ValueError(f"{found.dtype} {list(found.shape)}")
        if not np.isfinite(found).all():
            raise ValueError("NaN or infinity")
    except UNREADABLE as error:
        checks.refuse(
            f"--codes={path}",
            expected="an .npy, or an .npz with an array called codes, of finite numbers [N, D]",
            received=str(error),
            remedy="correct the path, or write the file with encode --out=FILE.npz or np.save(FILE, codes)",
        )
    return found


def images(paths):
    """(images, names): float32 `[N, H, W, C]` in [0, 1], and a name for each.

    Args:
      paths: image files, folders of them (their own files, by name), and .npy or .npz (array `images`) of uint8, or
        of floats in [0, 1]; points in the plane `[N, 1, 1, 2]` may be any floats.

    Raises `InputError` for a path with no images, a damaged file, images of several shapes, or other values.
    """
    parts, names = [], []
    for path in map(pathlib.Path, paths):
        if path.suffix in ARRAYS:
            parts.append(_array(path))
            names += [f"{path.name}[{i}]" for i in range(len(parts[-1]))]
        else:
            files = _files(path)
            parts += [_picture(file)[None] for file in files]
            names += [file.name for file in files]
    if not names:
        checks.refuse("--images", expected="at least one image", received="none", remedy="name a file or folder")
    channels = max(part.shape[-1] for part in parts)
    parts = [in_colours(part, channels) for part in parts]
    shapes = {part.shape[1:] for part in parts}
    if len(shapes) > 1:
        checks.refuse(
            "--images",
            expected="images of one shape",
            received=", ".join(str(list(shape)) for shape in sorted(shapes)) + " (height, width, channels)",
            remedy="crop, resize or convert them first",
        )
    return np.concatenate(parts), names


def in_colours(images, channels):
    """Grey images as RGB where `channels` is 3, which loses nothing; all others as they are."""
    return images.repeat(3, axis=-1) if channels == 3 and images.shape[-1] == 1 else images


def _files(path):
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.suffix.lower() in photo.EXTENSIONS and p.name[0] != ".")
        if not found:
            expected = f"images ({', '.join(photo.EXTENSIONS)}) in it"
            checks.refuse(f"--images={path}", expected=expected, received="none", remedy="name another folder")
        return found
    if not path.is_file():
        checks.refuse(f"--images={path}", expected="a file or folder", received="nothing", remedy="correct the path")
    return [path]


def _picture(path):
    try:
        size, colour = photo.header(path)
        pixels = photo.decode(path, (*size, 3 if colour else 1), crop=0)
    except Exception as error:  # PIL answers damaged files with errors of many types
        checks.refuse(
            f"--images: {path}", expected="an image that decodes", received=str(error), remedy="repair or remove it"
        )
    return np.float32(pixels) / np.float32(255.0)


def _load(path, name):
    """The array of an .npy file, or the one called `name` of an .npz file. Raises one of `UNREADABLE`."""
    loaded = np.load(path, allow_pickle=False)
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        if name not in loaded.files:
            raise ValueError(f"arrays {', '.join(loaded.files) or 'none'}, and none called {name}")
        return loaded[name]


def _array(path):
    try:
        loaded = _load(path, "images")
    except UNREADABLE as error:
        checks.refuse(
            f"--images={path}",
            expected="an .npy, or an .npz with an array called images",
            received=str(error),
            remedy="correct the path, or write the file with np.savez(FILE, images=images)",
        )
    if loaded.ndim == 3:
        loaded = loaded[..., None]
    if loaded.ndim != 4:
        _refuse_array(path, f"shape {list(loaded.shape)}")
    if loaded.dtype == np.uint8:
        return np.float32(loaded) / np.float32(255.0)
    if loaded.dtype.kind != "f":
        _refuse_array(path, f"dtype {loaded.dtype}")
    points = grids.is_points(loaded.shape[1:]) and np.isfinite(loaded).all()  # they may lie anywhere
    if loaded.size and not points and not (loaded.min() >= 0 and loaded.max() <= 1):  # also for NaN
        _refuse_array(path, f"values in [{loaded.min():g}, {loaded.max():g}]")
    return np.float32(loaded)


def _refuse_array(path, received):
    checks.refuse(
        f"--images={path}",
        expected="[N, H, W] or [N, H, W, C] of uint8, or of floats in [0, 1]",
        received=received,
        remedy="reshape or scale it; an array in [-1, 1] becomes one in [0, 1] by (x + 1) / 2",
    )
