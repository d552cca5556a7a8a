"""The documentation as a site: it builds without a warning, shows what is public, and loads nothing from elsewhere.

Public is what the pages of `docs/reference` show: the names there, and of a module or class all that is not private.
"""

import collections
import dataclasses
import html.parser
import importlib
import inspect
import os
import pathlib
import re
import subprocess
import sys
import types
import urllib.parse

import pytest

import pga_tf

ROOT = pathlib.Path(__file__).parents[1]
SHOWN = re.compile(r"^::: (\S+)(?:\n +options: \{(.*)\})?", re.MULTILINE)
# What Keras calls, and documents: overrides of these need no docstring of their own.
OF_KERAS = {"build", "call", "compute_output_shape", "train_step", "test_step"}
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")


class Page(html.parser.HTMLParser):
    """Of a page: `ids`, what it `links` to and `loads`, and the prose of each section, without its signature."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.links, self.loads, self.prose = set(), [], [], collections.defaultdict(str)
        self._section, self._signature = None, 0
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids.add(given.get("id"))
        if tag in HEADINGS and "id" in given:
            self._section = given["id"]
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        self.loads += [given[name] for name in ("src", "srcset", "data", "poster") if name in given]
        self.loads += [given["href"]] if tag == "link" and "href" in given else []
        if tag == "div":
            self._signature += 1 if self._signature or "doc-signature" in given.get("class", "") else 0

    def handle_endtag(self, tag):
        if tag == "div" and self._signature:
            self._signature -= 1

    def handle_data(self, data):
        if not self._signature:
            self.prose[self._section] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the built site, and its pages by their path below it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr
    return folder, {path.relative_to(folder).as_posix(): Page(path) for path in folder.rglob("*.html")}


def test_every_name_of_the_package_is_in_the_reference_with_its_arguments(site):
    _, pages = site
    prose = {name: text for page in pages.values() for name, text in page.prose.items()}
    for name in pga_tf.__all__:
        value = getattr(pga_tf, name)
        command = (ROOT / "pga_tf" / f"{name}.py").exists()  # `train` and `evaluate`, whose names are modules' too
        described = f"{value.__module__}.{name}" if command else f"pga_tf.{name}"
        assert len(prose[described].split()) > 6, f"{described} says nothing of itself"
        arguments = set()
        if inspect.isfunction(value):
            arguments = set(inspect.signature(value).parameters)
        else:
            owner = next(base for base in value.__mro__ if "__init__" in vars(base))
            if owner.__module__.startswith("pga_tf."):
                arguments = set(inspect.signature(owner.__init__).parameters) - {"self"}
                described = described if owner is value else f"{owner.__module__}.{owner.__name__}"
        missing = {argument for argument in arguments if not re.search(rf"\b{argument}\b", prose[described])}
        assert not missing, f"{described} does not say what {missing} are"


def test_options_show_their_help_unit_and_source(site):
    _, pages = site
    prose = {name: " ".join(text.split()) for page in pages.values() for name, text in page.prose.items()}
    checked = 0
    for name, cls in shown():
        for field in dataclasses.fields(cls) if inspect.isclass(cls) and name.endswith("Options") else ():
            if field.name not in cls.__annotations__ or not field.metadata:
                continue  # of a base, which is shown there, or no `option`
            named, defined = f"{name}.{field.name}", f"{cls.__module__}.{cls.__name__}.{field.name}"
            text = prose.get(named) or prose[defined]
            for part in ("help", "unit", "source"):
                said = " ".join((field.metadata.get(part) or "").split()).replace("`", "").rstrip(".")
                assert said in text, f"{name}.{field.name}: {part} is not in {text!r}"
            checked += 1
    assert checked > 40


def test_links_within_the_site_resolve(site):
    folder, pages = site
    for path, page in pages.items():
        if path == "404.html":
            continue  # its links are from the root of a server
        for link in page.links:
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (folder / path).parent / urllib.parse.unquote(parts.path) if parts.path else folder / path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), f"{path} links to {link}"
            if parts.fragment and target.suffix == ".html":
                ids = pages[target.resolve().relative_to(folder.resolve()).as_posix()].ids
                assert urllib.parse.unquote(parts.fragment) in ids, f"{path} links to {link}"


def test_the_site_loads_nothing_from_elsewhere(site):
    folder, pages = site
    elsewhere = re.compile(r"^\s*(?:https?:)?//")
    for path, page in pages.items():
        assert not [asset for asset in page.loads if elsewhere.match(asset)], path
        assert "mermaid" not in (folder / path).read_text(), f"{path}: the theme fetches Mermaid from elsewhere"
    for style in folder.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", style.read_text()), style


def shown():
    """(dotted name, value) of all that the reference shows."""
    for page in sorted(ROOT.glob("docs/reference/*.md")):
        for name, options in SHOWN.findall(page.read_text()):
            value = resolved(name)
            yield name, value
            if isinstance(value, types.ModuleType) and "members: false" not in options:
                for part, member in vars(value).items():
                    own = inspect.isfunction(member) or inspect.isclass(member)
                    if own and not part.startswith("_") and member.__module__ == value.__name__:
                        yield f"{name}.{part}", member


def resolved(name):
    """What a dotted name stands for: a module, or the attribute of one."""
    module, _, last = name.rpartition(".")
    if name != "pga_tf" and not hasattr(importlib.import_module(module), last):
        return importlib.import_module(name)
    return getattr(importlib.import_module(module), last)


def functions(name, value):
    """(dotted name, function) of a function, or of a class's own methods that are not private."""
    if inspect.isfunction(value):
        yield name, value
    for part, member in vars(value).items() if inspect.isclass(value) else ():
        member = getattr(member, "fget", getattr(member, "func", getattr(member, "__func__", member)))
        own = inspect.isfunction(member) and member.__module__ == value.__module__
        if own and (not part.startswith("_") or (part == "__init__" and not dataclasses.is_dataclass(value))):
            yield f"{name}.{part}", member


@pytest.mark.parametrize("page", sorted(ROOT.glob("docs/reference/*.md")), ids=lambda path: path.stem)
def test_pages_of_the_reference_name_what_there_is(page):
    for name, _ in SHOWN.findall(page.read_text()):
        assert resolved(name) is not None


def test_what_is_public_has_type_hints():
    lacking = []
    for name, value in shown():
        for path, function in functions(name, value):
            parameters = list(inspect.signature(function).parameters.values())
            hinted = [p.annotation is not p.empty for p in parameters if p.name not in ("self", "cls")]
            hinted.append(
                path.endswith("__init__") or inspect.signature(function).return_annotation is not inspect._empty
            )
            lacking += [] if all(hinted) else [f"{path}: type hints"]
    assert not lacking, "\n".join(lacking)


def test_what_is_public_has_a_docstring():
    lacking = []
    for name, value in shown():
        automatic = dataclasses.is_dataclass(value) and (value.__doc__ or "").startswith(f"{value.__name__}(")
        lacking += [name] if automatic or not value.__doc__ else []
        for path, _ in functions(name, value) if inspect.isclass(value) else ():
            part = path.rpartition(".")[2]
            if part not in {"__init__", *OF_KERAS} and not inspect.getdoc(
                getattr(value, part)
            ):  # a base's docstring counts
                lacking.append(path)
    assert not lacking, "\n".join(lacking)
