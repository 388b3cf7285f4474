"""Models side by side on one signal: what each makes of it, and its numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np

from vqkit.errors import ConfigError, DataError, VqkitError
from vqkit.lab import limits
from vqkit.lab.acts.comparison import Comparison, RateRow, compare, rate_table
from vqkit.lab.acts.examples import example_names, is_held_out, read_example
from vqkit.lab.acts.uploads import Upload, read_upload
from vqkit.lab.workshop import OpenModel
from vqkit.models import IndexModel


@final
@dataclass(frozen=True)
class Entry:
    """One model's part of a comparison.

    Attributes:
        opened: the model.
        upload: the signal as this model reads it.
        found: its reconstruction; None: it does not read the signal.
        row: its bytes with all codebooks; None: it has no codebook.
        wrong: why it does not read the signal.
    """

    opened: OpenModel
    upload: Upload | None
    found: Comparison | None
    row: RateRow | None = None
    wrong: str = ""


def side_by_side(
    models: Sequence[OpenModel], file: str | Path | None, example: str | None, side: int | None = None
) -> Iterator[Entry]:
    """Yield what each model makes of one file, or of an example, one after another.

    A held-out item is that of the first model that has one of this name; runs whose item is another one say so.

    Args:
        models: of one kind of signal.
        file: that was uploaded; None: the example.
        example: its name.
        side: longest side of pictures.

    Raises:
        DataError: no file that any of them reads.
    """
    first: tuple[str, Upload] | None = None
    for opened in models:
        try:
            if file is None and example is not None:
                upload = _example(opened, example, side, first)
                first = (opened.name, upload) if first is None else first
            else:
                upload = read_upload(opened, file, side, limits.MOST_SECONDS)
            found = compare(opened, upload)
            model = opened.model
            rows = rate_table(opened, upload, [model.num_codebooks]) if isinstance(model, IndexModel) else []
            yield Entry(opened, upload, found, rows[0] if rows else None)
        except VqkitError as error:
            if len(models) == 1:
                raise
            yield Entry(opened, None, None, None, str(error))


def _example(opened: OpenModel, name: str, side: int | None, first: tuple[str, Upload] | None) -> Upload:
    """An example as a model reads it: of held-out items the same signal as that of the first model.

    Raises:
        DataError: it has no such example, or its item of that name is another signal.
    """
    if name not in example_names(opened):
        whose = "held-out items are" if is_held_out(name) else "examples are"
        raise DataError(f"it has no example {name!r}: {whose} those of a run's own data; drop a file to compare all")
    upload = read_example(opened, name, side)
    if first is not None and is_held_out(name) and not np.array_equal(upload.signals, first[1].signals):
        raise ConfigError(
            f"its {name} is another signal than that of {first[0]}, since their data or their splits differ; drop a "
            "file, or choose an example that comes with vqkit"
        )
    return upload
