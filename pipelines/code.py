"""A hash of the code that a step depends on: its file, every file of this repository that it imports, the libraries."""

import ast
import functools
import hashlib
import importlib.metadata
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
OURS = ("pga_tf", "pipelines")
LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pillow")


def digest(function):
    """16 hexadecimal digits for the function of a step, which differ where its code or that of a library does.

    Imports count wherever they stand in a file, so a step depends on more than it runs, never on less.
    """
    found = hashlib.sha256()
    for path in files(pathlib.Path(sys.modules[function.__module__].__file__).resolve()):
        found.update(f"{path.name}\0".encode() + path.read_bytes() + b"\0")
    for library in LIBRARIES:
        found.update(f"{library} {importlib.metadata.version(library)}\0".encode())
    return found.hexdigest()[:16]


def files(start):
    """The file `start` and all of ours that it imports, at whatever remove, sorted."""
    seen, waiting = {start}, [start]
    while waiting:
        for path in _imported(waiting.pop()):
            if path not in seen:
                seen.add(path)
                waiting.append(path)
    return sorted(seen)


def _imported(path):
    # Keyed by the time of change: tests and notebooks edit files under a running interpreter.
    return _parse(path, path.stat().st_mtime_ns)


@functools.cache
def _parse(path, _):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] in OURS:
            # Importing a module runs the packages above it.
            for end in range(1, len(parts) + 1):
                place = ROOT.joinpath(*parts[:end])
                found |= {path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()}
    return frozenset(found)
