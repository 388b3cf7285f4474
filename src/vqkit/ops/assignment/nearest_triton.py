"""The search for the nearest code as one fused kernel on a GPU.

A program holds a block of latents and goes over all codes. Scores ``x.c - |c|^2 / 2`` come from the tensor cores in
TF32 and stay in registers: code ``k`` belongs to slot ``k mod BLOCK_K``, and for each latent and slot the kernel keeps
the best score, its block, and the second best score. Nothing crosses lanes until the end, where the slots give the
best code, the runner-up of another slot, and the best score of all that remains.

TF32 keeps 11 bits of a factor, so two scores are in order for sure only when they differ by more than a margin. Where
the runner-up alone comes that near, the two are compared by float64 differences; where more do, the row goes through
the search in blocks. The answer is that of ``nearest_in_blocks``, exactly.
"""

from __future__ import annotations

import os
import warnings
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from vqkit.ops.assignment.nearest_blocks import nearest_in_blocks, usable

BLOCK_N, BLOCK_K, WARPS = 64, 64, 4
_WIDEST = 128
"""Numbers of a latent that stay in the program; longer ones are read again for each block of codes, in pieces."""
_PIECE = 64
_PAIRS = 1 << 24
"""Numbers of latents that are looked at again at one time, in float64."""
_TF32 = 2.0**-10
"""Relative error of a factor: some tensor cores cut off the lower bits of float32 instead of rounding them."""
_SUM = 2.0**-23
"""Relative error of an addition, which they may cut off as well."""


def interpreted() -> bool:
    """Return True if Triton runs in its interpreter instead of on a GPU."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def importable() -> bool:
    """Return True if Triton is installed."""
    try:
        import triton  # noqa: F401
    except ImportError:
        return False
    return True


def available(like: Tensor) -> bool:
    """Return True if the kernels run on the device of this tensor."""
    if like.device.type != "cuda":
        return interpreted() and importable()
    return importable() and _works(like.device)


@cache
def _works(device: torch.device) -> bool:
    """Return True if a small search runs on this device; warn once if it does not."""
    try:
        best_two(torch.zeros(1, 1, device=device), torch.zeros(1, 1, device=device), torch.zeros(1, device=device))
        best_two(
            torch.zeros(1, _WIDEST, device=device),
            torch.zeros(1, _WIDEST, device=device),
            torch.zeros(1, device=device),
        )
    except Exception as error:  # noqa: BLE001  (no compiler, too little shared memory, an unknown GPU: slower, as exact)
        warnings.warn(f"no fused search on {device} ({error}); searching in blocks instead", stacklevel=2)
        return False
    return True


def on_device(tensor: Tensor) -> AbstractContextManager[Any]:
    """Return a context in which kernels are launched on the device of this tensor."""
    return torch.cuda.device(tensor.device) if tensor.device.type == "cuda" else nullcontext()


def nearest_fused(latents: Tensor, codebook: Tensor, *, euclidean: bool = True) -> Tensor:
    """The nearest code (or, with ``euclidean=False``, the one of greatest dot product), lowest index on ties.

    Args:
        latents: ``[N, D]`` float32.
        codebook: ``[K, D]`` float32, K from 1 to 2^31, on the same device.
        euclidean: what is compared.

    Returns:
        ``[N]`` int64: the same as ``nearest_in_blocks``.
    """
    latents, codebook = latents.contiguous(), codebook.contiguous()
    given = codebook
    codebook, norms, sound = usable(codebook)
    offsets = (-0.5 * norms if euclidean else torch.zeros_like(norms)).float()
    if sound is not None:
        offsets = torch.where(sound, offsets, -3.0e38)
    first, second, gaps = best_two(latents, codebook, offsets)
    margin = _margin(latents, norms.max().sqrt(), euclidean)
    near, crowded = (gaps <= margin.unsqueeze(1)).unbind(1)
    for pairs in torch.nonzero(near & ~crowded).squeeze(1).split(max(1, _PAIRS // latents.shape[1])):
        one, two = first[pairs], second[pairs]
        rows = latents[pairs].double()
        if euclidean:
            cost = [(rows - codebook[each].double()).square().sum(dim=1) for each in (one, two)]
        else:
            cost = [-(rows * codebook[each].double()).sum(dim=1) for each in (one, two)]
        other = (cost[1] < cost[0]) | ((cost[1] == cost[0]) & (two < one))
        first[pairs] = torch.where(other, two, one)
    again = torch.nonzero(crowded).squeeze(1)
    if len(again):
        first[again] = nearest_in_blocks(latents[again], given, euclidean=euclidean)
    return first


def best_two(latents: Tensor, codebook: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Best code and runner-up ``[N]`` int64 by TF32 scores, and the gaps ``[N, 2]`` to the runner-up and the rest.

    Args:
        latents: ``[N, D]`` float32, contiguous.
        codebook: ``[K, D]`` float32, contiguous.
        offsets: ``[K]`` float32, added to the scores of each code.
    """
    count, width = latents.shape
    size = codebook.shape[0]
    first = torch.empty(count, dtype=torch.int64, device=latents.device)
    second = torch.empty_like(first)
    gaps = torch.empty(count, 2, dtype=torch.float32, device=latents.device)
    if count == 0:
        return first, second, gaps
    block_d = max(16, 1 << (width - 1).bit_length()) if width <= _WIDEST else _PIECE
    grid = (-(-count // BLOCK_N),)
    with on_device(latents):
        _kernel()[grid](
            latents,
            codebook,
            offsets,
            first,
            second,
            gaps,
            count,
            size,
            width,
            block_n=BLOCK_N,
            block_k=BLOCK_K,
            block_d=block_d,
            whole=width <= _WIDEST,
            num_warps=WARPS,
        )
    return first, second, gaps


def _margin(latents: Tensor, longest: Tensor, euclidean: bool) -> Tensor:
    """``[N]``: how far apart two scores must be to be sure of their order; ``longest`` is the norm of such a code.

    Each factor of a product is off by at most ``2^-10`` of itself, sums by ``D 2^-23`` (Higham 2002, eq. 3.5); twice
    that for two scores. The offsets are rounded once to float32.
    """
    terms = 2 * _TF32 + _TF32**2 + (latents.shape[1] + 3) * _SUM
    of_offsets = 0.5 * longest.square() * (latents.shape[1] + 3) * _SUM if euclidean else 0.0
    size = torch.linalg.vector_norm(latents, dim=1).double() * longest * terms + of_offsets
    return (2.02 * size).float()


@cache
def _kernel() -> Any:
    import triton
    import triton.language as tl

    @triton.jit  # type: ignore[untyped-decorator]
    def search(
        x_ptr: Any,
        c_ptr: Any,
        offset_ptr: Any,
        first_ptr: Any,
        second_ptr: Any,
        gap_ptr: Any,
        count: Any,
        size: Any,
        width: Any,
        block_n: tl.constexpr,
        block_k: tl.constexpr,
        block_d: tl.constexpr,
        whole: tl.constexpr,
    ) -> None:
        rows = tl.program_id(0).to(tl.int64) * block_n + tl.arange(0, block_n)
        inside = rows < count
        slots = tl.arange(0, block_k)
        places = tl.arange(0, block_d)
        best = tl.full((block_n, block_k), float("-inf"), tl.float32)
        other = tl.full((block_n, block_k), float("-inf"), tl.float32)
        where = tl.zeros((block_n, block_k), tl.int32)
        if whole:
            x = tl.load(
                x_ptr + rows[:, None] * width + places[None, :],
                mask=inside[:, None] & (places < width)[None, :],
                other=0.0,
            )
        blocks = tl.cdiv(size, block_k)
        for block in range(blocks):
            codes = block * block_k + slots
            there = codes < size
            start = c_ptr + codes[None, :].to(tl.int64) * width
            if whole:
                c = tl.load(start + places[:, None], mask=there[None, :] & (places < width)[:, None], other=0.0)
                scores = tl.dot(x, c, input_precision="tf32")
            else:
                scores = tl.zeros((block_n, block_k), tl.float32)
                for piece in range(tl.cdiv(width, block_d)):
                    at = piece * block_d + places
                    part = tl.load(
                        x_ptr + rows[:, None] * width + at[None, :],
                        mask=inside[:, None] & (at < width)[None, :],
                        other=0.0,
                    )
                    c = tl.load(start + at[:, None], mask=there[None, :] & (at < width)[:, None], other=0.0)
                    scores = tl.dot(part, c, scores, input_precision="tf32")
            offset = tl.load(offset_ptr + codes, mask=there, other=float("-inf"))
            scores = scores + offset[None, :]
            other = tl.maximum(other, tl.minimum(scores, best))
            where = tl.where(scores > best, block, where)
            best = tl.maximum(best, scores)
        top = tl.max(best, axis=1)
        slot = tl.argmax(best, axis=1)
        mine = slots[None, :] == slot[:, None]
        rest = tl.where(mine, float("-inf"), best)
        next_top = tl.max(rest, axis=1)
        next_slot = tl.argmax(rest, axis=1)
        theirs = slots[None, :] == next_slot[:, None]
        remaining = tl.maximum(tl.max(tl.where(theirs, float("-inf"), rest), axis=1), tl.max(other, axis=1))
        found = tl.sum(tl.where(mine, where, 0), axis=1).to(tl.int64) * block_k + slot
        runner = tl.sum(tl.where(theirs, where, 0), axis=1).to(tl.int64) * block_k + next_slot
        tl.store(first_ptr + rows, tl.minimum(found, size - 1), mask=inside)
        tl.store(second_ptr + rows, tl.minimum(runner, size - 1), mask=inside)
        tl.store(gap_ptr + rows * 2, top - next_top, mask=inside)
        tl.store(gap_ptr + rows * 2 + 1, top - remaining, mask=inside)

    return search
