"""Sums of the vectors of each code on a GPU, the same numbers at every run: sorted, then summed in pieces.

``index_add_`` adds by atomic operations in whatever order they come, and codes that many latents choose wait for each
other. Here positions are sorted by code, each run of at most ``PIECE`` of them is summed by one program, and the pieces
of a code are summed the same way.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from vqkit.ops.assignment.nearest_triton import on_device

PIECE = 256
_ROWS = 16


def code_sums_sorted(vectors: Tensor, indices: Tensor, codebook_size: int) -> Tensor:
    """See ``ops.code_sums``; float32 vectors ``[N, D]``, ``[K, D]`` back."""
    vectors = vectors.contiguous()
    order = torch.argsort(indices, stable=True)
    counts = torch.zeros(codebook_size, dtype=torch.int64, device=indices.device)
    counts.scatter_add_(0, indices, torch.ones_like(indices))
    pieces = (counts + PIECE - 1) // PIECE
    owners = torch.repeat_interleave(torch.arange(codebook_size, device=indices.device), pieces)
    firsts = pieces.cumsum(0) - pieces
    within = torch.arange(len(owners), device=indices.device) - firsts[owners]
    begins = (counts.cumsum(0) - counts)[owners] + within * PIECE
    ends = torch.minimum(begins + PIECE, counts.cumsum(0)[owners])
    partial = _segment_sums(vectors, order, begins, ends)
    return _segment_sums(partial, torch.arange(len(owners), device=indices.device), firsts, firsts + pieces)


def _segment_sums(values: Tensor, order: Tensor, begins: Tensor, ends: Tensor) -> Tensor:
    """``[segments, D]``: the sum of ``values[order[begin:end]]`` for each segment."""
    width = values.shape[1]
    found = torch.zeros(len(begins), width, dtype=values.dtype, device=values.device)
    if len(begins) and width:
        block = min(128, max(16, 1 << (width - 1).bit_length()))
        grid = (len(begins), -(-width // block))
        with on_device(values):
            _kernel()[grid](values, order, begins, ends, found, width, rows=_ROWS, block=block)
    return found


@cache
def _kernel() -> Any:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def sums(
        value_ptr: Any,
        order_ptr: Any,
        begin_ptr: Any,
        end_ptr: Any,
        out_ptr: Any,
        width: Any,
        rows: tl.constexpr,
        block: tl.constexpr,
    ) -> None:
        segment = tl.program_id(0).to(tl.int64)
        columns = tl.program_id(1) * block + tl.arange(0, block)
        begin = tl.load(begin_ptr + segment)
        end = tl.load(end_ptr + segment)
        total = tl.zeros((rows, block), tl.float32)
        for start in range(begin, end, rows):
            places = start + tl.arange(0, rows)
            there = places < end
            chosen = tl.load(order_ptr + places, mask=there, other=0)
            total += tl.load(
                value_ptr + chosen[:, None] * width + columns[None, :],
                mask=there[:, None] & (columns < width)[None, :],
                other=0.0,
            )
        tl.store(out_ptr + segment * width + columns, tl.sum(total, axis=0), mask=columns < width)

    return sums
