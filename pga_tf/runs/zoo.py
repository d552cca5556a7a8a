"""The zoo: trained models that come with this package, as packed runs in pga_tf/zoo/NAME/, which are only read."""

import os
import pathlib

from pga_tf.core import checks, commands, files

FOLDER = pathlib.Path(__file__).parents[1] / "zoo"
PREFIX = "zoo/"


def names() -> list[str]:
    """What the models of the zoo are called: ["zoo/cifar10", ...]."""
    return sorted(f"{PREFIX}{path.parent.name}" for path in FOLDER.glob("*/config.flags"))


def is_called(workdir: str | os.PathLike) -> bool:
    """Whether `workdir` is the name of a model of the zoo, and no folder that is there."""
    path = files.home(workdir)
    return path.rstrip("/") in names() and not os.path.exists(path)


def located(workdir: str | os.PathLike) -> str:
    """Path of the run that a user calls `workdir`: zoo/NAME is a model of the zoo, unless there is a folder called so.

    Raises `InputError` for a name that none of them has.
    """
    path = files.home(workdir)
    if not path.startswith(PREFIX) or os.path.exists(path):
        return path
    checks.require_member(f"--workdir={path}, where there is no folder", path.rstrip("/"), names())
    return str(FOLDER / path.rstrip("/").removeprefix(PREFIX))


def holds(workdir: str | os.PathLike) -> bool:
    """Whether a run lies in the zoo, wherever it is said to: such runs are not written to."""
    return FOLDER.resolve() in pathlib.Path(files.home(workdir)).resolve().parents


def told(workdir: str | os.PathLike) -> str:
    """What `located` finds a run by, without where this package lies: zoo/NAME, or the path of any other run."""
    return f"{PREFIX}{pathlib.Path(workdir).resolve().name}" if holds(workdir) else str(workdir)


def require_own(workdir: str | os.PathLike, what: str) -> None:
    """Raises `InputError` where a run lies in the zoo and `what` would write into it."""
    if holds(workdir):
        name = told(workdir)
        copy = commands.line("export", workdir=name, pack=f"runs/{name.removeprefix(PREFIX)}")
        checks.refuse(
            what, expected="a run of your own", received=f"{name}, which is only read", remedy=f"copy it: {copy}"
        )
