"""Pusher: a model that was blessed twice, into TensorFlow Serving's model base."""

import hashlib
import json
import pathlib
import shutil

from pga_tf.core import files
from pga_tf.serving import export, versions
from pipelines.components.artifacts import EVALUATION, INFRA_BLESSED, PUSHED, STAGED, is_blessed, read_reasons


def pusher(
    exported: str, evaluation: str, blessing: str, infra_blessing: str, pushed: str, base: str, name: str
) -> dict:
    """Copies the staged model to `base/name/VERSION`, whole or not at all, and enters it in models.config.

    The first version becomes stable, the others canary, as with `pga_tf.export`. A model that lacks a blessing is not
    pushed: `pushed/pushed.json` then says why, with "model" null. A model that lies there already, from an attempt that
    was cut short, is not pushed again.

    Raises:
      InputError: the base cannot be written, is in use or has an unreadable models.config.
    """
    blessed = is_blessed(blessing) and is_blessed(infra_blessing, INFRA_BLESSED)
    reasons = [*read_reasons(blessing), *read_reasons(infra_blessing)]
    figures = {
        "model": str(_push(exported, evaluation, base, name)) if blessed else None,
        "reasons": "; ".join(reasons),
    }
    files.write_json(pathlib.Path(pushed) / PUSHED, figures)
    return figures


def _push(exported, evaluation, base, name):
    staged = pathlib.Path(exported) / name / STAGED
    card = json.loads((staged / export.CARD).read_text())
    # It holds the time of the export, so that no other staged model has the same.
    origin = hashlib.sha256((staged / export.CARD).read_bytes()).hexdigest()[:16]
    scores = json.loads((pathlib.Path(evaluation) / EVALUATION).read_text())
    card["evaluation"] = {"scores": scores["scores"], "card": scores["card"]}
    card["run"]["dataset"] = card["flags"]["dataset"] = scores["run"]["dataset"]
    card["staged"] = origin
    there = versions.Versions(base, name)
    versions.read_config(base)  # one that cannot be read is refused before the work
    version = _pushed_before(there, origin)
    if version is None:
        with there.publishing(0) as (version, folder):
            shutil.copytree(staged, folder, dirs_exist_ok=True)
            files.write_json(folder / export.CARD, card | {"version": version})
        return (there.folder / str(version)).resolve()
    known = versions.labels(versions.read_config(base), name)
    if version not in known.values():
        versions.set_label(there, "canary" if "stable" in known else "stable", version)
    return (there.folder / str(version)).resolve()


def _pushed_before(there, origin):
    for version in there.existing():
        try:
            card = json.loads((there.folder / str(version) / export.CARD).read_text())
        except (OSError, ValueError):  # of another program, or damaged
            continue
        if isinstance(card, dict) and card.get("staged") == origin:
            return version
    return None


def is_there(pushed: str) -> bool:
    """Whether what `pusher` noted in `pushed` still holds: the model lies in its place, or none was pushed."""
    try:
        model = json.loads((pathlib.Path(pushed) / PUSHED).read_text())["model"]
    except (OSError, ValueError, LookupError, TypeError):  # damaged: it is pushed again, unless it is there
        return False
    return model is None or (pathlib.Path(model) / export.CARD).exists()
