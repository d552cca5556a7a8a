"""What is written from the lines of results: docs/ledger.md, the README's table, the headers of flagfiles."""

import itertools
import pathlib
import re
from collections.abc import Mapping, Sequence

from pga_tf.core import checks, files
from pga_tf.evaluation import rounding
from pga_tf.ledger import budgets, entries, headers, plan, tables, told, verdicts
from pga_tf.ledger.tables import Row

LEDGER, README = pathlib.Path("docs/ledger.md"), pathlib.Path("README.md")
REMEDY = "take it from the repository again"
MEASURES = ("precision", "recall", "coverage")


def made(root: pathlib.Path, lines: Sequence[dict], speeds: Mapping[str, tuple[float, int]]) -> dict[pathlib.Path, str]:
    """What each document below `root` is to hold, by its path.

    Args:
      lines: of results. speeds: (seconds of a step, cores) by row.
    """
    rows = tables.rows(root / tables.FOLDER)
    speeds, found = plan.spread(rows, speeds), {}
    for name, path in tables.flagfile_paths(root / tables.FOLDER).items():
        row = next(row for row in rows if row.name == name)
        text = headers.with_field(files.read_text(path, REMEDY), "Ours", told.ours(row, lines, speeds))
        found[path] = headers.with_field(text, "Time", told.time(row, speeds))
    blocks = {
        LEDGER: {
            "measured": measured(rows, lines),
            "sweeps": sweeps(rows, lines),
            "verdicts": judged(rows, lines, speeds),
        },
        README: {"mnist": of_readme(rows, lines)},
    }
    for place, parts in blocks.items():
        text = files.read_text(root / place, REMEDY)
        for name, part in parts.items():
            text = with_block(text, name, part, str(place))
        found[root / place] = text
    return found


def write(root: pathlib.Path, lines: Sequence[dict], speeds: Mapping[str, tuple[float, int]]) -> list[pathlib.Path]:
    """Writes the documents that differ from what they are to hold, and returns their paths."""
    changed = [
        (path, text) for path, text in made(root, lines, speeds).items() if files.read_text(path, REMEDY) != text
    ]
    for path, text in changed:
        files.write_text(path, text)
    return [path for path, _ in changed]


def with_block(text: str, name: str, block: str, where: str, writer: str = "ledger") -> str:
    """A document's text with `block` between the marks of its `writer`.

    Raises `InputError`, of `where`, for one without them.
    """
    begin, end = f"<!-- {writer}: {name} -->\n", f"<!-- end of what the {writer} writes -->"
    before, found, rest = text.partition(begin)
    if not found or end not in rest:
        checks.refuse(where, expected=f"a block between {begin.strip()} and {end}", received="none", remedy=REMEDY)
    return f"{before}{begin}\n{block}\n\n{end}{rest.partition(end)[2]}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _groups(lines):
    """((budget, data set, features, protocol), lines) of lines whose scores may stand in one table."""

    def under(line):
        card = line["card"]
        return line["budget"], line["flags"]["dataset"], card["features"]["network"], card["protocol"]

    scored = sorted((line for line in lines if "scores" in line), key=under)
    return [(key, list(group)) for key, group in itertools.groupby(scored, under)]


def league(rows: Sequence[Row], lines: Sequence[dict]) -> list[tuple[str, str, dict[str, str]]]:
    """(row, prior, cells by column) of lines of one group, the nearest first."""
    labels, found = {row.name: _label(row) for row in rows}, []
    for name in dict.fromkeys(line["row"] for line in lines):
        of_row = [line for line in lines if line["row"] == name and not line["settings"]]
        for prior in dict.fromkeys(prior for line in of_row for prior in line["scores"]):
            having = [line for line in of_row if prior in line["scores"]]
            scores = {m: [line["scores"][prior][m] for line in having] for m in ("frechet", *MEASURES)}
            mean = verdicts.mean(scores["frechet"])
            cells = {
                "method": labels.get(name, name),
                "flagfile": f"`{name}`",
                "prior": prior + ("" if prior == having[-1]["prior"] else " *"),
                "Frechet": told.score(scores["frechet"]),
                "trainings": str(mean.count),
                "of samples": rounding.supported(mean.value, mean.sample_error)[1],
                **{m: f"{verdicts.mean(scores[m]).value:.3f}" for m in MEASURES},
                "reconstructions": _gap(having, "reconstructions"),
                "CPU, minutes": f"{sum(_cpu(line) for line in having) / len(having) / 60:.1f}",
            }
            found.append((mean.value, name, prior, cells))
    return [entry[1:] for entry in sorted(found, key=lambda entry: entry[0])]


def _label(row):
    return re.sub(r" on [^,:]+", "", row.flagfile.title.partition(":")[0], count=1)


def _gap(lines, part):
    values = [line["gap"][part] for line in lines if (line["gap"] or {}).get(part) is not None]
    return rounding.number(sum(values) / len(values)) if values else "-"


def _cpu(line):
    return sum(part["cpu"] for part in line["times"].values())


def measured(rows: Sequence[Row], lines: Sequence[dict]) -> str:
    """A table for each budget, data set, features and protocol; each with its card."""
    parts = []
    for (budget, dataset, features, by), group in _groups(lines):
        found = league(rows, group)
        if not found:
            continue
        cells = [cells for _, _, cells in found]
        sizes = sorted({line["card"]["generated"]["count"] for line in group})
        seeds = sorted({len(line["card"]["generated"]["seeds"]) for line in group})
        card = group[-1]["card"]
        parts.append(
            f"### {dataset.rpartition(':')[2]}, budget {budget}\n\n"
            f"{budgets.named(budget).told[0].upper()}{budgets.named(budget).told[1:]}.\n\n"
            f"{table(list(cells[0]), [list(entry.values()) for entry in cells])}\n\n"
            f"Card: {features} features (sha256 {card['features'].get('sha256', 'none')[:12]}), protocol {by}; "
            f"{card['real']['count']:,} images of the {card['real']['split']} split; "
            f"{' or '.join(f'{size:,}' for size in sizes)} samples for each of {' or '.join(map(str, seeds))} seeds; "
            f"{', '.join(f'{name} {version}' for name, version in card['versions'].items())}; {_machines(group)}."
        )
    return "\n\n".join(parts) or "No line of results is there yet."


def _machines(lines):
    found = dict.fromkeys((line["processor"]["name"], line["processor"]["cores"]) for line in lines)
    commits = dict.fromkeys(line["code"].get("commit", line["code"].get("version", "unknown"))[:12] for line in lines)
    return f"{', '.join(f'{name}, {cores} cores' for name, cores in found)}; commit {', '.join(commits)}"


def sweeps(rows: Sequence[Row], lines: Sequence[dict]) -> str:
    """A table for each row and set of swept flags."""
    parts = []
    swept = [line for line in lines if line.get("settings") and "scores" in line]
    named = sorted({(line["row"], line["budget"], *sorted(line["settings"])) for line in swept})
    for row, budget, *flags in named:
        group = [
            line for line in swept if (line["row"], line["budget"], *sorted(line["settings"])) == (row, budget, *flags)
        ]
        parts.append(f"### {row} by {', '.join(flags)}, budget {budget}\n\n{sweep(group)}")
    return "\n\n".join(parts) or "No sweep is there yet."


def sweep(lines: Sequence[dict]) -> str:
    """The table of lines of one row that differ in their settings, in order of these."""
    flags = sorted(lines[0]["settings"])
    found = []
    for values in sorted({tuple(line["settings"][flag] for flag in flags) for line in lines}, key=_in_order):
        group = [line for line in lines if tuple(line["settings"][flag] for flag in flags) == values]
        scores = {m: [line["scores"][line["prior"]][m] for line in group] for m in ("frechet", *MEASURES)}
        mean = verdicts.mean(scores["frechet"])
        known = rounding.supported(mean.value, mean.sample_error)[1]
        others = [f"{verdicts.mean(scores[m]).value:.3f}" for m in MEASURES]
        found.append([*values, told.score(scores["frechet"]), str(mean.count), known, *others])
    return table([*flags, "Frechet", "trainings", "of samples", *MEASURES], found)


def _in_order(values):
    try:
        return [(0, float(value), "") for value in values]
    except ValueError:
        return [(1, 0.0, value) for value in values]


def judged(rows: Sequence[Row], lines: Sequence[dict], speeds: Mapping[str, tuple[float, int]]) -> str:
    """A table for each table of a paper: what was published, what is ours, the verdict and why."""
    parts = []
    for name, entry in tables.TABLES.items():
        cells = []
        for row in rows:
            if row.table != name or row.published is None:
                continue
            own = entries.of(lines, row.name, "paper")
            verdict = verdicts.of_row(row.published, row.flagfile.protocol, "paper", own)
            scored = [line for line in own if "scores" in line]
            value = told.score([line["scores"][line["prior"]]["frechet"] for line in scored]) if scored else "-"
            why = verdict.why if own else told.reason(row, speeds)
            cells.append([f"`{row.name}`", row.published.told(), value, verdict.what, why])
        if cells:
            head = ["row", "published FID", "ours", "verdict", "why"]
            parts.append(f"### {name}: {entry.told}\n\n{table(head, cells)}")
    return "\n\n".join(parts)


def of_readme(rows: Sequence[Row], lines: Sequence[dict]) -> str:
    """MNIST at the laptop budget, each method with its nearest prior."""
    group = [line for key, found in _groups(lines) if key[:2] == ("laptop", "tfds:mnist") for line in found]
    if not group:
        return "Nothing of it was measured yet."
    best = {}
    for name, prior, cells in league(rows, group):
        best.setdefault(name, (prior, cells))
    columns = ("method", "flagfile", "prior", "Frechet", "trainings", "precision", "recall")
    return table(columns, [[cells[column].removesuffix(" *") for column in columns] for _, cells in best.values()])
