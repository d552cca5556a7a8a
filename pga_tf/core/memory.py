"""What memory this process may still take, for what is to be refused before it is allocated."""

import pathlib

import psutil

from pga_tf.core import checks

_UNLIMITED = 2**60
# A container's own limit and use: cgroup version 2, then 1.
_CONTAINER = (("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))


def available() -> int:
    """Bytes of memory that are free on this machine and within the limits of its container."""
    of_containers = (limit - used for limit, used in map(_of_container, _CONTAINER))
    return max(min(psutil.virtual_memory().available, *of_containers), 0)


def text(size: float) -> str:
    """`size` bytes as a person reads them, such as 1.5 GiB."""
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            return f"{size:,.4g} {unit}"
        size /= 1024
    raise AssertionError


def require(what: str, size: float, *, remedy: str) -> None:
    """Raises `InputError` if `size` bytes, for what the user asked for by `what`, are more than are available."""
    free = available()
    if size > free:
        checks.refuse(
            what,
            expected=f"what fits in the {text(free)} of memory that are free",
            received=f"what takes {text(size)} or more",
            remedy=remedy,
        )


def _of_container(names):
    try:
        limit, used = (pathlib.Path("/sys/fs/cgroup", name).read_text().strip() for name in names)
        return int(limit), int(used)  # "max" is no number: no limit
    except (OSError, ValueError):
        return _UNLIMITED, 0
