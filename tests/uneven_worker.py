"""What test_uneven.py runs in each of two processes: quantizers on batches of different sizes, one of them empty."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from vqkit.quantizers import QUANTIZERS, Quantizer, build_quantizer

CODES, DIM = 16, 8
STACKS = [(1, "product"), (2, "product"), (2, "residual")]
SIZES = [(24, 5), (7, 30), (12, 0), (1, 11), (16, 16)]
"""Signals that each of the two processes holds at each step."""
OPTIONS = {"ema": {"reservoir": 40, "restart_every": 2, "restart_below": 0.5}, "gradient": {"restart_every": 2}}


def cases() -> list[tuple[str, int, str]]:
    return [(kind, count, stacking) for kind in QUANTIZERS for count, stacking in STACKS]


def build(kind: str, count: int, stacking: str) -> Quantizer:
    torch.manual_seed(0)
    return build_quantizer(kind, CODES, DIM, OPTIONS.get(kind, {}), count, stacking).train()


def batch(step: int) -> Tensor:
    """The signals of both processes together, ``[n, DIM, 3]``."""
    return torch.randn(sum(SIZES[step]), DIM, 3, generator=torch.Generator().manual_seed(step))


def parts(step: int) -> list[Tensor]:
    """The same with a mask for each process: where there is nothing to hold, a padded signal that counts nowhere."""
    return list(batch(step).split(list(SIZES[step])))


def run(kind: str, count: int, stacking: str, rank: int | None) -> tuple[Quantizer, list[dict[str, Tensor]]]:
    """Five steps of this process's part (None: of the whole); the quantizer and its losses."""
    q = build(kind, count, stacking)
    losses = []
    for step in range(len(SIZES)):
        z = batch(step) if rank is None else parts(step)[rank]
        mask = None
        if len(z) == 0:
            z, mask = torch.ones(1, DIM, 3), torch.zeros(1, 3, dtype=torch.bool)
        out = q(z.requires_grad_(), mask)
        total = sum(out.losses.values(), out.quantized.sum() * 0)
        total.backward()
        losses.append({name: loss.detach() for name, loss in out.losses.items()})
    return q, losses


def main() -> None:
    folder = Path(sys.argv[1])
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    found = {}
    for kind, count, stacking in cases():
        q, losses = run(kind, count, stacking, rank)
        for name, tensor in q.state_dict().items():
            found[f"{kind} {count} {stacking} {name}"] = tensor.clone()
        for step, each in enumerate(losses):
            for name, loss in each.items():
                found[f"{kind} {count} {stacking} loss {step} {name}"] = loss
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in found.items()}, folder / f"{rank}.safetensors")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
