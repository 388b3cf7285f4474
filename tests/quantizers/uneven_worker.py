"""Worker of test_uneven_batches.py: quantizers in two processes on batches of different sizes, one of them empty."""

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


def mask(step: int) -> Tensor:
    """Which of their positions count, ``[n, 3]``: of the second process's fewer."""
    kept = torch.rand(sum(SIZES[step]), 3, generator=torch.Generator().manual_seed(100 + step))
    kept[: SIZES[step][0]] *= 2
    return kept > 0.5


def run(kind: str, count: int, stacking: str, rank: int | None) -> tuple[Quantizer, list[dict[str, Tensor]]]:
    """Five steps of this process's part (None: of the whole); the quantizer, its losses, and its gradients.

    The latents are multiplied by one number, whose gradient stands for that of an encoder.
    """
    q = build(kind, count, stacking)
    found = []
    for step in range(len(SIZES)):
        z, kept = batch(step), mask(step)
        if rank is not None:
            z, kept = z.split(list(SIZES[step]))[rank], kept.split(list(SIZES[step]))[rank]
        scale = torch.ones((), requires_grad=True)
        out = q(scale * z, kept if step % 2 else None)
        total = sum(out.losses.values(), (out.quantized.sum() + scale) * 0)
        parameters = {"encoder": scale, **dict(q.named_parameters())}
        gradients = torch.autograd.grad(total, list(parameters.values()), allow_unused=True)
        each = {f"loss {step} {name}": loss.detach() for name, loss in out.losses.items()}
        for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
            each[f"gradient {step} {name}"] = torch.zeros_like(parameter) if gradient is None else gradient
        found.append(each)
    return q, found


def main() -> None:
    folder = Path(sys.argv[1])
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    found = {}
    if rank == 0:  # in evaluation mode a process may go on alone
        for kind, count, stacking in cases():
            build(kind, count, stacking).eval()(batch(0))
    for kind, count, stacking in cases():
        q, losses = run(kind, count, stacking, rank)
        for name, tensor in q.state_dict().items():
            found[f"{kind} {count} {stacking} {name}"] = tensor.clone()
        for each in losses:
            for name, value in each.items():
                found[f"{kind} {count} {stacking} {name}"] = value
    from safetensors.torch import save_file

    save_file({name: tensor.contiguous() for name, tensor in found.items()}, folder / f"{rank}.safetensors")
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
