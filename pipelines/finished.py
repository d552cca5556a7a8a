"""What a step has made and is not yet entered: a note beside its folders, by which a kill at any point loses nothing.

A runner writes the note once the work of a step is done, before its folders are moved into place. Whoever finds it
after a kill knows each folder by the hash of its files, wherever the kill left it.
"""

import dataclasses
import hashlib
import json
import pathlib
import shutil

from pga_tf.core import files

STAGING, NOTE = ".staging", "finished.json"


@dataclasses.dataclass(frozen=True)
class Finished:
    """What an execution has made: hashes of its folders by output, its figures, and how many seconds it took."""

    execution: int | str  # a name, where it has no number
    digests: dict[str, str]
    figures: dict
    seconds: float


def write(staging, made):
    """Notes in the folder `staging` that what lies there is the `Finished` `made`; both are on the disk afterwards."""
    note = json.dumps(dataclasses.asdict(made))
    for output in made.digests:
        files.sync_below(staging / output)
    files.write_text(staging / NOTE, note)
    files.sync(staging)


def read(staging):
    """The `Finished` of a folder, or None where its note cannot be read."""
    try:
        made = Finished(**json.loads((staging / NOTE).read_text()))
        return made if isinstance(made.digests, dict) else None
    except (OSError, ValueError, TypeError):
        return None


def notes(root):
    """(name of the component, folder of the note, its `Finished` or None) for each note below a pipeline's root."""
    for note in sorted(pathlib.Path(root).glob(f"*/{STAGING}/*/{NOTE}")):
        yield note.parents[2].name, note.parent, read(note.parent)


def found(made, staging, places):
    """Where each output of a `Finished` lies whole, in its place or in `staging`: dict, or None if one is nowhere."""
    lies = {}
    for output, digest in made.digests.items():
        candidates = (places[output], staging / output)
        whole = [folder for folder in candidates if folder.is_dir() and digest_of(folder) == digest]
        if not whole:
            return None
        lies[output] = whole[0]
    return lies


def take_back(root, complete):
    """For a runner that cannot enter what a kill left finished: brings it back to where it was worked on.

    A step that goes on finds all of its work there, and ends at once. Of executions that are complete, whose ids
    `complete` has as texts, what the kill left beside them is removed.
    """
    for component, staging, made in notes(root):
        if made and str(made.execution) in complete:
            shutil.rmtree(staging)
            continue
        places = {output: root / component / output / str(made.execution) for output in made.digests} if made else {}
        lies = found(made, staging, places) if made else None
        for output, folder in (lies or {}).items():
            if folder == places[output]:
                shutil.rmtree(staging / output, ignore_errors=True)  # what a move between disks left
                shutil.move(folder, staging / output)
        (staging / NOTE).unlink()


def digest_of(folder, names=None):
    """Hash of the names and contents of all files below a folder, or of those named: 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name in sorted(_files(folder) if names is None else map(pathlib.Path, names)):
        with open(folder / name, "rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        digest.update(f"{name}\0{content}\0".encode())
    return digest.hexdigest()[:16]


def listing(folder):
    """dict of the names of all files below a folder to their [size in bytes, time of change in ns]."""
    statuses = {str(name): (folder / name).stat() for name in _files(folder)}
    return {name: [status.st_size, status.st_mtime_ns] for name, status in sorted(statuses.items())}


def _files(folder):
    return [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
