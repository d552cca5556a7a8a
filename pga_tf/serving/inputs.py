"""What a user names on the client's command line: seeds, codes and images. Nothing is cropped, resized or scaled."""

import collections
import os
import pathlib
import re
from typing import NamedTuple

import numpy as np

from pga_tf.core import array_files, checks, grids, photo
from pga_tf.core import pictures as pictures_lib

ARRAYS = (".npz", ".npy")
LONGEST_NAME = 255  # bytes, of a file on Linux
MOST_NAMED = 5  # files of a message
MOST_SEEDS = 1_000_000


class Pictures(NamedTuple):
    """Images that were read: float32 `[N, H, W, C]` in [0, 1], a name for each, and each file's own shape by path.

    `told`: lines on what was not read, or not taken as it is stored.
    """

    pixels: np.ndarray
    names: list
    shapes: dict
    told: list


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
        found = array_files.read(path, ["codes"])["codes"]
        if found.ndim != 2 or not len(found) or found.dtype.kind not in "fiu":
            raise ValueError(f"{found.dtype} {list(found.shape)}")
        if not np.isfinite(found).all():
            raise ValueError("NaN or infinity")
    except Exception as error:  # NumPy answers damaged files with errors of many types
        checks.refuse(
            f"--codes={pictures_lib.shown(path)}",
            expected="an .npy, or an .npz with an array called codes, of finite numbers [N, D]",
            received=str(error),
            remedy="correct the path, or write the file with encode --out=FILE.npz or np.save(FILE, codes)",
        )
    return found


def paths(text):
    """The paths of a list with commas between them; a comma may also be part of a path, if that is there.

    The longest path that exists wins: `a,b.png` is one file where there is one of that name. Spaces around a path count
    only where it exists with them. Raises `InputError` for an empty path.
    """
    parts, found = text.split(","), []
    while parts:
        count = _longest_there(parts)
        path = ",".join(parts[:count])
        if not path.strip():
            checks.refuse(
                "--images",
                expected="paths with one comma between them",
                received=pictures_lib.shown(text),
                remedy="leave out the comma that is too many",
            )
        found.append(path if os.path.lexists(path) else path.strip())
        parts = parts[count:]
    return found


def _longest_there(parts):
    """How many of `parts` make the longest path that exists; 1 if none does."""
    longest, path = 1, parts[0]
    for count, part in enumerate(parts[1:], 2):
        path += "," + part
        folder, name = os.path.split(path)
        if ("," in folder and not os.path.isdir(folder)) or len(os.fsencode(name)) > LONGEST_NAME:
            break  # whatever follows would lie in that folder, or have a longer name
        if os.path.lexists(path):
            longest = count
    return longest


def images(paths, value_range=None):
    """The `Pictures` of paths. Grey ones are RGB where others have colours.

    Args:
      paths: image files, folders of them (their own files, by name), and .npy or .npz (array `images`) of uint8, or
        of floats in [0, 1]; points in the plane `[N, 1, 1, 2]` may be any floats.
      value_range: (low, high) stored values that become 0 and 1 in files of more than 8 bits and in arrays.

    Raises `InputError` for a path with no images, a damaged file, images of several shapes, or other values.
    """
    parts, names, shapes, told, remarks = [], [], {}, [], pictures_lib.Remarks()
    for path in map(pathlib.Path, paths):
        if path.suffix.lower() in ARRAYS:
            read = {path: _array(path, value_range, told)}
            names += [f"{path.name}[{i}]" for i in range(len(read[path]))]
        else:
            read = {file: _picture(file, value_range, remarks)[None] for file in _files(path, told)}
            names += [file.name for file in read]
        parts += read.values()
        shapes |= {file: part.shape[1:] for file, part in read.items()}
    if not names:
        checks.refuse("--images", expected="at least one image", received="none", remedy="name a file or folder")
    channels = max(shape[-1] for shape in shapes.values())
    _require_alike({file: (*shape[:-1], _brought_to(shape[-1], channels)) for file, shape in shapes.items()})
    pixels = np.concatenate([_in_colours(part, channels) for part in parts])
    return Pictures(pixels, names, shapes, told + remarks.lines())


def in_colours(pictures, channels):
    """Pixels of `Pictures` for a model of so many channels: grey as RGB for 3; colours for 1 are an `InputError`."""
    coloured = [file for file, shape in pictures.shapes.items() if shape[-1] == 3]
    if channels == 1 and coloured:
        grey = len(pictures.shapes) - len(coloured)
        checks.refuse(
            "--images",
            expected="grey images, which the model was trained on" + (f", as {grey} of these are" if grey else ""),
            received=f"colours in {_listed(coloured)}",
            remedy="convert to grey what should be, or leave it out",
        )
    return _in_colours(pictures.pixels, channels)


def _brought_to(own, channels):
    return 3 if (own, channels) == (1, 3) else own


def _in_colours(images, channels):
    return images.repeat(3, axis=-1) if (images.shape[-1], channels) == (1, 3) else images


def _require_alike(shapes):
    """Names the files whose shape, of a dict by path, is not the commonest one."""
    common, count = collections.Counter(shapes.values()).most_common(1)[0]
    others = [file for file, shape in shapes.items() if shape != common]
    if others:
        checks.refuse(
            "--images",
            expected=f"images of one shape (height, width, channels): {count} of {len(shapes)} have {list(common)}",
            received=_listed([f"{file} {list(shapes[file])}" for file in others]),
            remedy="crop, resize or convert them first, or leave them out",
        )


def _listed(files):
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    return ", ".join(pictures_lib.shown(str(file)) for file in files[:MOST_NAMED]) + more


def _files(path, told):
    if path.is_dir():
        found = pictures_lib.listing(str(path), below=False)
        if not found.names:
            expected = "images in it: files whose names end in .jpg, .png, .webp, .tif and the like"
            received = "; ".join(["none", *(line.removeprefix("warning: ") for line in found.lines())])
            what = f"--images={pictures_lib.shown(path)}"
            checks.refuse(what, expected=expected, received=received, remedy="name another folder")
        told += found.lines()
        return [path / name for name in found.names]
    if not path.is_file():
        received = "something else" if path.exists() else "nothing there"
        checks.refuse(
            f"--images={pictures_lib.shown(path)}",
            expected="a file or folder",
            received=received,
            remedy="correct the path",
        )
    return [path]


def _picture(path, value_range, remarks):
    try:
        size, colour = photo.header(path)
        picture = photo.read(path, (*size, 3 if colour else 1), crop=0, value_range=value_range, frames=True)
    except Exception as error:  # PIL answers damaged files with errors of many types
        checks.refuse(
            f"--images: {pictures_lib.shown(path)}",
            expected="an image that decodes",
            received=str(error),
            remedy="repair or remove it",
        )
    remarks.add(str(path), picture)
    return np.float32(picture.pixels) / np.float32(255.0)


def _array(path, value_range, told):
    try:
        loaded = array_files.read(path, ["images"])["images"]
    except checks.InputError:
        raise
    except Exception as error:  # NumPy answers damaged files with errors of many types
        checks.refuse(
            f"--images={pictures_lib.shown(path)}",
            expected="an .npy, or an .npz with an array called images",
            received=str(error),
            remedy="correct the path, or write the file with np.savez(FILE, images=images)",
        )
    if loaded.ndim == 3:
        loaded = loaded[..., None]
    if loaded.ndim != 4:
        _refuse_array(path, f"shape {list(loaded.shape)}")
    if loaded.dtype == np.uint8 and not value_range:
        return np.float32(loaded) / np.float32(255.0)
    if loaded.dtype.kind not in ("fiub" if value_range else "f"):
        _refuse_array(path, f"dtype {loaded.dtype}")
    finite = not loaded.size or bool(np.isfinite(loaded).all())
    if finite and grids.is_points(loaded.shape[1:]) and not value_range:
        return np.float32(loaded)  # they may lie anywhere
    tolerance = array_files.TOLERANCE
    low, high = (loaded.min(), loaded.max()) if loaded.size else (0, 0)
    if not finite or (not value_range and not -tolerance <= low <= high <= 1 + tolerance):
        _refuse_array(path, f"values in [{low:g}, {high:g}]")
    least, most = value_range or (0.0, 1.0)
    if low < least or high > most:
        shown = f"{pictures_lib.shown(path)}: they reach from {low:.9g} to {high:.9g}"
        told.append(f"warning: values outside [{least:g}, {most:g}] were clipped in {shown}")
    return np.float32((np.clip(loaded, least, most) - least) / (most - least))


def _refuse_array(path, received):
    checks.refuse(
        f"--images={pictures_lib.shown(path)}",
        expected="[N, H, W] or [N, H, W, C] of uint8, of floats in [0, 1], or with --value_range of any numbers",
        received=received,
        remedy="reshape it, or say the range of its values, as in --value_range=-1,1",
    )
