"""A training step of quantizers alone, beside vector-quantize-pytorch's: forward in training mode, then backward.

The latents get a gradient, the codebook learns from fresh batches. Every contender has a process of its own; they take
turns. The memory is what the first step adds to the peak of its process. Figures are latent vectors per second.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
from collections.abc import Callable
from typing import Any

from contest import Process, QuantizerSpec, in_turns, serve
from figures import Figure, figure, parser, report

PEER = "vector-quantize-pytorch"
RING = 8
"""Different batches that take turns."""


def _step(quantizer: Any, shape: tuple[int, ...], losses: Callable[[Any], Any]) -> Callable[[], object]:
    """Steps over a ring of batches: with one batch again and again, codes would come to lie on its latents."""
    import itertools

    import torch

    ring = itertools.cycle([torch.randn(shape) for _ in range(RING)])
    latents = next(ring)
    push = torch.randn(shape) / latents.numel()

    def run(z: Any, push: Any) -> None:
        quantized, loss = losses(quantizer(z))
        ((quantized * push).sum() + loss).backward()

    rows = (slice(None),) * (latents.ndim - 2) + (slice(0, 64),)
    run(latents[rows].detach().requires_grad_(), push[rows])  # what torch loads at first use belongs to no contender
    return lambda: run(next(ring).detach().requires_grad_(), push)


def _vqkit(kind: str, n: int, k: int, d: int, count: int, **options: Any) -> Callable[[], object]:
    import torch

    from vqkit import host
    from vqkit.quantizers import build_quantizer

    host.keep_freed_memory()
    torch.manual_seed(0)
    quantizer = build_quantizer(kind, k, d, options, count, "residual").train()
    if not quantizer.initialized:
        every: list[Any] = list(quantizer.modules())
        for stage in every:
            if hasattr(stage, "set_codebook"):
                stage.set_codebook(torch.randn(k, d))
    return _step(quantizer, (n, d), lambda out: (out.quantized, sum(out.losses.values(), torch.zeros(()))))


def _peer(quantizer: Any, n: int, d: int) -> Callable[[], object]:
    import torch

    torch.manual_seed(0)
    return _step(quantizer.train(), (1, n, d), lambda out: (out[0], out[2].sum()))


def vqkit_ema(n: int, k: int, d: int, count: int) -> Callable[[], object]:
    return _vqkit("ema", n, k, d, count)


def peer_ema(n: int, k: int, d: int, count: int) -> Callable[[], object]:
    from vector_quantize_pytorch import ResidualVQ, VectorQuantize

    options = {"codebook_size": k, "decay": 0.99, "commitment_weight": 0.25, "threshold_ema_dead_code": 2}
    if count == 1:
        return _peer(VectorQuantize(dim=d, **options), n, d)
    return _peer(ResidualVQ(dim=d, num_quantizers=count, **options), n, d)


def vqkit_lfq(n: int, k: int, d: int, count: int) -> Callable[[], object]:
    del d
    return _vqkit("lfq", n, k, k.bit_length() - 1, count)


def vqkit_bsq(n: int, k: int, d: int, count: int) -> Callable[[], object]:
    del d
    return _vqkit("bsq", n, k, k.bit_length() - 1, count)


def vqkit_ibq(n: int, k: int, d: int, count: int) -> Callable[[], object]:
    return _vqkit("ibq", n, k, d, count)


def peer_lfq(n: int, k: int, d: int, count: int) -> Callable[[], object]:
    del d, count
    from vector_quantize_pytorch import LFQ

    bits = k.bit_length() - 1
    return _peer(LFQ(codebook_size=k, dim=bits), n, bits)


CONTENDERS: dict[str, QuantizerSpec] = {
    "vqkit ema": vqkit_ema,
    f"{PEER} ema": peer_ema,
    "vqkit lfq": vqkit_lfq,
    f"{PEER} lfq": peer_lfq,
    "vqkit bsq": vqkit_bsq,
    "vqkit ibq": vqkit_ibq,
}


def _measure(kinds: list[str], n: int, k: int, d: int, count: int, rounds: int) -> list[Figure]:
    has_peer = importlib.util.find_spec("vector_quantize_pytorch") is not None
    processes = [Process(__file__, name, n, k, d, count) for name in kinds if has_peer or not name.startswith(PEER)]
    memory = {each.name: each.extra_mib for each in processes}
    samples = in_turns(processes, rounds)
    rates = {name: [n / each for each in times] for name, times in samples.items()}
    found = []
    for name, values in rates.items():
        peers = {
            other: statistics.median(rates[other]) for other in rates if name.startswith("vqkit") and other != name
        }
        title = f"step n={n} k={k} d={d}" + (f" residual={count}" if count > 1 else "") + f" {name}"
        found.append(figure(title, values, "vectors/s", peers))
        extra = memory[name]
        assert extra is not None
        found.append(figure(f"{title} extra memory", [extra], "MiB"))
    for name, extra in memory.items():
        if extra is None:
            print(f"{name} at n={n} k={k}: the process died", file=sys.stderr)
    return found


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(CONTENDERS, *sys.argv[2:])
        return
    arguments = parser(__doc__).parse_args()
    ema, lfq = ["vqkit ema", f"{PEER} ema"], ["vqkit lfq", f"{PEER} lfq"]
    cases: list[tuple[list[str], int, int, int, int, int]] = [
        (ema, 4096, 512, 64, 1, 15),
        (ema, 65_536, 1024, 64, 1, 7),
        (ema, 16_384, 8192, 64, 1, 5),
        (ema, 4096, 1024, 64, 8, 7),
        (ema, 32_768, 1024, 64, 8, 3),
        (lfq, 4096, 1024, 64, 1, 5),
        (["vqkit lfq"], 4096, 65_536, 64, 1, 3),
        (["vqkit bsq"], 4096, 65_536, 64, 1, 3),
        (["vqkit ibq"], 4096, 65_536, 64, 1, 2),
    ]
    if arguments.quick:
        cases = [(ema, 1024, 256, 16, 1, 2), (lfq, 256, 64, 64, 1, 2), (["vqkit ibq"], 256, 1024, 16, 1, 2)]
    found: list[Figure] = []
    for case in cases:
        found += _measure(*case)
    report(found, arguments)


if __name__ == "__main__":
    main()
