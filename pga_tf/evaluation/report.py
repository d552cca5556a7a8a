"""An evaluation as people read it: the table on the terminal, and a page that opens offline.

Both are drawn from the dict that `evaluation.json` holds.
"""

import base64
import html
import io

from pga_tf.evaluation import plots, protocol
from pga_tf.evaluation.rounding import number, supported, with_error

STYLE = """body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#222}
h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem;border-bottom:1px solid #ddd}
table{border-collapse:collapse}td,th{padding:.25rem .8rem;text-align:right;border-bottom:1px solid #eee}
td:first-child,th:first-child{text-align:left}img{max-width:100%;image-rendering:pixelated}
p.note{color:#666;font-size:.9rem}.warn{background:#fff4d6;padding:.5rem .8rem}code{background:#f4f4f4}
figure{display:inline-block;margin:.5rem 1rem .5rem 0;vertical-align:top}figcaption{color:#666;font-size:.9rem}"""
BETTER = {
    "frechet": "lower", "kernel": "lower", "precision": "higher", "recall": "higher", "density": "higher",
    "coverage": "higher",
}  # fmt: skip
ERRORS = "+- is the standard error over the choice of samples; another training or other real images may move more"
STEPS = {
    "training_images": "training images (no model: the floor)",
    "reconstructions": "reconstructions g(f(x))",
    "resampled": "decoded noisy codes",
    "samples": "samples from the prior",
}


def label(result, name):
    """What a score is called: with its feature network, and FID only for Inception's."""
    return {"frechet": result["names"]["frechet"], "kernel": result["names"]["kernel"]}.get(name, name)


def rows(result):
    """The sections of an evaluation: list of (title, header, rows of text)."""
    sections = []
    if found := result["scores"]:
        body = []
        for name, entry in found.items():
            value, error = supported(entry["value"], entry["error"])
            error = f"+- {error} ({entry['error_kind']})" if entry["error"] is not None else error
            body.append((label(result, name), value, error, BETTER[name]))
        sections.append((f"Scores ({ERRORS})", ("score", "value", "error", "better"), body))
    gap = result.get("gap")
    if gap and found:
        noise = f"noise: {gap['resampling']}" if gap["resampling"] else "encoder: none"
        sections.append(
            (
                f"Where the gap comes from: {result['names']['frechet']} of {gap['images']:,} images; {noise}",
                tuple(STEPS.values()),
                # No error of theirs is known; they come of as many samples as the score, and are no surer than it.
                [tuple(supported(gap[step], found["frechet"]["error"])[0] for step in STEPS)],
            )
        )
    if gap:
        errors = (number(gap["latent_error_data"]), number(gap["latent_error_prior"]))
        if gap["latent_error_data"] is not None:
            sections.append(
                ("Latent error of h = f o g, mean (h(z) - z)^2", ("codes of data", "codes from the prior"), [errors])
            )
    if restored := result.get("reconstruction"):
        header = ("MSE, pixels in [0, 1]", "PSNR [dB]", f"SSIM, window {restored['ssim_window']}")
        sections.append(
            (
                f"Reconstructions of {restored['images']:,} held-out images",
                header,
                [tuple(number(restored[name]) for name in ("mse", "psnr", "ssim"))],
            )
        )
    if health := result.get("latent"):
        values = health["singular_values"]
        header = ["active units", "MMD to the prior", "the same after h", "singular values (1 in N(0, I))"]
        row = [
            f"{health['active_units']} of {health['latent_dim']}",
            number(health["mmd"]),
            number(health.get("mmd_mapped")),
            f"{number(values[0])} to {number(values[-1])}, of {health['aggregated']}",
        ]
        if "log_det_exact" in health:
            header += ["log|det dh/dz| [nats]", "bound of Eq. 7"]
            row += [number(health["log_det_exact"]), number(health["log_det_bound"])]
        sections.append((f"Latent health of {health['codes']:,} held-out codes", tuple(header), [tuple(row)]))
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
        sections.append(("Memorisation (near 1: as new as unseen images)", header, [row]))
    return sections


def notes(results):
    """Sentences that belong beside scores, each once: on too few real images, and on what is left out."""
    return [f"note: {note}" for note in dict.fromkeys(note for result in results for note in result.get("notes", []))]


def text(result):
    """The terminal's table."""
    lines = [f"{result['title']}", *notes([result])]
    for title, header, body in rows(result):
        lines += ["", title, *_columns([header, *body])]
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
    body = [f"<h1>{html.escape(result['title'])}</h1>", *_noted([result])]
    for title, header, content in rows(result):
        body += [f"<h2>{html.escape(title)}</h2>", _table(header, content)]
    if curves := result.get("curves"):
        body += ["<h2>Training</h2>", plots.curves(curves)]
    if health := result.get("latent"):
        prior = result["card"]["generated"].get("prior", "normal")
        body += ["<h2>Latent space</h2>", *plots.latent_space(health, prior)]
    if pictures:
        body.append("<h2>Pictures</h2>")
        body += [f"<figure>{image(p)}<figcaption>{html.escape(c)}</figcaption></figure>" for c, p in pictures.items()]
    body += ["<h2>Protocol card</h2>", _table(("entry", "value"), _card_rows(result["card"]))]
    return _document(result["title"], body)


def compare(results, pictures):
    """(terminal text, page) of several evaluations: those of one card stand in one table, others are set apart.

    `pictures`: for each result a uint8 sample grid, or None.
    """
    groups = {}
    for result in results:
        groups.setdefault(protocol.digest(result["card"]), []).append(result)
    lines, body = [ERRORS], ["<h1>Comparison</h1>", f'<p class="note">{ERRORS}</p>']
    differing = protocol.differences([group[0]["card"] for group in groups.values()])
    if differing:
        warning = f"{len(groups)} protocols: scores are comparable within a table only. They differ in:"
        entries = [f"{name}: {' | '.join(str(_plain(v)) for v in values)}" for name, values in differing.items()]
        lines += [warning, *(f"  {entry}" for entry in entries)]
        items = "".join(f"<li><code>{html.escape(entry)}</code></li>" for entry in entries)
        body.append(f'<div class="warn"><p>{warning}</p><ul>{items}</ul></div>')
    for i, group in enumerate(groups.values()):
        header, content = _compared(group)
        title = f"Protocol {i + 1}" if len(groups) > 1 else "Scores"
        lines += ["", title, *notes(group), *_columns([header, *content])]
        body += [f"<h2>{title}</h2>", *_noted(group), _table(header, content)]
        body.append(_table(("entry", "value"), _card_rows(group[0]["card"])))
    body.append("<h2>Samples</h2>")
    for result, picture in zip(results, pictures, strict=True):
        if picture is not None:
            body.append(f"<figure>{image(picture)}<figcaption>{html.escape(result['title'])}</figcaption></figure>")
    return "\n".join(lines), _document("Comparison", body)


def matrix(title, results, pictures):
    """(terminal text, page) of results that differ in their prior alone: a row for each. `pictures`: uint8 grids."""
    header, content = _compared(results)
    header = ("prior", *header[1:])
    card = {name: value for name, value in _card_rows(results[0]["card"]) if name != "generated.prior"}
    lines = [
        title,
        ERRORS,
        *notes(results),
        "",
        *_columns([header, *content]),
        "",
        "Protocol",
        *(f"  {k}: {v}" for k, v in card.items()),
    ]
    body = [f"<h1>{html.escape(title)}</h1>", f'<p class="note">{ERRORS}</p>', *_noted(results)]
    body.append(_table(header, content))
    for result, picture in zip(results, pictures, strict=True):
        body.append(f"<figure>{image(picture)}<figcaption>{html.escape(result['title'])}</figcaption></figure>")
    body += ["<h2>Protocol card</h2>", _table(("entry", "value"), list(card.items()))]
    return "\n".join(lines), _document(title, body)


def _compared(group):
    extra = [("gap", "reconstructions"), ("reconstruction", "mse"), ("latent", "mmd"), ("memory", "ratio")]
    extra = [(section, name) for section, name in extra if any(result.get(section) for result in group)]
    header = ["run", *(label(group[0], name) for name in group[0]["scores"]), *(f"{s} {n}" for s, n in extra)]
    content = []
    for result in group:
        scores = [with_error(entry) for entry in result["scores"].values()]
        more = [number((result.get(section) or {}).get(name)) for section, name in extra]
        content.append((result["title"], *scores, *more))
    return tuple(header), content


def _noted(results):
    return [f'<p class="warn">{html.escape(note)}</p>' for note in notes(results)]


def _card_rows(card):
    return [(name, str(_plain(value))) for name, value in protocol.flat(card).items()]


def _table(header, body):
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    lines = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body]
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def image(picture):
    """A uint8 picture `[H, W, 1 or 3]` as an inline `<img>`."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(buffer, format="PNG")
    return f'<img src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def _document(title, body):
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )
