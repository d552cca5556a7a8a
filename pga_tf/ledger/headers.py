"""The comments at the head of a flagfile, as data: whose row it is, how it is scored, what was published."""

import dataclasses
import pathlib
import re

from pga_tf.core import checks, files, flagfiles

FIELDS = ("Paper", "Table", "Command", "Evaluate", "Protocol", "Published", "Ours", "Hardware", "Time")
FIELD = re.compile(rf"^# ({'|'.join(FIELDS)}): *(.*)$", re.MULTILINE)
WIDTH = len("# Published: ")
REMEDY = "write it as the other flagfiles are, or take it from the repository again"

_VALUE = re.compile(r"FID (?P<value>[\d.]+)(?: \+- (?P<error>[\d.]+))?")
_ERROR = re.compile(r"(?P<kind>standard error|deviation) over (?P<count>\d+)")


@dataclasses.dataclass(frozen=True)
class Published:
    """A score as a paper prints it: an FID.

    Attributes:
      error: None where none is printed. kind: what the error is, "standard error" or "deviation"; "" where that is not
        said. count: of how many trainings or trials; 0 where it is not said.
    """

    value: float
    error: float | None = None
    kind: str = ""
    count: int = 0

    def told(self) -> str:
        """As a cell of a table: "10.34 +- 0.15"."""
        return f"{self.value:g}" if self.error is None else f"{self.value:g} +- {self.error:g}"


@dataclasses.dataclass(frozen=True)
class Flagfile:
    """A flagfile: `title`, the first comment; `fields` of the header by name; `values`, texts of its flags by name."""

    name: str
    title: str
    fields: dict[str, str]
    values: dict[str, str]

    @property
    def protocol(self) -> str:
        """Name of the protocol by which its scores are got."""
        return re.search(r"--protocol=(\w+)", self.fields["Evaluate"])[1]

    @property
    def dataset(self) -> str:
        """The data set in a word, as names of flagfiles have it: mnist, celeba, digits."""
        return self.values["dataset"].rpartition(":")[2].replace("celeb_a", "celeba")

    @property
    def published(self) -> Published | None:
        """The first score in its header; None where the row has none of its own."""
        return published(self.fields["Published"])


def published(told: str) -> Published | None:
    """The score that a header's field begins with: "FID 10.34 +- .15 (5,000 samples; standard error over 3 ...)"."""
    found = _VALUE.match(told)
    if not found:
        return None
    error = found["error"] and float(found["error"])
    kind = _ERROR.search(told) if error else None
    return Published(
        float(found["value"]), error or None, kind["kind"] if kind else "", int(kind["count"]) if kind else 0
    )


def read(path: pathlib.Path) -> Flagfile:
    """The flagfile at `path`. Raises `InputError` for one without the fields that every header has."""
    text = files.read_text(path, REMEDY)
    fields = dict(FIELD.findall(text))
    missing = [name for name in FIELDS if name not in fields]
    if missing:
        checks.refuse(
            str(path), expected=f"a header with {', '.join(FIELDS)}", received=f"no {missing[0]}", remedy=REMEDY
        )
    title = text.splitlines()[0].removeprefix("# ").rstrip(".")
    return Flagfile(path.stem, title, fields, values(text, str(path)))


def values(text: str, where: str) -> dict[str, str]:
    """Texts of a flagfile's flags by name; `--name` and `--noname` stand for "true" and "false".

    Raises `InputError`, of `where`, for a line that is no flag.
    """
    plain = re.sub(r"^--no(\w+)$", r"--\1=false", text, flags=re.MULTILINE)
    return flagfiles.values(re.sub(r"^--(\w+)$", r"--\1=true", plain, flags=re.MULTILINE), where, REMEDY)


def with_field(text: str, name: str, told: str) -> str:
    """A flagfile's text with `told` as what a field of its header says."""
    line = f"# {name}:".ljust(WIDTH) + told
    return re.sub(rf"^# {name}:.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
