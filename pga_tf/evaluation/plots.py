"""The page's plots, as SVG in text that takes fonts and colours from the page around it."""

import dataclasses
import functools
import html
import io
import math
import re
import warnings

import markupsafe

from pga_tf.evaluation.rounding import supported

INK = "#0b0c0d"  # stands for the page's text colour, as `SERIES` for its other ones, light or dark
MUTED = "#0b0c0e"
SERIES = {f"#0b0d{i:02x}": f"var(--series-{i})" for i in range(1, 6)}  # the fifth is grey
COLOURS = list(SERIES)
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.formatter.limits": (-4, 5),
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "font.size": 9,
    "grid.alpha": 0.18,
    "grid.color": INK,
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
}
REGULAR, SMALL, WIDE = (4.4, 2.7), (2.9, 1.75), (4.9, 2.2)  # inches


@dataclasses.dataclass(frozen=True)
class Plot:
    title: str
    svg: markupsafe.Markup


def drawn(size):
    """Makes of a function that draws on axes and says in words what it drew one of a title that returns a `Plot`.

    `size`: inches. The ids in its SVG begin with `key`, by default with the title.
    """

    def decorate(draw):
        @functools.wraps(draw)
        def make(title, *args, key="", **kwargs):
            from cycler import cycler
            from matplotlib import rc_context
            from matplotlib.figure import Figure

            with rc_context(STYLE | {"axes.prop_cycle": cycler(color=COLOURS), "svg.hashsalt": key or title}):
                figure = Figure(figsize=size, layout="constrained")
                alt = draw(figure.add_subplot(), *args, **kwargs)
                return Plot(title, _inline(figure, key or title, f"{title}: {alt}" if alt else title))

        return make

    return decorate


def _inline(figure, key, alt):
    """The SVG as it stands in a page: ids of its own, the page's colours, as wide as there is room."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser has it
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", text[text.index("<svg") :], flags=re.DOTALL)
    own = re.sub(r"\W+", "-", key.lower()).strip("-")
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{own}-", text)
    head = f'<svg role="img" aria-label="{html.escape(alt)}"'
    text = re.sub(r'^<svg .*?(viewBox="[^"]*").*?>', lambda found: f"{head} {found[1]}>", text, flags=re.DOTALL)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text.replace("xlink:href", "href"))
    for colour, name in {INK: "currentColor", MUTED: "var(--muted)", **SERIES}.items():
        text = text.replace(colour, name)
    return markupsafe.Markup(text)


def latent_space(health, prior):
    """Plots of `latent_health`: list of `Plot`. `prior`: its name."""
    spectra = {"codes": health["singular_values"], "i.i.d. N(0, I)": health["singular_values_normal"]}
    if prior != "normal":
        spectra["draws of the prior"] = health["singular_values_prior"]
    if "singular_values_second" in health:
        spectra["codes of the second stage"] = health["singular_values_second"]
    plots = [_ranked("Singular values of aggregated codes", "index", "singular value / sqrt(N)", spectra)]
    if histogram := health.get("posterior_variance"):
        plots.append(_histogram("Posterior variances", "variance (last bin: and above)", histogram))
    plots.append(_ranked(
        "Pixel variance along single latent directions", "direction, sorted", "variance",
        {"along one direction": health["direction_variances"]}, log=True,
    ))  # fmt: skip
    return plots


def curves(found):
    """A `Plot` of the training curves. `found`: dict of label to (steps, values above 0)."""
    return _curves("Pixel error against steps", found, "units of the training range")


def over_time(found, key=""):
    """A small `Plot` of each quantity against steps. `found`: dict of name to (steps, values); `key` sets its ids apart
    from those of another quantity of the same name."""
    return [_small_curve(name, *points, key=f"{key}{name}") for name, points in found.items()]


GAP_STEPS = {  # step of `measures.gap`: (what it adds, index of `COLOURS`)
    "training_images": ("no model: the floor", 4),
    "reconstructions": ("decoder", 0),
    "resampled": ("noise around codes", 2),
    "samples": ("prior", 1),
}


def gap(title, found, error=None):
    """A `Plot` of what each step adds to the distance to real images, or None where that is not known.

    `found`: as `measures.gap` gives it. `error`: of the distance of samples; no more digits than it supports are told.
    Without an encoder decoder and prior are one step.
    """
    known = [(found[key], *told) for key, told in GAP_STEPS.items() if found[key] is not None]
    if len(known) < 2 or not all(math.isfinite(value) for value, *_ in known):
        return None
    if found["reconstructions"] is None:
        known[-1] = (known[-1][0], "decoder and prior", known[-1][2])
    return _waterfall(title, known, error)


def ranking(title, entries):
    """A `Plot` of a score of several runs with its errors. `entries`: list of (run, value, error or None)."""
    return _with_height(len(entries))(_ranking)(title, entries)


def _with_height(rows):
    return drawn((5.6, 0.75 + 0.34 * rows))


def _ranking(axes, entries):
    names = [name if len(name) <= 40 else f"{name[:38]}…" for name, _, _ in entries]
    told = [supported(value, error)[0] for _, value, error in entries]
    for i, (_, value, error) in enumerate(entries):
        if value is None or not math.isfinite(value):
            continue
        axes.errorbar(value, i, xerr=error, color=COLOURS[0], marker="o", markersize=6, capsize=3, linestyle="")
        axes.annotate(told[i], (value, i), (0, 6), textcoords="offset points", ha="center", va="bottom", fontsize=8.5)
    axes.set(ylim=(len(entries) - 0.5, -0.75))
    axes.set_yticks(range(len(names)), names, color=INK)
    for label in axes.get_yticklabels():
        label.set_parse_math(False)  # names are no formulas
    axes.margins(x=0.12)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    return ", ".join(f"{name} {value}" for name, value in zip(names, told, strict=True) if value != "-")


@drawn(WIDE)
def _waterfall(axes, known, error):
    before, largest, told = 0.0, max(value for value, _, _ in known), []
    for i, (value, label, colour) in enumerate(known):
        # Of the floor and of samples the distance itself is told, of what lies between what it adds.
        axes.barh(i, value - before, left=before, height=0.62, color=COLOURS[colour])
        change = supported(value - before, error)[0] if error else f"{value - before:.3g}"
        change = f"+{change}" if i and not change.startswith("-") else change
        axes.annotate(
            change, (max(value, before), i), (5, 0), textcoords="offset points", va="center", fontweight="bold"
        )
        if i + 1 < len(known):
            axes.plot([value, value], [i - 0.31, i + 1.31], color=MUTED, lw=0.8, ls=":")
        told.append(f"{label} {change}")
        before = value
    axes.set_yticks(range(len(known)), [label for _, label, _ in known], color=INK, fontsize=10)
    axes.set(xlim=(min(0.0, *(value for value, _, _ in known)), 1.13 * largest), ylim=(len(known) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    return f"{', '.join(told)}; together {supported(before, error)[0]}"


@drawn(REGULAR)
def _curves(axes, found, y):
    for name, (steps, values) in found.items():
        axes.plot(steps, values, label=name, **_dots(steps))
    axes.set(xlabel="step", ylabel=y, yscale="log")
    axes.grid()
    axes.legend(loc="upper right")
    return ", ".join(found)


@drawn(SMALL)
def _small_curve(axes, steps, values):
    axes.plot(steps, values, **_dots(steps))
    axes.margins(y=0.12)
    axes.locator_params(nbins=4)
    axes.grid()
    known = [value for value in values if value is not None and math.isfinite(value)]
    return f"{known[0]:.4g} at step {steps[0]:,}, {known[-1]:.4g} at step {steps[-1]:,}" if known else "no values"


def _dots(steps):
    return {"marker": "o", "markersize": 3} if len(steps) < 15 else {}


@drawn(REGULAR)
def _ranked(axes, x, y, series, log=False):
    for name, values in series.items():
        axes.plot(range(1, len(values) + 1), values, label=name, **_dots(values))
    axes.set(xlabel=x, ylabel=y, **({"yscale": "log"} if log and min(map(min, series.values())) > 0 else {}))
    axes.grid()
    if len(series) > 1:
        axes.legend()


@drawn(REGULAR)
def _histogram(axes, x, histogram):
    axes.stairs(histogram["counts"], histogram["edges"], fill=True)
    axes.set(xlabel=x, ylabel="count")
