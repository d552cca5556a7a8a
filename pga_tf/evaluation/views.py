"""Evaluations as pages: which plots and pictures stand where. The design is that of `core.pages`."""

from pga_tf.core import pages
from pga_tf.evaluation import plots

CONTENTS = {
    "overview": "Overview",
    "pictures": "Samples",
    "scores": "Scores",
    "gap": "Where the gap comes from",
    "reconstruction": "Reconstructions",
    "latent": "Latent space",
    "memory": "Memorisation",
    "training": "Training",
    "again": "How to get it again",
    "protocol": "Protocol card",
    "flags": "Flags",
}
CAPTIONS = {"samples": "The first samples of seed 0", "images": "The first of the images"}
# Where a picture stands, by how its caption begins.
PLACES = {
    "held-out": "reconstruction",
    "interpolations": "latent",
    "along": "latent",
    "draws": "latent",
    "codes": "latent",
    "samples above": "memory",
}


def report(result, sections, card, pictures, notes):
    """The page of one evaluation.

    Args:
      result: what evaluation.json holds. sections: dict of key to `report.Section`. card: list of (entry, text).
      pictures: dict of caption to uint8 image `[H, W, 1 or 3]`. notes: sentences on what the scores lack.
    """
    run, shown = result.get("run", {}), {}
    for caption, image in pictures.items():
        place = next((place for start, place in PLACES.items() if caption.startswith(start)), "pictures")
        told = CAPTIONS.get(caption, caption[0].upper() + caption[1:])
        shown.setdefault(place, []).append((told, pages.picture(image, told)))
    gap, health, history = result.get("gap"), result.get("latent"), result.get("history") or {}
    drawn = {
        "gap": plots.gap("What adds to the distance from real images", gap, result["scores"]["frechet"]["error"])
        if "gap" in sections
        else None,
        "latent": plots.latent_space(health, result["card"]["generated"].get("prior", "normal")) if health else [],
        "curves": plots.curves(result["curves"]) if result.get("curves") else None,
        "losses": plots.over_time(history.get("losses", {})),
        "rates": plots.over_time(history.get("rates", {})),
        "scores": plots.over_time(history.get("scores", {}), key="score "),
    }
    has = {
        **dict.fromkeys(("overview", "protocol"), True),
        "scores": "scores" in sections,
        "pictures": "pictures" in shown,
        **{key: key in sections for key in ("gap", "reconstruction", "memory")},
        "latent": health or "latent" in shown,
        "training": any(drawn[name] for name in ("curves", "losses", "rates", "scores")),
        "again": result.get("commands"),
        "flags": result.get("flags"),
    }
    return pages.render(
        "pga_tf.evaluation",
        "report.html",
        title=result["title"],
        kicker="Evaluation",
        facts=[(name, run[name]) for name in ("method", "dataset", "step", "checkpoint") if name in run],
        contents=[(key, name) for key, name in CONTENTS.items() if has[key]],
        names=CONTENTS,
        has=has,
        sections=sections,
        pictures=shown,
        plots=drawn,
        result=result,
        card=card,
        notes=notes,
    )


def comparison(title, groups, differing, shown, note, notes):
    """The page of evaluations beside each other.

    Args:
      groups: list of `report.Group`. differing: lines on how their protocols differ. note: what an error is.
      shown: list of (title of a run, uint8 grid of its samples or None). notes: sentences on what scores lack.
    """
    charts = []
    for i, group in enumerate(groups):
        if not group.results[0]["scores"]:
            continue
        name = group.results[0]["names"]["frechet"] + (f", protocol {i + 1}" if len(groups) > 1 else "")
        scores = [(result["title"], result["scores"]["frechet"]) for result in group.results]
        charts.append(plots.ranking(name, [(run, entry["value"], entry["error"]) for run, entry in scores]))
        densities = [(result["title"], (result.get("held-out") or {}).get("log p"), None) for result in group.results]
        if any(value is not None for _, value, _ in densities):
            charts.append(plots.ranking("log p(z) of held-out codes, nats: higher is better", densities))
    tables = [
        [
            list(zip(row, marks, strict=True))
            for row, marks in zip(group.rows, group.marks, strict=True)
        ]
        for group in groups
    ]  # fmt: skip
    samples = [(run, pages.picture(image, f"samples of {run}")) for run, image in shown if image is not None]
    contents = [("overview", "Overview"), ("scores", "Scores"), ("samples", "Samples"), ("protocol", "Protocol card")]
    return pages.render(
        "pga_tf.evaluation",
        "comparison.html",
        title=title,
        kicker="Evaluation",
        facts=[],
        contents=[entry for entry in contents if samples or entry[0] != "samples"],
        charts=charts,
        groups=list(zip(groups, tables, strict=True)),
        differing=differing,
        note=note,
        notes=notes,
        samples=samples,
    )
