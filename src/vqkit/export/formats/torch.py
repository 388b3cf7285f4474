"""torch.export: graphs that PyTorch computes without this package, in Python and compiled ahead of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, final

import numpy as np
import torch

from vqkit.export.formats.base import EXPORT_FORMATS, ExportFormat, Runner, quiet, traced
from vqkit.export.graphs import Graph


@EXPORT_FORMATS.register("torch")
@final
class TorchFormat(ExportFormat):
    """``.pt2`` files: ``torch.export.load(path).module()(signals)``.

    They hold torch's own operations only, so what reads them needs no vqkit. ``torch.export.load`` trusts a file as
    torch does: read those that you wrote yourself.

    Example:
        >>> from vqkit.export.formats import TorchFormat
        >>> TorchFormat().suffix
        '.pt2'
    """

    suffix: ClassVar[str] = ".pt2"

    def write(self, graph: Graph, path: Path, metadata: Mapping[str, str]) -> None:
        """See ``ExportFormat.write``."""
        with quiet():
            torch.export.save(traced(graph), path, extra_files={f"{key}.txt": text for key, text in metadata.items()})

    def open(self, path: Path) -> Runner:
        """See ``ExportFormat.open``."""
        with quiet():
            module = torch.export.load(path).module()

        def run(inputs: Sequence[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
            with torch.no_grad():
                found = module(*(torch.from_numpy(np.ascontiguousarray(each)) for each in inputs))
            return [each.numpy() for each in ((found,) if isinstance(found, torch.Tensor) else found)]

        return run
