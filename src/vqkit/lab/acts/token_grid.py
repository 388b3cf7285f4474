"""The token grid of one signal: its indices, what is put in their place, and what the decoder makes of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
import numpy.typing as npt
import torch

from vqkit.coding import per_axis
from vqkit.errors import ConfigError, DataError
from vqkit.lab.acts.uploads import Upload, tensor
from vqkit.lab.workshop import OpenModel
from vqkit.models import IndexModel

Array = npt.NDArray[Any]
Indices = npt.NDArray[np.int64]
Position = tuple[int, ...]
_AROUND = 3
"""Positions on each side of one that are decoded with it, to show what a code makes there."""
_SHOWN = 1
"""Of these, how many on each side a patch shows."""
_AROUND_FRAMES, _SHOWN_FRAMES = 16, 8


@final
@dataclass(frozen=True)
class Change:
    """A code that was put in the place of another."""

    position: Position
    stage: int
    before: int
    after: int


@final
@dataclass(frozen=True)
class TokenGrid:
    """The indices of a signal, as they are now; kept in the session of one user, never changed in place.

    Attributes:
        model: the name of the model.
        name: of the signal.
        size: of the signal.
        indices: ``[*grid, codebooks]``.
        changes: in their order; each is undone by the one before.
        notes: on how the signal was read.
    """

    model: str
    name: str
    size: tuple[int, ...]
    indices: Indices
    changes: tuple[Change, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def grid(self) -> tuple[int, ...]:
        """Positions on each axis."""
        return tuple(self.indices.shape[:-1])

    @property
    def codebooks(self) -> int:
        """Indices a position."""
        return int(self.indices.shape[-1])

    def code(self, position: Position, stage: int) -> int:
        """Return the code at a position; -1: the codebook adds nothing there.

        Raises:
            ConfigError: no such position or codebook.
            DataError: the grid is empty.
        """
        self._check(position, stage)
        return int(self.indices[(*position, stage)])

    def put(self, position: Position, stage: int, code: int, codebook_size: int) -> TokenGrid:
        """Return the grid with another code at a position.

        Raises:
            ConfigError: no such position, codebook or code.
        """
        before = self.code(position, stage)
        if not 0 <= code < codebook_size:
            raise ConfigError(f"code {code}: the codebook has the codes 0 to {codebook_size - 1}")
        if code == before:
            return self
        indices = self.indices.copy()
        indices[(*position, stage)] = code
        return replace(self, indices=indices, changes=(*self.changes, Change(position, stage, before, code)))

    def undo(self) -> TokenGrid:
        """Return the grid before its newest change; itself if there is none."""
        if not self.changes:
            return self
        *kept, last = self.changes
        indices = self.indices.copy()
        indices[(*last.position, last.stage)] = last.before
        return replace(self, indices=indices, changes=tuple(kept))

    def reset(self) -> TokenGrid:
        """Return the grid as it was encoded."""
        found = self
        while found.changes:
            found = found.undo()
        return found

    def changed(self, stage: int | None = None) -> list[Position]:
        """Return the positions at which a code was put, of one codebook or of any, each once."""
        found = [each.position for each in self.changes if stage in (None, each.stage)]
        return list(dict.fromkeys(found))

    def _check(self, position: Position, stage: int) -> None:
        if not self.indices.size:  # of a session that has just begun, or begins anew
            raise DataError("nothing is encoded, or it was forgotten after a while: give the file or the example again")
        if len(position) != len(self.grid) or not all(
            0 <= at < length for at, length in zip(position, self.grid, strict=True)
        ):
            raise ConfigError(f"position {position}: the grid has {' x '.join(map(str, self.grid))} positions")
        if not 0 <= stage < self.codebooks:
            raise ConfigError(f"codebook {stage + 1}: the model has {self.codebooks}")


@torch.no_grad()
def encode_grid(opened: OpenModel, upload: Upload) -> TokenGrid:
    """Encode a signal to a token grid.

    Raises:
        DataError: a signal that the model does not read.
    """
    model = _discrete(opened)
    with opened.lock:
        indices = model.encode(tensor(opened, upload))[0].cpu().numpy()
    if model.num_codebooks == 1:
        indices = indices[..., None]
    return TokenGrid(opened.name, upload.name, upload.size, indices.astype(np.int64), (), upload.notes)


@torch.no_grad()
def decode_grid(opened: OpenModel, grid: TokenGrid) -> Array:
    """Decode a token grid to its signal ``[channels, *size]`` float32."""
    return _decoded(opened, grid.indices[None], grid.size)[0]


@torch.no_grad()
def patches(opened: OpenModel, grid: TokenGrid, position: Position, stage: int, codes: list[int]) -> list[Array]:
    """Decode what each of some codes makes at a position of the grid, its surroundings as they are.

    Args:
        opened: the model.
        grid: of a signal.
        position: in it.
        stage: the number of the codebook, from 0.
        codes: to be put there.

    Returns:
        For each code the signal around the position, ``[channels, *size]``: of pictures a position on each side, of
        sounds 8 frames.
    """
    model = _discrete(opened)
    around, shown = (_AROUND_FRAMES, _SHOWN_FRAMES) if model.axes == 1 else (_AROUND, _SHOWN)
    window: tuple[slice, ...] = tuple(
        slice(max(0, at - around), min(length, at + around + 1)) for at, length in zip(position, grid.grid, strict=True)
    )
    inner = tuple(at - each.start for at, each in zip(position, window, strict=True))
    part = np.repeat(grid.indices[window][None], len(codes), axis=0)
    here: tuple[Any, ...] = (slice(None), *inner, stage)
    part[here] = codes
    factors = per_axis(model.downsampling, model.axes)
    found = _decoded(opened, part, None)
    crop: tuple[slice, ...] = tuple(
        slice(max(0, at - shown) * factor, (at + shown + 1) * factor) for at, factor in zip(inner, factors, strict=True)
    )
    return [each[(slice(None), *crop)] for each in found]


def cell(opened: OpenModel, grid: TokenGrid, position: Position) -> tuple[slice, ...]:
    """The part of the signal that lies at a position."""
    factors = per_axis(_discrete(opened).downsampling, len(grid.grid))
    return tuple(
        slice(at * factor, min((at + 1) * factor, length))
        for at, factor, length in zip(position, factors, grid.size, strict=True)
    )


def _decoded(opened: OpenModel, indices: Indices, size: tuple[int, ...] | None) -> Array:
    model = _discrete(opened)
    codes = torch.from_numpy(np.ascontiguousarray(indices))
    if model.num_codebooks == 1:
        codes = codes[..., 0]
    with opened.lock:
        found: Array = model.decode(codes.to(model.device), size).float().cpu().numpy()
    return found


def _discrete(opened: OpenModel) -> IndexModel:
    if not isinstance(opened.model, IndexModel):
        raise ConfigError(f"{opened.name} has no codebook, so its latents are no tokens")
    return opened.model
