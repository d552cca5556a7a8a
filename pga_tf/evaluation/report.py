"""An evaluation as people read it: the table on the terminal, and a page that opens offline.

Both are drawn from the dict that `evaluation.json` holds.
"""

import math
from typing import NamedTuple

from pga_tf.core import checks, files
from pga_tf.evaluation import difference, protocol, views
from pga_tf.evaluation.posterior import NEAR_ZERO
from pga_tf.evaluation.rounding import number, supported, with_error

BETTER = {
    "frechet": "lower", "kernel": "lower", "precision": "higher", "recall": "higher", "density": "higher",
    "coverage": "higher",
}  # fmt: skip
ERRORS = "+- is the standard error over the choice of samples; another training or other real images may move more"
MAPPED = "MMD of h(f(x)) and h of the prior (Theorem 1: 0)"
HELD_OUT, LOG_P = "held-out", "log p"  # where a result has log p(z) of held-out codes, in nats
COMPARED = {  # what is compared beside scores, by (part, number)
    ("gap", "reconstructions"): "gap reconstructions",
    ("reconstruction", "mse"): "reconstruction mse",
    ("latent", "mmd"): "MMD of codes and the prior",
    ("latent", "mmd_codes"): "MMD of f(x) and the prior",
    ("latent", "mmd_mapped"): "MMD of h(f(x)) and h of the prior",
    ("memory", "ratio"): "memory ratio",
    (HELD_OUT, LOG_P): "held-out log p",
}
STEPS = {
    "training_images": "training images (no model: the floor)",
    "reconstructions": "reconstructions g(f(x))",
    "resampled": "decoded noisy codes",
    "samples": "samples from the prior",
}


class Section(NamedTuple):
    """A table of an evaluation as text; `key` is the part of the result that it tells of."""

    key: str
    title: str
    note: str
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


PARTS = {  # what is told of each part of an evaluation that has it: numbers, or None
    "gap": ("images", "latent_error_data", "latent_error_prior", *STEPS),
    "reconstruction": ("images", "ssim_window", "mse", "psnr", "ssim"),
    "latent": ("codes", "active_units", "latent_dim", "mmd", "mmd_codes", "mmd_mapped"),
    "posterior": ("images", "deviation", "deviation_diagonal", "correlation", "coupling"),
    "memory": ("training_images", "ratio", "sample_copies", "samples", "held_out_copies", "held_out_images"),
}


def read(path, remedy):
    """What an evaluation.json holds. Raises `InputError`, with `remedy`, for one that `compare` could not show."""
    result = files.read_json(path, remedy)
    wrong = _wrong(result)
    if wrong:
        checks.refuse(str(path), expected="an evaluation", received=f"one with {wrong}", remedy=remedy)
    return result


def _wrong(result):
    """What is not as an evaluation has it, or ""."""
    if not isinstance(result, dict):
        return f"a {type(result).__name__} at its top"
    kinds = {"title": str, "card": dict, "names": dict, "scores": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(result.get(name), kind)]
    if wrong:
        return f"no {wrong[0]}"
    for name, entry in result["scores"].items():
        if name not in BETTER or not isinstance(entry, dict) or not _is_score(entry):
            return f"{name!r} among its scores"
    if result["scores"] and not all(isinstance(result["names"].get(name), str) for name in ("frechet", "kernel")):
        return "no names of its distances"
    if result["scores"] and "frechet" not in result["scores"]:
        return "no frechet among its scores"
    for part, names in PARTS.items():
        held = result.get(part) or {}
        if not isinstance(held, dict) or (held and not all(_is_number(held.get(name)) for name in names)):
            return f"a damaged part {part!r}"
    notes = result.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        return "damaged notes"
    run, generated = result.get("run"), result["card"].get("generated")
    if run is not None and not (isinstance(run, dict) and {"step", "checkpoint"} <= run.keys()):
        return "a damaged part 'run'"
    return "" if isinstance(generated, dict) else "no samples in its card"


def _is_number(value):
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _is_score(entry):
    whole = (
        {"value", "error", "error_kind", "per_seed"} <= entry.keys()
        and _is_number(entry["value"])
        and _is_number(entry["error"])
    )
    each = entry.get("per_seed")
    return whole and isinstance(each, list) and (len(each) > 0) and all(map(_is_number, each))


def label(result, name):
    """What a score is called: with its feature network, and FID only for Inception's."""
    return {"frechet": result["names"]["frechet"], "kernel": result["names"]["kernel"]}.get(name, name)


def rows(result):
    """The tables of an evaluation: list of `Section`."""
    sections = []
    if found := result["scores"]:
        body = [(label(result, name), *_value_and_error(entry), BETTER[name]) for name, entry in found.items()]
        note = f"{_counted(result['card'])}; {ERRORS}"
        sections.append(Section("scores", "Scores", note, ("score", "value", "error", "better"), body))
    gap = result.get("gap")
    if gap and found:
        noise = f"noise: {gap['resampling']}" if gap["resampling"] else "encoder: none"
        sections.append(
            Section(
                "gap",
                "Where the gap comes from",
                f"{result['names']['frechet']} of {gap['images']:,} images; {noise}",
                tuple(STEPS.values()),
                # No error of theirs is known; they come of as many samples as the score, and are no surer than it.
                [tuple(supported(gap[step], found["frechet"]["error"])[0] for step in STEPS)],
            )
        )
    if gap:
        errors = (number(gap["latent_error_data"]), number(gap["latent_error_prior"]))
        if gap["latent_error_data"] is not None:
            header = ("codes of data", "codes from the prior")
            sections.append(Section("latent_error", "Latent error of h = f o g", "mean (h(z) - z)^2", header, [errors]))
    if restored := result.get("reconstruction"):
        header = ("MSE, pixels in [0, 1]", "PSNR [dB]", f"SSIM, window {restored['ssim_window']}")
        sections.append(
            Section(
                "reconstruction",
                "Reconstructions",
                f"of {restored['images']:,} held-out images",
                header,
                [tuple(number(restored[name]) for name in ("mse", "psnr", "ssim"))],
            )
        )
    if health := result.get("latent"):
        values = health["singular_values"]
        header = ["active units", "MMD of f(x) and the prior", MAPPED, "singular values (1 in N(0, I))"]
        row = [
            f"{health['active_units']} of {health['latent_dim']}",
            number(health.get("mmd_codes")),
            number(health.get("mmd_mapped")),
            f"{number(values[0])} to {number(values[-1])}, of {health['aggregated']}",
        ]
        if "r_hat" in health:
            header.insert(1, "MMD of draws from the posterior and the prior")
            row.insert(1, number(health["mmd"]))
            header.insert(1, f"posterior variances below {NEAR_ZERO} (r_hat)")
            row.insert(1, f"{health['r_hat']} of {health['latent_dim']}")
        if "log_det_exact" in health:
            header += ["log|det dh/dz| [nats]", "bound of Eq. 7"]
            row += [number(health["log_det_exact"]), number(health["log_det_bound"])]
        note = f"of {health['codes']:,} held-out codes"
        sections.append(Section("latent", "Latent health", note, tuple(header), [tuple(row)]))
    if (found := result.get("posterior")) and "deviation" in found:
        header = (
            "median |ratio - 1| to diag (I + J'J / gamma)^-1",
            "correlation of their logarithms",
            "median |ratio - 1| to the best diagonal covariance",
            "mean |correlation| of two dimensions at the optimum",
        )
        row = tuple(number(found[name]) for name in ("deviation", "correlation", "deviation_diagonal", "coupling"))
        note = f"of {found['images']:,} held-out images; 0 at the optimum, given the decoder"
        sections.append(Section("posterior", "Posterior variances against the optimum", note, header, [row]))
    if memory := result.get("memory"):
        header = (
            f"distance to the nearest of {memory['training_images']:,} training images, over that of held-out ones",
            "samples in the training set",
            "held-out images in the training set (not in the ratio)",
        )
        row = (
            number(memory["ratio"]),
            f"{memory['sample_copies']:,} of {memory['samples']:,}",
            f"{memory['held_out_copies']:,} of {memory['held_out_images']:,}",
        )
        note = "a ratio near 1: as new as unseen images"
        sections.append(Section("memory", "Memorisation", note, header, [row]))
    return sections


def _counted(card):
    real, generated = card["real"], card["generated"]
    times = f"{len(generated['seeds'])} times " if len(generated.get("seeds", ())) > 1 else ""
    which = "all" if real["split"] == "all" else f"split {real['split']}"
    return f"{times}{generated['count']:,} images against {real['count']:,} real ones ({which} of {real['dataset']})"


def notes(results):
    """Sentences that belong beside scores, each once: on too few real images, and on what is left out."""
    return list(dict.fromkeys(note for result in results for note in result.get("notes", [])))


def _value_and_error(entry):
    value, error = supported(entry["value"], entry["error"])
    return value, f"+- {error} ({entry['error_kind']})" if entry["error"] is not None else error


def _noted(results):
    return [f"note: {note}" for note in notes(results)]


def text(result):
    """The terminal's table."""
    lines = [result["title"], *_noted([result])]
    for section in rows(result):
        lines += ["", f"{section.title}: {section.note}", *_columns([section.header, *section.rows])]
    lines += ["", "Protocol"]
    lines += [f"  {name}: {_plain(value)}" for name, value in protocol.flat(result["card"]).items()]
    return "\n".join(lines)


def _columns(table):
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  " + "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table
    ]


def _plain(value):
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return value


def page(result, pictures):
    """A self-contained HTML page. `pictures`: dict of caption to uint8 image `[H, W, 1 or 3]`."""
    sections = {section.key: section for section in rows(result)}
    return views.report(result, sections, _card_rows(result["card"]), pictures, notes([result]))


class Group(NamedTuple):
    """Evaluations of one protocol as a table. `marks` holds, for each cell, best, tied or nothing."""

    results: list[dict]
    header: tuple[str, ...]
    rows: list[tuple[str, ...]]
    marks: list[tuple[str, ...]]
    card: list[tuple[str, str]]


SIGNS = {"best": " *", "tied": " ~", "": ""}  # on the terminal
LEGEND = "* best; ~ not told apart from it: the choice of samples explains the difference (Welch's t-test, 5 %)"


def compare(results, pictures):
    """(terminal text, page) of several evaluations: those of one card stand in one table, others are set apart.

    `pictures`: for each result a uint8 sample grid, or None.
    """
    found = {}
    for result in results:
        found.setdefault((protocol.digest(result["card"]), *result["scores"]), []).append(result)
    groups = [_group(members, _common_rows(members)) for members in found.values()]
    lines, entries = [ERRORS, LEGEND], []
    differing = protocol.differences([group.results[0]["card"] for group in groups])
    if differing:
        warning = f"{len(groups)} protocols: scores are comparable within a table only. They differ in:"
        entries = [f"{name}: {' | '.join(str(_plain(v)) for v in values)}" for name, values in differing.items()]
        lines += [warning, *(f"  {entry}" for entry in entries)]
    for i, group in enumerate(groups):
        title = f"Protocol {i + 1}" if len(groups) > 1 else "Scores"
        lines += ["", title, *_noted(group.results), *_marked(group)]
    shown = [(result["title"], picture) for result, picture in zip(results, pictures, strict=True)]
    return "\n".join(lines), views.comparison("Comparison", groups, entries, shown, ERRORS, notes(results))


def matrix(title, results, pictures):
    """(terminal text, page) of results that differ in their prior alone: a row for each. `pictures`: uint8 grids."""
    card = _common_rows(results)
    group = _group(results, card)
    group = group._replace(header=("prior", *group.header[1:]))
    lines = [
        title,
        ERRORS,
        LEGEND,
        *_noted(results),
        "",
        *_marked(group),
        "",
        "Protocol",
        *(f"  {name}: {value}" for name, value in card),
    ]
    shown = [(result["title"], picture) for result, picture in zip(results, pictures, strict=True)]
    return "\n".join(lines), views.comparison(title, [group], [], shown, ERRORS, notes(results))


def _marked(group):
    """The lines of a table of runs, with the signs of what is best."""
    cells = [
        [cell + SIGNS[mark] for cell, mark in zip(row, marks, strict=True)]
        for row, marks in zip(group.rows, group.marks, strict=True)
    ]
    return _columns([group.header, *cells])


def _group(members, card):
    header, content, extra = _compared(members)
    columns = [("", [None] * len(members))]
    columns += [(BETTER[name], [result["scores"][name] for result in members]) for name in members[0]["scores"]]
    for section, name in extra:
        values = [(result.get(section) or {}).get(name) for result in members]
        # Near 1 is best for memorisation, and neither side of it is better.
        better = {"memory": "", HELD_OUT: "higher"}.get(section, "lower")
        columns.append((better, [{"value": v, "error": None} for v in values]))
    marks = [_marks_of(better, entries) for better, entries in columns]
    return Group(members, header, content, list(zip(*marks, strict=True)), card)


def _marks_of(better, entries):
    """For each of some scores, dicts with `value` and `error`: best, tied with it, or nothing."""
    known = [entry for entry in entries if entry and entry["value"] is not None and math.isfinite(entry["value"])]
    if not better or len(known) < 2:
        return [""] * len(entries)
    best = (min if better == "lower" else max)(known, key=lambda entry: entry["value"])

    def mark(entry):
        if not any(entry is one for one in known):
            return ""
        if entry["value"] == best["value"]:
            return "best"
        return "tied" if abs(entry["value"] - best["value"]) <= difference.explained(entry, best) else ""

    return [mark(entry) for entry in entries]


def _compared(group):
    known = lambda part, name: any((result.get(part) or {}).get(name) is not None for result in group)
    extra = [(part, name) for part, name in COMPARED if known(part, name)]
    header = ["run", *(label(group[0], name) for name in group[0]["scores"]), *(COMPARED[key] for key in extra)]
    content = []
    for result in group:
        scores = [with_error(entry) for entry in result["scores"].values()]
        more = [number((result.get(section) or {}).get(name)) for section, name in extra]
        content.append((result["title"], *scores, *more))
    return tuple(header), content, extra


def _card_rows(card):
    return [(name, str(_plain(value))) for name, value in protocol.flat(card).items()]


def _common_rows(results):
    """What the cards of one table say alike: what each is, such as its prior, stands in its row."""
    first, *others = (_card_rows(result["card"]) for result in results)
    return [row for row in first if all(row in rows for rows in others)]
