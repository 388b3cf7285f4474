"""Provenance of a run's numbers beside its settings: content hashes of the data, held-out data and tokenizer."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from vqkit.data import Source
from vqkit.data.identity import content_fingerprint
from vqkit.errors import DataError
from vqkit.pretrained.folder import content_hash
from vqkit.spelling import option
from vqkit.training.config import TrainConfig
from vqkit.training.inputs.holdout import held_out_data
from vqkit.training.trainable import Trainable

_ITEMS, _BYTES = 1024, 1 << 30
_WORDS = {"data": "data", "validation": "held-out data", "tokenizer": "tokenizer"}


def contents(source: Source, config: TrainConfig) -> dict[str, str]:
    """Hashes of the data and, where held-out data is named by ``config.validation``, of that."""
    found = {"data": content_fingerprint(source)}
    other = held_out_data(config.validation)
    if other is not None:
        found["validation"] = content_fingerprint(other)
    return found


def made_of(model: Trainable, source: Source, config: TrainConfig) -> dict[str, str]:
    """The hashes that ``run.json`` keeps; of data above a GiB those of some of its items, so that nobody waits."""
    found = {"data": content_fingerprint(_some(source))}
    other = held_out_data(config.validation)
    if other is not None:
        found["validation"] = content_fingerprint(_some(other))
    found |= {name: content_hash(companion) for name, companion in model.companions.items()}
    return found


def _some(source: Source) -> Source:
    """The source, or where it is large some of its items, always the same."""
    values = source.item_sizes().prod(axis=1).sum() * source.channels
    if len(source) <= _ITEMS or int(values) * source.dtype.itemsize <= _BYTES:
        return source
    return source.subset(np.linspace(0, len(source) - 1, _ITEMS).astype(np.int64))


def check_made_of(path: Path, recorded: Mapping[str, str], now: Mapping[str, str], source: Source) -> None:
    """Raise ``DataError`` where a run depends on other contents than are there now.

    What an older version did not record is not compared.
    """
    other = [_WORDS.get(name, name) for name in recorded if name in now and recorded[name] != now[name]]
    if other:
        raise DataError(
            f"{path}: this is not the {' and '.join(other)} that the run was started with (the contents differ; the "
            f"data is {source.describe()}), so held-out items would leak into training; give the same, or start a new "
            f"run (another {option('out')})"
        )
