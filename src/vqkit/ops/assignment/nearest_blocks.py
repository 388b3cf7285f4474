"""The search for the nearest code in plain torch: blocks of scores that stay in cache, then the doubtful rows again.

Scores are ``x.c - |c|^2 / 2`` (greatest for the nearest code), made by one matrix product per block. What costs time
beside the product is the reduction, and ``argmax`` runs at about a sixth of ``amax``'s speed on a CPU. So the winner is
found by value: ``amax`` over groups of neighbouring codes leaves few numbers per latent; which of them come within the
rounding of the greatest is a table of zeros and ones, and its product with (M, M + 1, M + 2, ...) names the group as
long as there is one alone; likewise the code within the group. Rows with a rival that near are decided anew from
float64 differences, so the answer depends on nothing but the numbers. All blocks of a thread share one
workspace: memory fresh from the operating system costs more than the reductions. On a CPU, each thread searches for
the rows of whole blocks; small searches are left to torch's threads within each operation, whose start costs less.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import final

import torch
from torch import Tensor

from vqkit.deprecation import moved
from vqkit.ops.assignment.score_margin import Margin
from vqkit.ops.assignment.worker_threads import Share, alone, in_workers
from vqkit.ops.reproducible import reproducible_sum

__getattr__ = moved(__name__, {"product_roundoff": "vqkit.ops.assignment.score_margin:product_roundoff"})

_GROUP = 64
_ROWS, _CODES = 2048, 1024
"""Latents and codes of a block on the CPU: 8 MiB of float32 scores, which a processor's last cache holds."""
_MOST_ROWS = 16_384
"""With fewer codes there are as many more latents in a block, up to so many."""
_LEAST_ROWS = 256
"""Latents of a worker thread, below which its calls cost more than its operations."""
_WORTH_THREADS = 1 << 30
"""Multiplications (N x K x D) from which on worker threads are woken: with half of them, 8 ms of work on 2 cores, they
cost 18 % on a quiet machine; with as many, 3 %; with more, nothing (``benchmarks/results/2026-11-28.md``)."""
_SMALL = 1 << 17
"""Scores up to which one table of them is searched as it is: the search of one small picture, half as long."""
_SMALL_CODEBOOK = 1 << 20
"""Numbers in a codebook that a small search casts as a whole; a larger one is searched in blocks, in bounded memory."""
_ELSEWHERE = 16
"""Times as many latents per block on other devices, whose caches matter less than their launches."""
_CROWD = 16
"""Codes near a latent, on average, from which on equal ones are left out, and then the near ones sought in float64."""
_PAIRS = 1 << 18
"""Numbers of a table of float64 on the CPU, of which a thread has three: 2 MiB each."""
_MANY = 128.0
"""Above every place within a block, and small enough that M + place has 8 significant bits: factors of a product may be
cut to bfloat16's, where torch is told to (and some processors then do so in products with a vector, too)."""
_LOWEST = -3.0e38
_LARGEST = 1.0e37
"""Square norm from which on a code is no longer told apart in float32."""


@dataclass(frozen=True, eq=False)
class _Codes:
    """The codebook as the product reads it."""

    table: Tensor  # [K, D]
    offsets: Tensor  # [K]: -|c|^2 / 2, or 0
    norm: Tensor  # of the longest code
    euclidean: bool  # what is compared

    @property
    def size(self) -> int:
        return int(self.table.shape[0])

    @cached_property
    def in_float64(self) -> _Codes:
        table = self.table.double()
        offsets = self.offsets.double()
        if self.euclidean:
            offsets = torch.where(self.offsets > _LOWEST, table.square().sum(dim=1).mul_(-0.5), offsets)
        return _Codes(table, offsets, self.norm.double(), self.euclidean)

    @cached_property
    def first_of_equals(self) -> Tensor:
        """``[K]``: the lowest index of a code that has the same numbers."""
        _, inverse = torch.unique(torch.cat([self.table, self.offsets.unsqueeze(1)], dim=1), dim=0, return_inverse=True)
        first = torch.full_like(inverse, self.size)
        first.scatter_reduce_(0, inverse, torch.arange(self.size, device=inverse.device), "amin")
        return first[inverse]

    def without_equals(self, row: Tensor, code: Tensor) -> tuple[Tensor, Tensor]:
        """Pairs without the codes that are others again."""
        kept = self.first_of_equals[code] == code
        return row[kept], code[kept]

    def scores(self, block: Tensor) -> Tensor:
        """``[rows, K]``."""
        return torch.addmm(self.offsets, block, self.table.t())

    def margin(self, block: Tensor) -> Margin:
        return Margin.of(block, self.norm, euclidean=self.euclidean)


@dataclass(frozen=True, eq=False)
class _Best:
    """Of each latent the best of some codes.

    Attributes:
        value: the greatest score ``[n, 1]``.
        code: ``[n]`` int64.
        doubtful: ``[n]`` bool, whether another one comes near it.
        reach: ``[n, 1]``, what near means.
    """

    value: Tensor
    code: Tensor
    doubtful: Tensor
    reach: Tensor

    def with_more(self, found: _Best, first: int) -> _Best:
        """The best of these codes and of a further block of them, which begins at code ``first``."""
        gain, reach = found.value - self.value, torch.minimum(self.reach, found.reach)  # that of the greater score
        wins = (gain > 0).squeeze(1)
        doubtful = torch.where(wins, found.doubtful, self.doubtful)
        doubtful.logical_or_((gain.abs_() <= reach).squeeze(1))
        code = torch.where(wins, found.code + first, self.code)
        return _Best(torch.maximum(self.value, found.value), code, doubtful, reach)


class _Workspace:
    """Everything that a block of scores of ``rows`` latents needs, allocated once."""

    def __init__(self, like: Tensor, rows: int, width: int) -> None:
        group = min(_GROUP, width)
        groups = width // group
        self.shape = (groups, group)
        self.scores = like.new_empty(rows, groups, group)
        self.tops, self.near_tops = like.new_empty(2, rows, groups).unbind()
        self.among = like.new_empty(rows, group)
        self.value, self.least = like.new_empty(2, rows, 1).unbind()
        self.which_group, self.which_code = like.new_empty(2, rows).unbind()
        self.place = torch.empty(rows, dtype=torch.int64, device=like.device)
        self.first_group = torch.arange(rows, device=like.device) * groups
        counts = _MANY + torch.arange(max(groups, group), device=like.device).to(like.dtype)
        self.count_groups, self.count_codes = counts[:groups], counts[:group]
        self.rows = rows

    def best_of(self, block: Tensor, offsets: Tensor, table: Tensor, margin: Margin) -> _Best:
        """The best codes of a block of them."""
        (groups, group), scores, among = self.shape, self.scores, self.among
        torch.addmm(offsets, block, table.t(), out=scores.view(len(block), -1))
        torch.amax(scores, dim=2, out=self.tops)
        torch.amax(self.tops, dim=1, keepdim=True, out=self.value)
        reach = margin.beside(self.value)
        least = torch.sub(self.value, reach, out=self.least)
        which, code = self.which_group, self.which_code
        torch.mv(torch.ge(self.tops, least, out=self.near_tops), self.count_groups, out=which)
        which.sub_(_MANY).clamp_(0, groups)  # several groups (or, for NaN, none): kept inside, and told by the value
        place = self.place.copy_(which).clamp_(max=groups - 1)
        chosen = place * group
        torch.index_select(scores.view(-1, group), 0, place.add_(self.first_group), out=among)
        torch.mv(torch.ge(among, least, out=among), self.count_codes, out=code)
        code.sub_(_MANY).clamp_(0, group)
        doubtful = (which >= groups).logical_or_(code >= group)
        return _Best(self.value, chosen.add_(code.to(torch.int64)), doubtful, reach)


def nearest_in_blocks(latents: Tensor, codebook: Tensor, *, euclidean: bool = True) -> Tensor:
    """The nearest code (or, with ``euclidean=False``, the one of greatest dot product), lowest index on ties.

    Args:
        latents: ``[N, D]`` float32.
        codebook: ``[K, D]`` float32, K >= 1, on the same device.
        euclidean: what is compared.

    Returns:
        ``[N]`` int64: of the codes that are ``usable``, the one for which ``sum((x - c)^2)`` (or ``x.c``), computed in
        float64, is best.
    """
    small = 0 < len(latents) * len(codebook) <= _SMALL and codebook.numel() <= _SMALL_CODEBOOK
    if latents.device.type == "cpu" and small:
        indices = _search_small(latents, codebook, euclidean)
        if indices is not None:
            return indices
    workers = _workers(latents, codebook)
    if workers == 1:
        return _search(latents, codebook, euclidean, _rows_at_once(latents, codebook), alone)
    rows = min(_rows_at_once(latents, codebook), -(-len(latents) // (2 * workers)))
    return in_workers(lambda share: _search(latents, codebook, euclidean, rows, share), workers)


def _search_small(latents: Tensor, codebook: Tensor, euclidean: bool) -> Tensor | None:
    """Search in one table of scores; None where a code or a latent is not finite (or too large for float32)."""
    codes = _few_codes(codebook, euclidean)
    return None if codes is None else _search_table(latents, codes)


def _few_codes(codebook: Tensor, euclidean: bool) -> _Codes | None:
    """All codes, for one table of scores; None where one is not finite."""
    norms = codebook.double().square().sum(dim=1)
    largest = norms.amax()
    if not float(largest) < _LARGEST:  # True for NaN
        return None
    offsets = norms.mul_(-0.5).to(codebook.dtype) if euclidean else codebook.new_zeros(len(codebook))
    return _Codes(codebook, offsets, largest.sqrt_().to(codebook.dtype), euclidean)


def _search_table(latents: Tensor, codes: _Codes) -> Tensor | None:
    """The nearest codes by one table of scores; None where a latent is not finite."""
    scores = codes.scores(latents)
    least = scores.amax(dim=1, keepdim=True).sub_(codes.margin(latents).most())
    row, code = torch.nonzero(scores >= least, as_tuple=True)
    if len(row) < len(latents) or (len(latents) > 1 and len(row.unique_consecutive()) < len(latents)):
        return None
    return code if len(row) == len(latents) else _settle(latents, codes)


@final
class PreparedSearch:
    """``nearest_code`` of a codebook that stays as it is: what depends on the codebook alone is computed once.

    For a few latents at a time, as in a stream.

    Args:
        codebook: ``[K, D]``; it is not copied.

    Example:
        >>> import torch
        >>> from vqkit.ops.assignment.nearest_blocks import PreparedSearch
        >>> search = PreparedSearch(torch.tensor([[0.0, 0.0], [1.0, 1.0]]))
        >>> search(torch.tensor([[0.2, 0.1], [0.9, 2.0]]))
        tensor([0, 1])
    """

    def __init__(self, codebook: Tensor) -> None:
        self._codebook = codebook.detach().float()
        small = self._codebook.device.type == "cpu" and self._codebook.numel() <= _SMALL_CODEBOOK
        self._codes = _few_codes(self._codebook, True) if small else None

    def __call__(self, latents: Tensor) -> Tensor:
        """``[N]`` int64 of latents ``[N, D]`` float32: the same as ``nearest_in_blocks``."""
        found = None
        if self._codes is not None and 0 < len(latents) * self._codes.size <= _SMALL:
            found = _search_table(latents, self._codes)
        return nearest_in_blocks(latents, self._codebook) if found is None else found


def _workers(latents: Tensor, codebook: Tensor) -> int:
    """Threads that each search for their own rows; 1 where torch's sharing of single operations has to do."""
    if latents.device.type != "cpu" or latents.numel() * codebook.shape[0] < _WORTH_THREADS:
        return 1
    if torch._C._len_torch_dispatch_stack():  # a mode that watches every operation (FlopCounterMode) is this thread's
        return 1
    return min(torch.get_num_threads(), -(-len(latents) // _LEAST_ROWS))


def _rows_at_once(latents: Tensor, codebook: Tensor) -> int:
    rows = min(_ROWS * _CODES // _width(len(codebook)), _MOST_ROWS)
    return min(max(len(latents), 1), rows * (1 if latents.device.type == "cpu" else _ELSEWHERE))


def _search(latents: Tensor, codebook: Tensor, euclidean: bool, rows: int, share: Share) -> Tensor:
    """Search for blocks of ``rows`` latents, then again for the doubtful ones."""
    count = latents.shape[0]
    codebook, norms, sound = usable(codebook, share)
    offsets = (-0.5 * norms).to(codebook.dtype) if euclidean else torch.zeros_like(norms, dtype=codebook.dtype)
    if sound is not None:
        offsets = torch.where(sound, offsets, _LOWEST)
    codes = _Codes(codebook, offsets, norms.max().sqrt().to(codebook.dtype), euclidean)
    width = _width(codes.size)
    tiles = [_tile(codes, first, width) for first in range(0, codes.size, width)]
    indices = torch.empty(count, dtype=torch.int64, device=latents.device)
    doubtful = torch.empty(count, dtype=torch.bool, device=latents.device)

    def search(starts: Iterator[int]) -> None:
        space = _Workspace(latents, rows, width)
        for start in starts:
            block = latents[start : start + rows]
            if len(block) < space.rows:  # the last one
                del space
                space = _Workspace(latents, len(block), width)
            margin = codes.margin(block)
            best = space.best_of(block, *tiles[0], margin)
            if len(tiles) > 1:
                best = replace(best, value=best.value.clone())
            for number, tile in enumerate(tiles[1:], start=1):
                best = best.with_more(space.best_of(block, *tile, margin), number * width)
            indices[start : start + rows] = best.code
            doubtful[start : start + rows] = best.doubtful

    def settle(parts: Iterator[Tensor]) -> None:
        for few in parts:
            indices[few] = _settle(latents[few], codes)

    share(range(0, count, rows), search)
    share(torch.nonzero(doubtful).squeeze(1).split(min(rows, _ROWS)), settle)
    return indices


def _width(size: int) -> int:
    """Codes of a block: whole groups, no more than there are (the last block is filled up)."""
    return min(_CODES, size if size <= _GROUP else -(-size // _GROUP) * _GROUP)


def _tile(codes: _Codes, first: int, width: int) -> tuple[Tensor, Tensor]:
    """Offsets ``[width]`` and codes ``[width, D]`` from ``first`` on; copies only where a tile must be filled up."""
    offsets, table = codes.offsets[first : first + width], codes.table[first : first + width]
    if len(table) == width:
        return offsets, table
    more = width - len(table)
    return (
        torch.cat([offsets, offsets.new_full((more,), _LOWEST)]),
        torch.cat([table, table.new_zeros(more, table.shape[1])]),
    )


def _settle(rows: Tensor, codes: _Codes) -> Tensor:
    """The best code of each row by float64 arithmetic on the codes whose score comes near the best one's."""
    most = _ROWS * _CODES // (4 if rows.device.type == "cpu" else 1)  # several threads may settle at a time
    found = []
    for block in rows.split(max(1, most // codes.size)):
        pairs, crowd = _near(block, codes), _CROWD * len(block)
        if len(pairs[0]) > crowd:
            pairs = codes.without_equals(*pairs)
        if len(pairs[0]) > crowd:  # codes that float32 does not tell apart
            pairs = codes.without_equals(*_near(block.double(), codes.in_float64))
        found.append(_best_of_pairs(block, codes, *pairs))
    return torch.cat(found)


def _near(block: Tensor, codes: _Codes) -> tuple[Tensor, Tensor]:
    """Pairs of each row and the codes whose score comes near the best one's: two of ``[pairs]``."""
    scores = codes.scores(block)
    best = scores.amax(dim=1, keepdim=True)
    row, code = torch.nonzero(scores >= best.sub_(codes.margin(block).beside(best)), as_tuple=True)
    return row, code


def _best_of_pairs(block: Tensor, codes: _Codes, row: Tensor, code: Tensor) -> Tensor:
    """``[rows]``: of the codes that are paired with each row the best in float64; the last one of all without a pair.

    Args:
        block: ``[rows, D]``.
        codes: the codebook.
        row: ``[pairs]``.
        code: ``[pairs]``, likewise.
    """
    value = torch.cat(
        [
            _value(block[r], codes.table[c], codes.euclidean)
            for r, c in zip(row.split(_pairs(block)), code.split(_pairs(block)), strict=True)
        ]
    )
    best = torch.full((len(block),), torch.inf, dtype=value.dtype, device=value.device)
    best.scatter_reduce_(0, row, value, "amin")
    wins = value == best[row]
    index = torch.full((len(block),), codes.size - 1, dtype=torch.int64, device=block.device)
    return index.scatter_reduce_(0, row[wins], code[wins], "amin", include_self=True)


def _pairs(block: Tensor) -> int:
    return max(1, _PAIRS * (1 if block.device.type == "cpu" else _ELSEWHERE) // block.shape[1])


def _value(x: Tensor, c: Tensor, euclidean: bool) -> Tensor:
    """Return the squared distance, or the negative dot product, of each pair: ``[pairs]`` float64."""
    terms = (x.double() - c.double()).square() if euclidean else -(x.double() * c.double())
    return reproducible_sum(terms, dim=1)


def usable(codebook: Tensor, share: Share = alone) -> tuple[Tensor, Tensor, Tensor | None]:
    """The codebook with zeros for codes that no latent can be near, the square norms, and which codes are sound.

    Codes with NaN, Inf or a square beyond float32 are not sound: one of them would spoil every score. Those that stand
    for them must be given the lowest score.

    Returns:
        ``[K, D]``, ``[K]`` float64, and ``[K]`` bool; None where all are sound.

    Raises:
        ValueError: no code is sound (on the CPU; elsewhere that would be waiting for the device).
    """
    norms = square_norms(codebook, share)
    sound = norms < _LARGEST  # False for NaN
    if norms.device.type == "cpu":
        if bool(sound.all()):
            return codebook, norms, None
        if not bool(sound.any()):
            raise ValueError("no code of the codebook is finite, so none is nearest: was it trained to NaN?")
    zero = codebook.new_zeros(())
    return torch.where(sound.unsqueeze(1), codebook, zero), torch.where(sound, norms, 0.0), sound


def square_norms(codebook: Tensor, share: Share = alone) -> Tensor:
    """``[K]`` float64, a part of the codebook at a time."""
    norms = torch.empty(len(codebook), dtype=torch.float64, device=codebook.device)

    def compute(parts: Iterator[tuple[Tensor, Tensor]]) -> None:
        for part, norm in parts:
            torch.sum(part.double().square(), dim=1, out=norm)

    rows = _pairs(codebook)
    share(list(zip(codebook.split(rows), norms.split(rows), strict=True)), compute)
    return norms
