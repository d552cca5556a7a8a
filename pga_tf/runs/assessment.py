"""What `pga_tf.evaluate` finds out about a trained run, as data: every score with its card, and pictures."""

import dataclasses
import pathlib

import numpy as np

from pga_tf import data
from pga_tf.core import checks, files, grids, interfaces, ranges
from pga_tf.core.progress import Progress
from pga_tf.evaluation import codes, features, measures, neighbours, protocol, protocols, report, scores, statistics
from pga_tf.runs import drawing, fitted, history, run_codes, run_data, scoring, trained
from pga_tf.runs.directory import RunDirectory

LABELLED = 2000  # codes in the scatter


@dataclasses.dataclass(frozen=True)
class Request:
    """How images are scored: by which protocol, against what, by which features, how many of which seeds.

    What is 0 or "" is as the protocol has it.
    """

    cache_dir: str  # statistics of real images
    features: str = ""  # "": those of the dataset; "none": only what needs none is measured
    inception_path: str = ""
    protocol: str = protocols.OURS
    num_samples: int = 0  # for each seed
    seeds: int = 0
    split: str = ""  # of real images; "" of a folder or array that images are scored against: all
    num_real: int = 0  # 0: all of the split
    checkpoint: str = "last"

    def network(self, dataset, shape):
        """The feature network for images of `shape`, None where none fits and none was asked for.

        Raises `InputError` for one that is not there, or does not take such images.
        """
        name = self.features or features.default(dataset, shape, inception_path=self.inception_path)
        network = features.load(name, inception_path=self.inception_path)
        if network is None:
            return None
        network.require_images(shape, np.float32 if grids.is_points(shape) else np.uint8)
        return dataclasses.replace(network, resize=self.named_protocol.resize)

    @property
    def named_protocol(self):
        """The `Protocol`. Raises `InputError` for an unknown one."""
        checks.require_member("--protocol", self.protocol, protocols.PROTOCOLS)
        return protocols.PROTOCOLS[self.protocol]

    def required_network(self, dataset, shape):
        """`network` for what cannot do without one. Raises `InputError` where there is none."""
        network = self.network(dataset, shape)
        if network is None:
            checks.refuse(
                "--features",
                expected="a feature network, without which no score of such images is left",
                received="none",
                remedy=features.missing(dataset, shape),
            )
        return network

    def decided(self, split=""):
        """The request with all that was left to the protocol; `split`, where given, in the place of the protocol's."""
        p = self.named_protocol
        return dataclasses.replace(
            self,
            num_samples=self.num_samples or p.num_samples,
            seeds=self.seeds or p.seeds,
            split=self.split or split or p.split,
        )

    def of_a_run(self):
        """The request about a run, `decided`. Raises `InputError` for all of its images, which none holds out."""
        if self.split == data.ALL:
            checks.refuse(
                "--split",
                expected="test or train, for a run's samples are scored against images of one split",
                received=self.split,
                remedy="leave it out",
            )
        if self.num_samples and self.num_samples % (self.named_protocol.norm_batch or self.num_samples) == 1:
            checks.refuse(
                f"--num_samples with --protocol={self.protocol}",
                expected=f"batches of {self.named_protocol.norm_batch}, and not one sample alone after them",
                received=self.num_samples,
                remedy="leave it out, or draw one less",
            )
        return self.decided()

    def card(self, network, *, real, generated):
        """The card of a score, with the protocol's name and what was asked for beside it."""
        p = self.named_protocol
        drawn = {"num_samples": generated["count"], "split": real["split"], "num_real": self.num_real}
        return protocol.card(network, real=real, generated=generated, protocol=p.told(**drawn), rounding=p.rounding)

    def names(self, network):
        """What the distances are called: after the features and, but for ours, the protocol."""
        if network is None:
            return {}
        by = "" if self.protocol == protocols.OURS else f", protocol {self.protocol}"
        return {"frechet": network.distance_name + by, "kernel": network.kernel_name + by}

    def real_count(self, source):
        return min(self.num_real or source.counts[self.split], source.counts[self.split])

    def real(self, source, network, extract, bar, *, split=None, count=None):
        """(statistics, card) of real images: those that are asked for, unless `split` and `count` say others."""
        split, count = split or self.split, self.num_real if count is None else count
        cache = statistics.Cache(self.cache_dir, warn=bar.say)
        return scoring.real_statistics(
            source, split, count, network, extract, cache, advance=bar.advance, skip=bar.skip
        )

    def card_of_samples(self, config, draw):
        return {
            "count": self.num_samples,
            "seeds": list(range(self.seeds)),
            "prior": draw.prior_name,
            "checkpoint": self.checkpoint,
            "encoder": "one" if draw.encodes else "none",
            "batch_norm": scoring.batch_norm_statistics(config, draw),
            "weights": "moving average, and so are norm statistics" if config.optimizer.ema else "as trained",
            "arithmetic": "float32" if config.run.mixed_precision == "none" else config.run.mixed_precision,
        }


def of_run(config, request, prior, folder=None):
    """Every score of a run under one prior: (result, dict of caption to picture).

    `folder`: where the caller is going to keep that, which is made and looked at before the work.
    The result is what evaluation.json holds: title, run, flags, card, scores, notes (sentences on what they lack), gap,
    reconstruction, latent, posterior, memory, curves, history and commands. Raises `InputError` for a checkpoint, prior
    or feature network that is not there.
    """
    directory = RunDirectory(config.run.workdir)
    asked, request = request, request.of_a_run()
    if folder:
        files.require_folder(folder)
        files.require_places(folder / name for name in ("samples.png", "report.html", "evaluation.json"))
    dataset, shape = config.data.dataset, directory.read_image_shape()
    network = request.network(dataset, shape)
    source, _ = run_data.load(config)
    draw, step = trained.load(config, request.checkpoint, prior, request.named_protocol)
    subject, extract = scoring.subject(draw), network.extractor() if network else None

    training_images = source.counts["train"]
    held = min(training_images, request.num_samples)
    steps_away = 4 if draw.encodes else 2  # floor and samples; reconstructions and resampled codes
    total = request.real_count(source) + 2 * training_images + steps_away * held + request.seeds * request.num_samples
    if network is None:
        total = request.num_samples + training_images
    with Progress("real images", total) as bar:
        real, card = request.real(source, network, extract, bar)
        floor = pool = None
        if network:
            floor, _ = request.real(source, network, extract, bar, split="train", count=held)
            pool, _ = request.real(source, network, extract, bar, split="train", count=0)
        bar.describe("samples")
        found, drawn = measures.of_samples(
            subject, extract, real, count=request.num_samples, seeds=range(request.seeds), advance=bar.advance
        )
        bar.describe("where the gap comes from")
        training = scoring.real_images(source, "train", held)
        floor = None if request.split == "train" else floor
        gap = measures.gap(subject, extract, real, training, floor, samples=drawn, advance=bar.advance)
        bar.describe("latent space")
        held_out = np.concatenate(list(scoring.real_images(source, "test", measures.LATENT)))
        health, paths = measures.latent_health(subject, held_out)
        posterior, around = measures.of_posterior(subject, held_out)
        labelled = scoring.labelled_codes(source, subject, LABELLED)
        bar.describe("memorisation")
        training_set = scoring.watched(scoring.real_images(source, "train"), bar.advance)
        memory, pairs = neighbours.memory(drawn, held_out, training_set, pool and pool.features, extract)
        restored = measures.restored(subject, held_out)
    result = {
        "title": f"{pathlib.Path(config.run.workdir).resolve().name}, step {step:,}, prior {draw.prior_name}"
        + (", averaged weights" if config.optimizer.ema else ""),
        "run": {
            "method": config.run.method,
            "dataset": config.data.dataset,
            "step": step,
            "checkpoint": request.checkpoint,
        },
        "flags": config.values(),
        "names": request.names(network),
        "card": request.card(network, real=card, generated=request.card_of_samples(config, draw)),
        "notes": _notes(real, source, shape, request.num_samples),
        "scores": found,
        "gap": gap,
        "reconstruction": restored,
        "latent": health,
        "posterior": posterior,
        "memory": memory,
        "curves": scoring.training_curves(directory, config.method),
        "history": history.of_run(directory),
        "commands": history.commands_of_run(config, asked, prior),
    }
    pictures = _pictures(draw, drawn.shown, held_out, pairs, paths, health)
    return result, pictures | _pictures_of_codes(posterior, around, labelled)


def of_priors(config, request, folder=None):
    """Scores of samples under every prior that a run has, against the same real images: (title, results, pictures).

    The nearest comes first. Where codes are there and a prior has a density, log p(z) of held-out ones is beside it.
    `folder` as in `of_run`.
    """
    directory, request = RunDirectory(config.run.workdir), request.of_a_run()
    if folder:
        files.require_folder(folder)
        files.require_places(folder / name for name in ("priors.html", "priors.json"))
    dataset, shape = config.data.dataset, directory.read_image_shape()
    network = request.required_network(dataset, shape)
    (source, _), extract = run_data.load(config), network.extractor()
    model, step = trained.load_model(config, request.checkpoint)
    own = fitted.of_method(model)[1]
    names = [*([own] if own else []), *fitted.names(config)]
    if not names:
        trained.prior_of(config)  # which says what is missing
    results, pictures, held_out = [], [], None
    if isinstance(model, interfaces.Encodes):
        held_out = run_codes.of_split(drawing.Drawing(model, None, None), source, "test", scoring.LIKELIHOOD)
    total = request.real_count(source) + len(names) * request.seeds * request.num_samples
    with Progress("real images", total) as bar:
        real, card = request.real(source, network, extract, bar)
        for name in names:
            bar.describe(name)
            draw = drawing.Drawing(model, fitted.load(config, model, name), name, request.named_protocol)
            subject = scoring.subject(draw)
            found, drawn = measures.of_samples(
                subject, extract, real, count=request.num_samples, seeds=range(request.seeds), advance=bar.advance
            )
            card_of_it = request.card(network, real=card, generated=request.card_of_samples(config, draw))
            notes = _notes(real, source, shape, request.num_samples)
            results.append(
                {"title": name, "names": request.names(network), "card": card_of_it, "notes": notes, "scores": found}
            )
            if held_out is not None and (value := scoring.log_p(draw.prior, held_out)) is not None:
                results[-1][report.HELD_OUT] = {report.LOG_P: value}
            pictures.append(drawing.picture(drawn.shown))
    order = sorted(range(len(results)), key=lambda i: results[i]["scores"]["frechet"]["value"])
    title = f"{directory.path.resolve().name}, step {step:,}: every prior, that of the smallest distance first"
    return title, [results[i] for i in order], [pictures[i] for i in order]


def of_images(given, against, request, *, title, prepared):
    """Scores of images from anywhere: (result, dict of caption to picture).

    Args:
      given, against: sources. All of `given` is scored; against all of a folder or array, and against the test split of
        other datasets, where no split is asked for. prepared: what the card says was done to `given`.
    """
    of_files = against.name.startswith(("folder:", "npz:"))
    request = request.decided(data.ALL if of_files else "")
    parts, given = against, data.whole(given)
    against = data.whole(against) if request.split == data.ALL else against
    network = request.required_network(against.name, against.image_shape)
    network.require_images(given.image_shape)
    extract, count = network.extractor(), given.counts[data.ALL]
    with Progress("real images", count + request.real_count(against)) as bar:
        real, card = request.real(against, network, extract, bar)
        bar.describe(title)
        found, drawn = measures.of_images(scoring.real_images(given, data.ALL), extract, real, advance=bar.advance)
    offered = {"count": count, "image_shape": list(given.image_shape), "prepared": prepared}
    notes = _notes(real, against, against.image_shape, count)
    notes += [note for note in _told(given) if note not in notes]
    others = {name: held for name, held in parts.counts.items() if name != request.split and held > card["count"]}
    if notes and others and not request.num_real:
        notes += [f"--split={name} has {held:,} real images" for name, held in others.items()]
    card = request.card(network, real=card, generated=offered)
    result = {"title": title, "names": request.names(network), "card": card, "notes": notes, "scores": found}
    return result, {"images": drawing.picture(drawn.shown)}


def _notes(real, source, shape, count):
    """Sentences on what scores of `count` images at a time against `real`, statistics or None, lack."""
    if real is None:
        left_out = "Frechet and kernel distance, precision, recall, density, coverage and the memorisation ratio"
        notes = [f"without features, {left_out} are left out: {features.missing(source.name, shape)}"]
    else:
        notes = [scores.few_scored(count, real), scores.few_real(real)]
    return [note for note in [*notes, *_told(source)] if note]


def _told(source):
    """Sentences on what of a source could not be read, is not used, or was not taken as it is stored."""
    return [line.removeprefix("warning: ") for line in source.notices()]


def _pictures_of_codes(posterior, around, labelled):
    """What the page shows of single codes and of all, where there is such: dict of caption to picture."""
    pictures = {}
    if around is not None:
        draws = posterior["draws"]
        told = zip(draws["direction_order"], draws["posterior_variances"], draws["image_variances"], strict=True)
        rows = [f"z{d}: lambda {spread:.3f}, variance {caused:.4g}" for d, spread, caused in told]
        caption = (
            "draws around the code of a held-out image, moved by N(0, 1) along one dimension in each row (lambda: its "
            "posterior variance; variance: of a pixel over the draws, in 0..255 squared)"
        )
        bands = around.swapaxes(0, 1).reshape(-1, *around.shape[2:])
        pictures[caption] = drawing.picture_of_bands(bands, around.shape[1], [rows[i] for i in draws["shown"]])
    if labelled is not None:
        held, labels, names = labelled
        points, share = codes.plane(held)
        seen = "both dimensions" if held.shape[1] == 2 else f"two principal components, {share:.0%} of the variance"
        pictures[f"codes of {len(held):,} held-out images by label: {seen}"] = codes.scatter(points, labels, names)
    return pictures


def _pictures(draw, shown, held_out, pairs, paths, health):
    """What the page shows: dict of caption to picture."""
    pictures = {"samples": drawing.picture(shown)}
    shape = shown.shape[1:]
    if grids.is_points(shape):
        return pictures
    if pairs is not None:
        pictures["samples above their nearest training images"] = drawing.picture_of_bands(
            pairs.reshape(-1, *shape), 10, ("sample", "nearest")
        )
    if not draw.encodes:
        return pictures
    restored = draw.reconstructions(held_out[:32], ranges.UINT8)
    pictures |= {
        "held-out images above their reconstructions": drawing.picture_of_bands(restored, 16),
        "interpolations between held-out images, linear between codes": drawing.picture_of_paths(
            draw.interpolations(held_out[:16], ranges.UINT8, 10), 10
        ),
    }
    if "posterior_variance" not in health:  # else `_pictures_of_codes` shows directions by it
        directions = list(zip(health["direction_order"], health["direction_variances"], strict=True))[: len(paths)]
        caused = [f"z{dimension}: {variance:.2g}" for dimension, variance in directions]
        caption = "along single latent directions (dimension: pixel variance that it causes)"
        bands = paths.swapaxes(0, 1).reshape(-1, *shape)
        pictures[caption] = drawing.picture_of_bands(bands, paths.shape[1], caused)
    return pictures
