"""A hash of the code that a step depends on: its file, every file of this repository that it imports, the libraries."""

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import pathlib
import sys

ROOT = pathlib.Path(__file__).parents[1]
OURS = ("pga_tf", "pipelines")
HAVE_DOCSTRINGS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
PAGES = ROOT / "pga_tf" / "core" / "pages.py"  # renders templates: its own, and those beside whoever imports it
LIBRARIES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "pillow")


def digest(function):
    """16 hexadecimal digits for the function of a step, which differ where its code or that of a library does.

    Imports count wherever they stand in a file, so a step depends on more than it runs, never on less. Comments,
    docstrings and layout do not count: mending them trains nothing anew.
    """
    found = hashlib.sha256()
    for path in files(pathlib.Path(sys.modules[function.__module__].__file__).resolve()):
        found.update(f"{path.name} {_read(path)[0]}\0".encode())
        if path == PAGES or PAGES in _read(path)[1]:
            for template in sorted((path.parent / "templates").glob("*")):
                found.update(template.read_bytes() + b"\0")
    for library in LIBRARIES:
        found.update(f"{library} {importlib.metadata.version(library)}\0".encode())
    return found.hexdigest()[:16]


def of_own_networks(paths):
    """16 hexadecimal digits for the files of a user's own networks, and not what those import; "" for none.

    Args:
      paths: dict of role to PACKAGE.MODULE:FUNCTION.
    """
    if not paths:
        return ""
    found = hashlib.sha256()
    for role, path in sorted(paths.items()):
        spec = importlib.util.find_spec(path.partition(":")[0])
        code = _read(pathlib.Path(spec.origin))[0] if spec and spec.origin else ""
        found.update(f"{role} {path} {code}\0".encode())
    return found.hexdigest()[:16]


def files(start):
    """The file `start` and all of ours that it imports, at whatever remove, sorted."""
    seen, waiting = {start}, [start]
    while waiting:
        for path in _read(waiting.pop())[1]:
            if path not in seen:
                seen.add(path)
                waiting.append(path)
    return sorted(seen)


def _read(path):
    """(hash of what the file says to Python, those of our files that it imports)."""
    # Keyed by the time of change: a file may be edited under a running interpreter.
    return _parsed(path, path.stat().st_mtime_ns)


@functools.cache
def _parsed(path, _):
    tree, names = ast.parse(path.read_text()), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "typing.TYPE_CHECKING":
            node.body = [ast.Pass()]  # editors read it and nothing runs it
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, HAVE_DOCSTRINGS) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] in OURS:
            # Importing a module runs the packages above it.
            for end in range(1, len(parts) + 1):
                place = ROOT.joinpath(*parts[:end])
                found |= {path for path in (place.with_suffix(".py"), place / "__init__.py") if path.is_file()}
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest(), frozenset(found)
