"""The page's plots, as SVG in text."""

import io


def latent_space(health, prior):
    """Plots of `latent_health`: list of figures. `prior`: its name."""
    spectra = {"codes": health["singular_values"], "i.i.d. N(0, I)": health["singular_values_normal"]}
    if prior != "normal":
        spectra["draws of the prior"] = health["singular_values_prior"]
    if "singular_values_second" in health:
        spectra["codes of the second stage"] = health["singular_values_second"]
    plots = [_line_plot("Singular values of aggregated codes", "index", "singular value / sqrt(N)", spectra)]
    if histogram := health.get("posterior_variance"):
        plots.append(_histogram("Posterior variances", "variance (last bin: and above)", histogram))
    plots.append(_line_plot(
        "Pixel variance along single latent directions", "direction, sorted", "variance",
        {"along one direction": health["direction_variances"]}, log=True,
    ))  # fmt: skip
    return plots


def curves(found):
    """A plot of the training curves. `found`: dict of label to (steps, values above 0)."""
    figure, axes = _figure()
    for name, (steps, values) in found.items():
        axes.plot(steps, values, label=name)
    axes.set(title="Pixel error against steps", xlabel="step", ylabel="units of the training range", yscale="log")
    axes.legend(frameon=False)
    return _svg(figure)


def _figure():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 3.2), layout="constrained")
    return figure, figure.add_subplot()


def _svg(figure):
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "pga_tf"}):  # the same page from the same numbers
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return f"<figure>{buffer.getvalue()[buffer.getvalue().index('<svg') :]}</figure>"


def _line_plot(title, x, y, series, log=False):
    figure, axes = _figure()
    for name, values in series.items():
        axes.plot(range(1, len(values) + 1), values, marker=".", label=name)
    axes.set(
        title=title, xlabel=x, ylabel=y, **({"yscale": "log"} if log and min(map(min, series.values())) > 0 else {})
    )
    axes.legend(frameon=False)
    return _svg(figure)


def _histogram(title, x, histogram):
    figure, axes = _figure()
    axes.stairs(histogram["counts"], histogram["edges"], fill=True)
    axes.set(title=title, xlabel=x, ylabel="count")
    return _svg(figure)
