"""A compression that goes on where a killed one of the same content stopped, and is the only one into its file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

from torch import Tensor

from vqkit.codec.compressor import Compressor
from vqkit.codec.protocols import PixelModel, Search
from vqkit.codec.resuming.work import Memory, Result
from vqkit.codec.signals import LongBatch
from vqkit.pretrained.identity import model_digest
from vqkit.storage.lock import file_lock, short_name


@contextmanager
def going_on(compressor: Compressor, out: Path, doing: str = "compressing") -> Iterator[Memory]:
    """Be the only one who compresses into ``out``, with the results that a killed compression into it has left.

    They lie in a hidden file beside it, which is removed at the end, unless somebody stops the process.

    Raises:
        ConfigError: another process compresses into this file; says which.
    """
    with file_lock(out, doing):
        name = short_name(out)
        for left in out.parent.glob(".*.part"):
            if re.fullmatch(rf"\.{re.escape(out.name)}\.[0-9a-f]{{8}}\.part", left.name):
                left.unlink(missing_ok=True)
        file = out.parent / f".{name}.work"
        memory = Memory(file)
        try:
            with _used(compressor, memory):
                yield memory
        except Exception:
            memory.close()
            file.unlink(missing_ok=True)
            raise
        finally:
            memory.close()
        file.unlink(missing_ok=True)


@contextmanager
def _used(compressor: Compressor, memory: Memory) -> Iterator[None]:
    """A compressor that asks this memory."""
    model = compressor.model
    about = [model_digest(model), model.device.type]
    entropies = [compressor.entropy, *compressor.beside]
    pixel_model, search = compressor.pixel_model, compressor.search
    compressor.memory = memory, about
    for each in entropies:
        each.memory = memory, [each.kind, each.digest.hex()]
    if pixel_model is not None:
        compressor.pixel_model = _Pixels(pixel_model, memory)
    if search is not None:
        entropy = [[each.kind, each.digest.hex()] for each in entropies]
        compressor.search = _Rates(search, memory, [*about, search.wanted, entropy, compressor.optimize])
    try:
        yield
    finally:
        compressor.memory, compressor.pixel_model, compressor.search = None, pixel_model, search
        for each in entropies:
            each.memory = None


@final
class _Pixels:
    """A pixel model that asks a memory."""

    def __init__(self, model: PixelModel, memory: Memory) -> None:
        self._model, self._memory = model, memory
        self._digest = model.digest

    @property
    def digest(self) -> bytes:
        """See ``PixelModel.digest``."""
        return self._model.digest

    def encode(self, indices: Tensor, images: Tensor) -> bytes:
        """See ``PixelModel.encode``."""
        arrays = [indices.cpu().numpy(), images.cpu().numpy()]
        make: Callable[[], Result] = lambda: (None, self._model.encode(indices, images))  # noqa: E731
        return self._memory.recall("pixels", self._digest.hex(), arrays, make)[1]

    def decode(self, indices: Tensor, data: bytes, size: tuple[int, ...], channels: int) -> Tensor:
        """See ``PixelModel.decode``."""
        return self._model.decode(indices, data, size, channels)


@final
class _Rates:
    """A search for a rate that asks a memory."""

    def __init__(self, search: Search, memory: Memory, about: list[Any]) -> None:
        self._search, self._memory, self._about = search, memory, about

    @property
    def wanted(self) -> float:
        """See ``Search.wanted``."""
        return self._search.wanted

    def settings(self, batch: Tensor | LongBatch) -> tuple[int, float | None]:
        """See ``Search.settings``."""
        make: Callable[[], Result] = lambda: (list(self._search.settings(batch)), b"")  # noqa: E731
        numbers = [batch.cpu().numpy()] if isinstance(batch, Tensor) else batch.pieces()
        codebooks, weight = self._memory.recall("rate", self._about, numbers, make)[0]
        return int(codebooks), None if weight is None else float(weight)
