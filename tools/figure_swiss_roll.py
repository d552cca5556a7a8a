"""The Swiss-roll figure: which models reproduce a curled line in the plane from a 2-D prior.

    tools/run python tools/figure_swiss_roll.py --out=swiss_roll.png

Trains flagfiles/{vae,aae,alae,prior_free,lpga}_swiss_roll.flags (Geng et al., 2020, figures 4 and 5: input,
reconstructed and generated points, then codes, prior and what the prior is mapped to), one row for each, and says in
its title and on the terminal how many samples lie near the roll and how much of it they reach. Runs are kept in
--workdir, and used again if they are there.
"""

import pathlib
import sys
import tempfile

import numpy as np
from absl import flags as absl_flags

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from pga_tf import command_line, data, flags, priors
from pga_tf.core import files, ranges
from pga_tf.runs import config as config_lib
from pga_tf.runs import trained
from pga_tf.training import fitting, loop

ROOT = pathlib.Path(__file__).parents[1]
ROWS = {
    "vae": "VAE with a learned gamma",
    "aae": "AAE",
    "alae": "ALAE, with its own map from noise to codes",
    "prior_free": "Prior-free autoencoder, with a map from noise to codes",
    "lpga": "LPGA",
}
PANELS = ("data x", "reconstructions g(f(x))", "samples", "codes f(x)", "noise, N(0, I)")
POINTS = 5000  # of the training split, and as many samples
NEAR = 0.05  # the roll's noise is 0.25 / 16 = 0.016, and its turns lie 0.39 apart
FLAGS = absl_flags.FLAGS
absl_flags.DEFINE_string("out", "swiss_roll.png", "picture to write")
absl_flags.DEFINE_string("workdir", "", "folder for the runs; default: one that is deleted afterwards")
absl_flags.DEFINE_integer("steps", 0, "of each model and of its prior; 0: as in the flagfiles", lower_bound=0)


def trained_run(name, workdir):
    """(Drawing, data source) of the run that a flagfile describes, trained where it is not there yet."""
    values = absl_flags.FlagValues()
    flags.define_training_flags(values)
    flags.define_prior_flags(values)
    arguments = [f"--flagfile={ROOT}/flagfiles/{name}_swiss_roll.flags", f"--workdir={workdir / name}"]
    if FLAGS.steps:
        arguments += [f"--steps={FLAGS.steps}", f"--prior_steps={FLAGS.steps}"]
    values(["train", *arguments])
    config, (fit, own) = flags.config_from_flags(values), flags.prior_from_flags(values)
    loop.train(config)
    config = config_lib.of_run(workdir / name)
    if fit.prior:
        fitting.fit(config, trained.load_model(config)[0], fit, own)
    draw, _ = trained.load(config, prior=fit.prior)
    return draw, data.load(config.data)


def parts(draw, source):
    """The six sets of points of a row, `[N, 2]` each: data, reconstructions, samples, codes, noise, decoded codes."""
    images = source.examples("train", POINTS)
    noise = priors.PRIORS.get("normal")(draw.model.latent_dim)
    codes = draw.encode(images, source.value_range)
    seeds = np.arange(len(images), dtype=np.int64)
    scaled = ranges.rescale(images, source.value_range, draw.model.image_range).numpy()
    sets = (scaled, draw.decode(codes, source="data"), draw.samples(len(images)), codes, noise.sample(seeds).numpy(),
            draw.codes(seeds))  # fmt: skip
    return [np.reshape(points, [len(images), 2]) for points in sets]


def distances(real, generated):
    """Share of generated points near the roll, and share of the roll near generated points."""
    from scipy.spatial import cKDTree

    near = lambda points, others: float((cKDTree(others).query(points)[0] < NEAR).mean())
    return near(generated, real), near(real, generated)


def draw_figure(rows):
    """A figure with a row for each model. `rows`: dict of a row's title to its six sets of points."""
    from matplotlib.figure import Figure

    columns = len(PANELS) + 1
    figure = Figure(figsize=(2.1 * columns, 2.65 * len(rows)), layout="constrained", dpi=110)
    parts_of_figure = np.atleast_1d(figure.subfigures(len(rows), 1, hspace=0.06))
    for part, (title, sets) in zip(parts_of_figure, rows.items(), strict=True):
        part.suptitle(title, x=0.005, ha="left", fontsize=12, fontweight="bold")
        mapped = not np.allclose(sets[4], sets[5])
        titles = (*PANELS, "map of the noise: decoded" if mapped else "the noise is what is decoded")
        reach = 1.05 * max(np.abs(points).max() for points in sets[3:])  # one range for all latent panels of a row
        colours = np.hypot(*sets[0].T)  # the radius grows along the roll: colour is the place on it
        for k, (panel, points, name) in enumerate(zip(part.subplots(1, columns), sets, titles, strict=True)):
            of_data = k in (0, 1, 3)
            panel.scatter(*points.T, s=1, lw=0, **({"c": colours, "cmap": "viridis"} if of_data else {"c": "#444444"}))
            panel.set_title(name, fontsize=9)
            limit = 1.0 if k < 3 else reach
            panel.set(xticks=[], yticks=[], aspect="equal", xlim=(-limit, limit), ylim=(-limit, limit))
    return figure


def main():
    out = pathlib.Path(FLAGS.out)
    with tempfile.TemporaryDirectory() as temporary:
        workdir, rows = pathlib.Path(FLAGS.workdir or temporary), {}
        for name, title in ROWS.items():
            sets = parts(*trained_run(name, workdir))
            on_roll, reached = distances(sets[0], sets[2])
            found = f"{on_roll:.1%} of samples within {NEAR} of the roll, {reached:.1%} of it reached"
            rows[f"{title}: {found}"] = sets
            print(f"{title}: {found}")
        out.parent.mkdir(parents=True, exist_ok=True)
        with files.replacing(out) as file:
            draw_figure(rows).savefig(file, format="png")
    print(out)


if __name__ == "__main__":
    command_line.run(main, usage=__doc__)
