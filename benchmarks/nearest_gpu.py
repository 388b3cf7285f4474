"""The search for the nearest code on a GPU, beside what its users write by hand and vector-quantize-pytorch.

Rates are ``2 N K D`` floating-point operations over the time. The bound is a large TF32 product of the same machine in
the same run. Everything runs in one process, in turns; times are CUDA events'.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
from collections.abc import Callable
from typing import Any

from figures import Figure, figure, parser, report


def _seconds(call: Callable[[], object], rounds: int) -> list[float]:
    import torch

    event: Any = torch.cuda.Event
    call()
    torch.cuda.synchronize()
    found = []
    for _ in range(rounds):
        start, end = event(enable_timing=True), event(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        found.append(start.elapsed_time(end) / 1000)
    return found


def _product(rounds: int) -> float:
    """TFLOP/s of a large TF32 product."""
    import torch

    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    a, b = (torch.randn(8192, 8192, device="cuda") for _ in range(2))
    times = _seconds(lambda: a @ b, rounds)
    torch.set_float32_matmul_precision(before)
    return 2 * 8192**3 / statistics.median(times) / 1e12


def _by_hand(latents: Any, codebook: Any) -> Any:
    """cdist and argmin, as many rows at a time as 4 GiB of distances hold."""
    import torch

    rows = max(1, 2**30 // len(codebook))
    return torch.cat([torch.cdist(part, codebook).argmin(dim=1) for part in latents.split(rows)])


def _peer(codebook: Any) -> Callable[[Any], Any] | None:
    import torch

    if importlib.util.find_spec("vector_quantize_pytorch") is None:
        return None
    from vector_quantize_pytorch import VectorQuantize

    quantizer = VectorQuantize(dim=codebook.shape[1], codebook_size=len(codebook)).cuda().eval()
    quantizer._codebook.embed.data.copy_(codebook[None])
    quantizer._codebook.initted.fill_(True)
    rows = max(1, 2**29 // len(codebook))

    def search(latents: Any) -> Any:
        with torch.no_grad():
            return [quantizer(part[None])[1] for part in latents.split(rows)]

    return search


def main() -> int:
    arguments = parser(__doc__).parse_args()
    import torch

    if not torch.cuda.is_available():
        print("this benchmark needs an NVIDIA GPU, and there is none", file=sys.stderr)
        return 2
    from vqkit.ops import code_sums, nearest_code

    n, rounds = (65_536, 3) if arguments.quick else (1_048_576, 9)
    bound = _product(rounds)
    found: list[Figure] = [figure("product tf32 8192", [bound], "TFLOP/s")]
    for k, d in ((1024, 64), (16_384, 64), (65_536, 64), (16_384, 128), (16_384, 256)):
        generator = torch.Generator("cuda").manual_seed(0)
        latents = torch.randn(n, d, device="cuda", generator=generator)
        codebook = torch.randn(k, d, device="cuda", generator=generator)
        work = 2 * n * k * d / 1e12
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        rates = {"vqkit": [work / t for t in _seconds(lambda: nearest_code(latents, codebook), rounds)]}  # noqa: B023
        extra = (torch.cuda.max_memory_allocated() - before) / 2**20
        few = max(1, rounds // 3)
        rates["cdist + argmin"] = [work / t for t in _seconds(lambda: _by_hand(latents, codebook), few)]  # noqa: B023
        peer = _peer(codebook)
        if peer is not None:
            rates["vector-quantize-pytorch"] = [work / t for t in _seconds(lambda: peer(latents), few)]  # noqa: B023
        title = f"nearest_gpu n={n} k={k} d={d}"
        peers = {name: statistics.median(values) for name, values in rates.items() if name != "vqkit"}
        found.append(figure(f"{title} vqkit", rates["vqkit"], "TFLOP/s", {**peers, "tf32 product": bound}))
        found += [figure(f"{title} {name}", rates[name], "TFLOP/s") for name in peers]
        found.append(figure(f"{title} vqkit extra memory", [extra], "MiB"))
        exact = nearest_code(latents[:4096].double(), codebook.double())
        agree = 100 * float((nearest_code(latents[:4096], codebook) == exact).float().mean())
        found.append(figure(f"{title} agrees with float64", [agree], "%"))
        indices = nearest_code(latents, codebook)
        times = _seconds(lambda: code_sums(latents, indices, k), rounds)  # noqa: B023
        found.append(figure(f"code_sums_gpu n={n} k={k} d={d}", [n * d * 4 / t / 1e9 for t in times], "GB/s"))
    report(found, arguments, device=torch.cuda.get_device_name())
    return 0


if __name__ == "__main__":
    sys.exit(main())
