"""Evaluator: scores with their protocol, and the gate that blesses a model."""

import dataclasses
import json
import math
import pathlib

from pga_tf.core import files, grids
from pga_tf.evaluation import difference, protocol, report
from pga_tf.runs import assessment, fitted
from pga_tf.runs import config as config_lib
from pipelines.components import artifacts
from pipelines.components.artifacts import BLESSED, EVALUATION, NOT_BLESSED


def evaluator(
    run_with_priors: str,
    transformed: str,
    baseline: str,
    evaluation: str,
    blessing: str,
    dataset: str,
    features: str,
    inception_path: str,
    num_samples: int,
    seeds: int,
    max_frechet: float,
    cache_dir: str,
) -> dict:
    """Scores the run under its own prior as `pga_tf.evaluate` does, and blesses it if `gate` has nothing against it.

    Writes evaluation.json, report.html and samples.png to `evaluation`, priors.json and priors.html beside them where
    the run has several priors; BLESSED or NOT_BLESSED, with blessing.json, to `blessing`.

    Args:
      baseline: `evaluation` of the model that was blessed last, or "".
      dataset: where the images came from, for the protocol card.
      max_frechet: largest Frechet distance of a blessed model, in squared feature units.
      cache_dir: statistics of real images. The others are as in `pga_tf.evaluate`.

    Raises:
      InputError: a feature network that is not there, or does not take such images.
    """
    config = config_lib.of_run(run_with_priors)
    config = dataclasses.replace(config, data=dataclasses.replace(config.data, dataset=artifacts.dataset(transformed)))
    request = assessment.Request(
        cache_dir=cache_dir,
        features=features,
        inception_path=inception_path,
        num_samples=num_samples,
        seeds=seeds,
    )
    result, pictures = assessment.of_run(config, request, "")
    _name_source(result, dataset)
    result["run"]["dataset"] = dataset
    del result["commands"]  # the run's flags name images in a folder of before; the pipeline's command makes it again
    result["title"] = f"{config.run.method} on {dataset}, {result['title'].split(', ', 1)[1]}"
    folder = pathlib.Path(evaluation)
    grids.write_png(folder / "samples.png", next(iter(pictures.values())))
    files.write_page(folder / "report.html", report.page(result, pictures))
    files.write_json(folder / EVALUATION, result)
    if len(fitted.names(config)) > 1:
        _write_priors(folder, config, request, dataset)
    before = json.loads((pathlib.Path(baseline) / EVALUATION).read_text()) if baseline else None
    reasons = gate(result, before, max_frechet)
    artifacts.write_blessing(blessing, BLESSED if not reasons else NOT_BLESSED, reasons)
    frechet = result["scores"]["frechet"]
    return {
        "frechet": frechet["value"],
        "frechet error": frechet["error"],
        "most allowed": max_frechet,
        "last blessed": before["scores"]["frechet"]["value"] if before else None,
        "blessed": not reasons,
        "reasons": "; ".join(reasons),
    } | {name: result["scores"][name]["value"] for name in ("kernel", "precision", "recall", "density", "coverage")}


def _name_source(result, dataset):
    # Transform's path is another one in every execution; cards of equal protocols are to be equal.
    result["card"]["real"]["dataset"] = dataset


def _write_priors(folder, config, request, dataset):
    title, results, pictures = assessment.of_priors(config, request)
    for result in results:
        _name_source(result, dataset)
    files.write_json(folder / "priors.json", results)
    files.write_page(folder / "priors.html", report.matrix(title, results, pictures)[1])


def gate(result: dict, baseline: dict | None, max_frechet: float) -> list[str]:
    """What speaks against blessing a model: list of sentences, empty if nothing does.

    Its Frechet distance must be at most `max_frechet` and, where the last blessed model was scored under the same card,
    not above that one's by more than the choice of samples explains on both sides (`difference.explained`; the card,
    and with it the number of samples, is the same). Where no error is known, a larger distance counts as worse.
    `result`, `baseline`: as in evaluation.json; the latter or None.
    """
    after, reasons = result["scores"]["frechet"], []
    value = after["value"]
    if value is None or not math.isfinite(value):
        return [f"the Frechet distance is {value}"]
    if value > max_frechet:
        reasons.append(f"Frechet distance {value:.4g}, above --max_frechet={max_frechet:g}")
    if baseline and protocol.digest(protocol.plain(baseline["card"])) == protocol.digest(result["card"]):
        before = baseline["scores"]["frechet"]
        margin = difference.explained(after, before)
        if value > before["value"] + margin:
            reasons.append(
                f"Frechet distance {value:.4g}, worse than {before['value']:.4g} of the last blessed model "
                f"by more than the {margin:.2g} that the choice of samples explains"
            )
    return reasons
