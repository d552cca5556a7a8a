"""The pictures of a folder: which files are used, which are passed over and why, and what was made of those used."""

import collections
import dataclasses
import os
import stat
from collections.abc import Iterable, Iterator

from pga_tf.core import photo

NAMED = 5  # files that a line names
TRAIN, TEST, VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation", "dev")

# Folders that programs keep beside a user's own, beyond those whose names begin with a dot.
_PRIVATE = {"@eadir", "__macosx", "$recycle.bin", "system volume information", "lost+found", "thumbs"}
# Pictures all the same, in formats that FORMATS has not.
_OTHER_PICTURES = (
    ".heic", ".heif", ".jxl", ".svg", ".ico", ".icns", ".eps", ".exr", ".hdr", ".pfm", ".fits", ".dcm", ".cr2", ".cr3",
    ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".xcf", ".jp2000", ".jxr", ".wdp", ".ras", ".xpm", ".xbm",
)  # fmt: skip
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
}  # fmt: skip
_BOXES = {b"ftypavif": "AVIF", b"ftypheic": "HEIC", b"ftypmif1": "HEIC"}  # from the fifth byte on

HIDDEN_FOLDER = "pictures in hidden folders, or in such as programs keep"
HIDDEN = "hidden pictures"
NO_NAME = "pictures by their content, whose names lack an ending such as .jpg"
OTHER_FORMAT = "pictures in formats that are not read here, to be converted to PNG or JPEG"
NEITHER = "pictures outside the folders to train and to test on"
BELOW = "folders below, which are not looked into"
NO_FILE = "no files that can be read"
CLOSED = "folders that cannot be opened"
SEEN = "links to folders that are read already"
NO_PICTURE = "no pictures"  # what is passed over without a warning


@dataclasses.dataclass(frozen=True)
class Listing:
    """What lies below a folder.

    Attributes:
      names: paths of the pictures below it, relative to it and sorted. sizes: of their files in bytes, by name.
      splits: {split: the names in it} where the folder has folders for them (train, test or val), else empty.
      passed_over: {reason: names of what is not used}.
    """

    names: list[str]
    sizes: dict[str, int]
    splits: dict[str, list[str]]
    passed_over: dict[str, list[str]]

    def lines(self) -> list[str]:
        """What a user should know of it; a line that begins with "warning:" tells of pictures that are not used."""
        found = []
        if self.splits:
            counted = ", ".join(f"{len(names)} to {split}" for split, names in self.splits.items())
            found.append(f"the folder's own splits: {counted}")
        for reason, names in self.passed_over.items():
            if reason == NO_PICTURE:
                found.append(f"{len(names)} passed over, {reason}: {_endings(names)}")
            else:
                found.append(f"warning: {len(names)} passed over, {reason}: {some(names)}")
        return found


def listing(root: str, *, below: bool = True) -> Listing:
    """The `Listing` of the existing folder `root`; without `below` of its own files alone.

    A picture is a file with an ending of `photo.EXTENSIONS` that is not hidden and lies in no hidden folder. Links are
    followed. Where `root`, or the one folder that it holds, has a folder named train and one named test or val,
    pictures in them make the splits, test going before val, and all others are passed over.
    """
    sizes, passed_over = {}, collections.defaultdict(list)
    for name, reason, size in _walk(root, below):
        if reason:
            passed_over[reason].append(name)
        else:
            sizes[name] = size
    splits = _own_splits(sizes) if below else {}
    if splits:
        used = {name for members in splits.values() for name in members}
        passed_over[NEITHER] += [name for name in sizes if name not in used]
        sizes = {name: size for name, size in sizes.items() if name in used}
    order = (HIDDEN_FOLDER, HIDDEN, NO_NAME, OTHER_FORMAT, NEITHER, BELOW, NO_FILE, CLOSED, SEEN, NO_PICTURE)
    return Listing(
        sorted(sizes),
        sizes,
        {split: sorted(members) for split, members in splits.items()},
        {reason: sorted(passed_over[reason]) for reason in order if passed_over.get(reason)},
    )


def shown(name: str) -> str:
    """`name` in one line of plain text, whatever characters and bytes a disk allowed in it."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def some(names: Iterable[str]) -> str:
    """The first of `names`, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(map(shown, names[:NAMED])) + more


class Remarks:
    """What was made of pictures that were read, counted by kind."""

    def __init__(self):
        self._pictures: dict[str, photo.Picture] = {}

    def add(self, name: str, picture: photo.Picture) -> None:
        if picture.facts():
            known = self._pictures.get(name, picture)
            self._pictures[name] = dataclasses.replace(picture, pixels=None, frames=max(picture.frames, known.frames))

    def lines(self) -> list[str]:
        """A line for each kind of change; "warning:" before what is likely to spoil the pictures."""
        return [*self._deep(), *self._others()]

    def _deep(self) -> Iterator[str]:
        by_range = collections.defaultdict(dict)
        for name, picture in sorted(self._pictures.items()):  # they came from threads, in any order
            if picture.deep:
                by_range[tuple(picture.deep[2])][name] = picture.deep[:2]
        for (least, most), found in by_range.items():
            low, high = min(low for low, _ in found.values()), max(high for _, high in found.values())
            line = f"more than 8 bits in {len(found)}, values in [{low:g}, {high:g}], [{least:g}, {most:g}] "
            line += f"became [0, 255]: {some(found)}"
            dark = high - low < (most - least) / 2
            meant = f"; was another range meant? Pass --value_range={photo.likely_range(low, high)}"
            yield f"warning: {line}{meant}" if dark else line

    def _others(self) -> Iterator[str]:
        kinds = {
            "warning: values outside --value_range were clipped in": lambda picture: picture.clipped,
            "warning: a fourth band that is no transparency was left out of": lambda picture: picture.left_out,
            "transparency was put on white in": lambda picture: picture.transparent,
            "of several frames or pages the first was taken in": lambda picture: picture.frames > 1,
        }
        for kind, holds in kinds.items():
            names = [name for name, picture in sorted(self._pictures.items()) if holds(picture)]
            if names:
                yield f"{kind} {len(names)}: {some(names)}"


def _walk(root: str, below: bool) -> Iterator[tuple[str, str, int]]:
    """(path below `root`, why it is passed over or "", size) of what is a picture or may be taken for one."""
    pending, seen = [("", False)], {_identity(os.stat(root))}
    while pending:
        folder, hidden = pending.pop()
        for entry in _entries(os.path.join(root, folder)):
            if entry is None:
                yield folder, CLOSED, 0
                continue
            name = os.path.join(folder, entry.name)
            try:
                status = entry.stat()
            except OSError:  # a link to nowhere, or one that leads back to itself
                yield name, NO_FILE if _ending(name) in photo.EXTENSIONS else NO_PICTURE, 0
                continue
            if not stat.S_ISDIR(status.st_mode):
                reason = _why_not(entry, status)
                if not hidden or reason != NO_PICTURE:  # a program's own files are of no interest
                    yield name, HIDDEN_FOLDER if hidden else reason, status.st_size
            elif not below:
                yield name, BELOW, 0
            elif _identity(status) in seen:
                yield name, SEEN, 0
            else:
                seen.add(_identity(status))
                private = entry.name.startswith(".") or entry.name.lower() in _PRIVATE
                pending.append((name, hidden or private))


def _entries(folder):
    """The entries of a folder one by one, for each holds what is known of its file; None where it cannot be read."""
    try:
        with os.scandir(folder) as found:
            yield from found
    except OSError:
        yield None


def _identity(status):
    return status.st_dev, status.st_ino


def _ending(name):
    return os.path.splitext(name)[1].lower()


def _why_not(entry, status):
    """Why a file is no picture to be used; "" for one that is."""
    picture = _ending(entry.name) in photo.EXTENSIONS
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
        return NO_FILE if picture else NO_PICTURE
    if entry.name.startswith("."):
        return HIDDEN if picture else NO_PICTURE
    if picture:
        return ""
    if _ending(entry.name) in _OTHER_PICTURES:
        return OTHER_FORMAT
    return NO_NAME if _format_of(entry.path) else NO_PICTURE


def _format_of(path):
    """The picture format that a file's first bytes tell of, or None."""
    try:
        with open(path, "rb") as file:
            start = file.read(16)
    except OSError:
        return None
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    return _BOXES.get(start[4:12]) or next((name for s, name in _SIGNATURES.items() if start.startswith(s)), None)


def _own_splits(names):
    """{"train": names, "test": names} by the folders at the top, or below the one folder at the top; {} without."""
    prefix = ""
    while True:
        tops = {name[len(prefix) :].split(os.sep, 1)[0] if os.sep in name[len(prefix) :] else "" for name in names}
        found = {top.lower(): top for top in sorted(tops) if top}
        train = next((found[name] for name in TRAIN if name in found), None)
        test = next((found[name] for name in (*TEST, *VALIDATION) if name in found), None)
        if train and test:
            folders = {"train": os.path.join(prefix, train, ""), "test": os.path.join(prefix, test, "")}
            return {split: [name for name in names if name.startswith(top)] for split, top in folders.items()}
        if len(tops) != 1 or "" in tops:
            return {}
        prefix = os.path.join(prefix, *tops, "")


def _endings(names):
    counted = collections.Counter(_ending(name) or "no ending" for name in names)
    common = ", ".join(f"{shown(ending)} {count}" for ending, count in counted.most_common(NAMED))
    return common + (", ..." if len(counted) > NAMED else "")
