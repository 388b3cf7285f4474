"""Origin of an evaluation: which model and data, and what trained it; kept beside the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vqkit.data import Source
from vqkit.models import Model
from vqkit.pretrained.folder import content_hash
from vqkit.results.result import short_path
from vqkit.training.record.run import is_run, read_config


def origin(name: str | Path, model: Model, source: Source, *, codebooks: int | None = None) -> dict[str, Any]:
    """Return what tells an evaluation apart from others, as JSON values.

    Args:
        name: of the run or model, as it was given.
        model: that was judged.
        source: what it was judged on.
        codebooks: how many of a residual stack; None: all.
    """
    path = Path(name)
    run: Mapping[str, Any] | None = read_config(path) if is_run(path) else None
    return {
        "name": short_path(path),
        "model": {"model_type": model.model_type, **model.config},
        "model_sha256": content_hash(model),
        "data": {"name": source.spec or source.name, "description": source.describe()},
        **({} if run is None else {"run": {key: run[key] for key in ("data", "fingerprint", "training")}}),
        **({} if codebooks is None else {"codebooks": codebooks}),
    }
