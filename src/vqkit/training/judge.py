"""Evaluations along the way and at the end, with a picture each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vqkit import atomic
from vqkit.data import Source, evaluation_batches
from vqkit.evaluation import evaluate
from vqkit.models import Model
from vqkit.pictures import before_after_sheet, to_uint8

_SHOWN = 12


class Judge:
    """Judges a model on held-out data.

    Args:
        source: the validation items.
        batch_size: items at a time.
        items: how many to take along the way; the last evaluation takes all.
        pictures: folder for the sheets; None draws none (processes other than the first).
    """

    def __init__(self, source: Source, batch_size: int, items: int, pictures: Path | None) -> None:
        self.source = source
        self.few = source if len(source) <= items else source.subset(list(range(items)))
        self.batch_size = batch_size
        self.pictures = pictures

    def along_the_way(self, model: Any, step: int) -> tuple[dict[str, Any], Image.Image | None] | None:
        """Evaluate on the first ``items`` and draw a sheet; a full disk costs the sheet only."""
        return self._judge(model, self.few, f"step_{step:09d}.png", bits=False)

    def at_the_end(self, model: Any) -> tuple[dict[str, Any], Image.Image | None]:
        """Evaluate on the whole set."""
        return self._judge(model, self.source, "final.png", bits=True)

    def _judge(self, model: Model, source: Source, name: str, bits: bool) -> tuple[dict[str, Any], Image.Image | None]:
        batches = evaluation_batches(source, self.batch_size)
        values = evaluate(model, batches, bits=bits, original_bytes=source.original_bytes()).as_dict()
        sheet = self._sheet(model) if source.axes == 2 else None
        if sheet is not None and self.pictures is not None:
            picture = sheet
            try:
                atomic.write_file(self.pictures / name, lambda temporary: picture.save(temporary, format="PNG"))
            except OSError:
                sheet = None
        return values, sheet

    def _sheet(self, model: Model) -> Image.Image:
        before, after = reconstructions(model, self.few, min(_SHOWN, len(self.few)))
        return before_after_sheet([("original", before), ("reconstruction", after)])


def reconstructions(model: Model, source: Source, count: int) -> tuple[list[Tensor], list[Tensor]]:
    """The first ``count`` images and what the model makes of them, as uint8 ``[channels, height, width]``."""
    before: list[Tensor] = []
    after: list[Tensor] = []
    for index in range(count):
        item = torch.as_tensor(source.read(index)).unsqueeze(0).to(model.device)
        after.append(torch.from_numpy(to_uint8(model.reconstruct(item))[0]))
        before.append(torch.from_numpy(to_uint8(item)[0]))
    return before, after
