"""Scores of a run's held-out items, kept in the run: what later scores are ranked against, also without the data."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.checking import check_fields
from vqkit.evaluation.scoring.tables import COMMAND
from vqkit.models import IndexModel, Model, ScoreReference
from vqkit.pretrained.folder import content_hash
from vqkit.priors import Prior
from vqkit.storage import atomic
from vqkit.storage.outputs import marked
from vqkit.storage.reading import read_json

KEPT = "held-out-scores.json"
_MOST_BYTES, _MOST_VALUES = 1 << 28, 1 << 24
_FIELDS = {"of": Mapping[str, Any], "items": int, "columns": Mapping[str, Any]}


def reference_key(model: Model, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What the scores of held-out items depend on: the model, its prior, and the run's data and split.

    Args:
        model: with the prior that it uses.
        settings: of the run, ``run.json``.
    """
    prior = model.prior if isinstance(model, IndexModel) else None
    training = settings["training"]
    return {
        "model_sha256": content_hash(model),
        "prior_sha256": content_hash(prior) if isinstance(prior, Prior) else None,
        "fingerprint": settings["fingerprint"],
        **{name: training.get(name) for name in ("validation", "seed", "split_seed")},
    }


def read_reference(run: Path, key: Mapping[str, Any]) -> ScoreReference | None:
    """The reference that a run keeps; None where it keeps none, a damaged one, or one of another key."""
    try:
        found = check_fields(
            read_json(run / KEPT, most_bytes=_MOST_BYTES, most_values=_MOST_VALUES), _FIELDS, {"written_by": str}
        )
        if dict(found["of"]) != dict(key):
            return None
        columns = {str(name): np.sort(np.array(each, np.float64)) for name, each in found["columns"].items()}
    except (OSError, ValueError, TypeError, RuntimeError):
        return None
    usable = all(each.ndim == 1 and bool(np.isfinite(each).all()) for each in columns.values())
    return ScoreReference(items=found["items"], columns=columns) if usable and columns else None


def keep_reference(run: Path, key: Mapping[str, Any], reference: ScoreReference) -> bool:
    """Write the reference into a run, in place of another; returns whether the run may be written to."""
    columns = {name: values.tolist() for name, values in reference.columns.items()}
    document = marked(COMMAND, {"of": dict(key), "items": reference.items, "columns": columns})
    try:
        atomic.write_json(run / KEPT, document)
    except (OSError, ValueError):  # a read-only run; an error that is infinite
        return False
    return True
