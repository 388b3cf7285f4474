"""The two collective operations that codebooks need; both do nothing in a single process."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def rank_and_world() -> tuple[int, int]:
    """``(rank, number of processes)``; ``(0, 1)`` outside ``torch.distributed``.

    Example:
        >>> from vqkit.ops import rank_and_world
        >>> rank_and_world()
        (0, 1)
    """
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1


def all_reduce_sum_(*tensors: Tensor) -> None:
    """Sum each tensor over all processes, in place, in one message per dtype.

    Every process must call it with the same shapes. Codebook statistics go through here, so that the
    codebook of every process stays the same number for number.

    Example:
        >>> import torch
        >>> from vqkit.ops import all_reduce_sum_
        >>> counts = torch.tensor([1.0, 2.0])
        >>> all_reduce_sum_(counts)  # nothing to do in one process
        >>> counts
        tensor([1., 2.])
    """
    if rank_and_world()[1] == 1:
        return
    by_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        by_dtype.setdefault(tensor.dtype, []).append(tensor)
    for group in by_dtype.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        dist.all_reduce(flat)
        start = 0
        for tensor in group:
            tensor.copy_(flat[start : start + tensor.numel()].view_as(tensor))
            start += tensor.numel()


def gather_rows(rows: Tensor, wanted: Tensor) -> Tensor:
    """Rows of the table that the processes hold together, by global row number.

    Args:
        rows: ``[n, D]`` this process's rows; ``n`` may differ between processes. The global table is
            their concatenation in rank order.
        wanted: ``[m]`` int64 global row numbers, the same on every process.

    Returns:
        ``[m, D]``, the same on every process.

    Example:
        >>> import torch
        >>> from vqkit.ops import gather_rows
        >>> gather_rows(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([2, 0]))
        tensor([[3.],
                [1.]])
    """
    if rank_and_world()[1] == 1:
        return rows[wanted]
    first, _ = global_rows(rows)
    local = wanted - first
    mine = (local >= 0) & (local < rows.shape[0])
    picked = torch.zeros(len(wanted), rows.shape[1], dtype=rows.dtype, device=rows.device)
    picked[mine] = rows[local[mine]]
    dist.all_reduce(picked)
    return picked


def global_rows(rows: Tensor) -> tuple[int, int]:
    """``(number of this process's first row, number of rows of all processes)`` in rank order."""
    rank, world = rank_and_world()
    if world == 1:
        return 0, rows.shape[0]
    counts = torch.zeros(world, dtype=torch.int64, device=rows.device)
    counts[rank] = rows.shape[0]
    dist.all_reduce(counts)
    sizes = counts.tolist()
    return sum(sizes[:rank]), sum(sizes)


def global_mean(values: Tensor, count: Tensor) -> Tensor:
    """The mean over all processes of what each has a mean of, weighted by how many items each mean is over.

    For terms that are not sums over items, such as the entropy of a mean distribution. Gradients are scaled so that
    their average over processes, which data-parallel training takes, is the gradient of the global term also where
    processes hold different numbers of items.

    Args:
        values: any shape, floating: this process's mean.
        count: scalar: over how many items.

    Example:
        >>> import torch
        >>> from vqkit.ops import global_mean
        >>> global_mean(torch.tensor(0.5), torch.tensor(8))  # of one process: its own
        tensor(0.5000)
    """
    if rank_and_world()[1] == 1:
        return values
    result: Tensor = _GlobalMean.apply(values, count)
    return result


class _GlobalMean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, count: Tensor) -> Tensor:
        total, sums = count.to(values.dtype, copy=True).reshape(1), values * count
        mine = total.clone()
        all_reduce_sum_(total, sums)
        ctx.share = (mine / total.clamp_min(1) * rank_and_world()[1]).squeeze(0)
        return (sums / total.clamp_min(1)).view_as(values)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, None]:
        return gradients[0] * ctx.share, None
