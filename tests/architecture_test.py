"""The layers: a file imports only from lower levels, and never from another package of its own level."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
LEVELS = {
    "core": 0,
    "settings": 0.5,
    "objectives": 1,
    "networks": 1,
    "data": 1,
    "evaluation": 1,
    "methods": 2,
    "priors": 2,
    "runs": 3,
    "serving": 3,
    "training": 4,
    "ledger": 4,
}
COMMANDS = 5
SHARED_BY_COMMANDS = {"command_line", "flags", "run"}
FILES = sorted(ROOT.glob("pga_tf/**/*.py"))


def _room(parts):
    """Room of a module below pga_tf: its package, or its own name for a module of the top level."""
    return parts[1] if len(parts) > 1 else ""


def _level(room):
    return LEVELS.get(room, COMMANDS)


def _imports(path):
    """Rooms of pga_tf that the file imports from."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: relative import"
            names = (
                [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "pga_tf" else [node.module]
            )
        else:
            continue
        for name in names:
            if name.split(".")[0] == "pga_tf":
                yield _room(name.split("."))


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_downwards(path):
    own = path.relative_to(ROOT).with_suffix("").parts
    room = _room(own)
    for imported in _imports(path):
        allowed = (
            imported == room
            or _level(imported) < _level(room)
            or (_level(room) == COMMANDS and imported in SHARED_BY_COMMANDS)
        )
        assert allowed, f"{'/'.join(own)}.py (level {_level(room)}) imports {imported} (level {_level(imported)})"


def test_every_package_has_a_level():
    packages = {path.parent.name for path in ROOT.glob("pga_tf/*/__init__.py")}
    assert packages == LEVELS.keys()


def test_packages_say_what_their_room_is_for():
    for path in [*ROOT.glob("pga_tf/**/__init__.py"), *ROOT.glob("pipelines/**/__init__.py")]:
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_only_the_shim_imports_tf_gan():
    for path in FILES:
        assert "tensorflow_gan" not in path.read_text() or path.name == "tfgan.py", path


def test_what_few_need_is_imported_where_it_is_used():
    """TFP takes a second to load, TensorFlow Datasets half of one, of every command that imports the file."""
    few = {"tensorflow_probability", "tensorflow_datasets", "sklearn", "matplotlib", "apache_beam"}
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
                assert not few & {name.split(".")[0] for name in names}, f"{path}:{node.lineno}"


def test_nothing_below_the_pipelines_imports_them():
    for path in FILES:
        assert "pipelines" not in _packages(path), path


def test_components_import_no_engine():
    """They are to run under any: here, under Beam, under TFX."""
    for path in ROOT.glob("pipelines/**/*.py"):
        engines = _packages(path) & {"apache_beam", "tfx", "ml_metadata", "kfp"}
        own = {"beam": {"apache_beam"}, "tfx": {"tfx", "ml_metadata"}}
        room = "beam" if path.parent.name == "beam" else path.stem.split("_")[0]
        assert engines <= own.get(room, set()), f"{path} imports {engines}"
    for path in ROOT.glob("pipelines/components/*.py"):
        tree = ast.parse(path.read_text())
        imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert not imported & {"pipelines.runner", "pipelines.store", "pipelines.graph"}, path
        # TFX reads the types of a component's arguments, which that import would turn into texts.
        assert "__future__" not in imported, path


def _packages(path):
    """Top-level names of what a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module]
    return {module.split(".")[0] for module in modules}


def test_the_project_names_no_place_of_a_machine():
    place = re.compile(r"(?:^|[\s\"'=(])/(?:home|mnt|opt|root|srv|tmp|usr|var)\b", re.MULTILINE)
    pipelines = ROOT.glob("pipelines/**/*.py")
    for path in [*FILES, *pipelines, *ROOT.glob("flagfiles/*.flags"), *ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        found = place.search(path.read_text())
        assert not found, f"{path}: {found.group()}"
