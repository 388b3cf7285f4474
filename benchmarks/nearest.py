"""The search for the nearest code on a CPU, beside vector-quantize-pytorch, faiss and the matrix product it contains.

Rates are those of the product alone, ``2 N K D`` floating-point operations over the time, so that they can be compared
with a large float32 product measured in the same run. Every contender has a process of its own; they take turns.
The memory is what the first call adds to the peak of its process.

``--busy N`` measures while N further processes each keep a core busy, as on a shared machine; ``--before SRC`` adds the
vqkit of another commit, whose ``src`` folder is given (``git archive COMMIT src | tar x -C FOLDER``). Both leave
vector-quantize-pytorch out, which is slow.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import Process, busy_processes, in_turns, serve
from figures import Figure, figure, parser, report

N = 65_536


def _made(n: int, k: int, d: int) -> tuple[Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    return torch.randn(n, d, generator=generator), torch.randn(k, d, generator=generator)


def of_vqkit(n: int, k: int, d: int) -> Callable[[], object]:
    from vqkit import host
    from vqkit.ops import nearest_code

    host.keep_freed_memory()
    latents, codebook = _made(n, k, d)
    nearest_code(latents[:64], codebook)  # what torch loads at the first use belongs to no contender
    return lambda: nearest_code(latents, codebook)


def of_vector_quantize_pytorch(n: int, k: int, d: int) -> Callable[[], object]:
    import torch
    from vector_quantize_pytorch import VectorQuantize

    latents, codebook = _made(n, k, d)
    quantizer = VectorQuantize(dim=d, codebook_size=k).eval()
    quantizer._codebook.embed.data.copy_(codebook[None])
    quantizer._codebook.initted.fill_(True)
    with torch.no_grad():
        quantizer(latents[None, :64])

    def call() -> object:
        with torch.no_grad():
            return quantizer(latents[None])

    return call


def of_faiss(n: int, k: int, d: int) -> Callable[[], object]:
    import faiss

    latents, codebook = (each.numpy() for each in _made(n, k, d))
    index = faiss.IndexFlatL2(d)
    index.add(codebook)
    index.search(latents[:64], 1)
    return lambda: index.search(latents, 1)


def of_product(n: int, k: int, d: int) -> Callable[[], object]:
    """A large float32 product, whatever the sizes: what the processor can do."""
    import torch

    del n, k, d
    a, b = torch.randn(4096, 4096), torch.randn(4096, 4096)
    out = torch.empty(4096, 4096)
    return lambda: torch.mm(a, b, out=out)


CONTENDERS = {
    "vqkit": of_vqkit,
    "before": of_vqkit,
    "vector-quantize-pytorch": of_vector_quantize_pytorch,
    "faiss": of_faiss,
    "product": of_product,
}
NEEDS = {"vector-quantize-pytorch": "vector_quantize_pytorch", "faiss": "faiss"}


def _measure(n: int, k: int, d: int, rounds: int, busy: int, before: Path | None) -> list[Figure]:
    names = ["vqkit", "faiss", "product"]
    if (
        k * n <= 2**29 and d == 64 and not busy and before is None
    ):  # beyond, its table of distances alone takes gibibytes
        names.insert(1, "vector-quantize-pytorch")
    names = [name for name in names if name not in NEEDS or importlib.util.find_spec(NEEDS[name])]
    if before is not None:
        names.insert(1, "before")
    processes = [Process(__file__, name, n, k, d, source=before if name == "before" else None) for name in names]
    memory = {each.name: each.extra_mib for each in processes}
    with busy_processes(busy):
        samples = in_turns(processes, rounds)
    work = 2 * n * k * d / 1e9
    rates = {name: [work / each for each in times] for name, times in samples.items()}
    rates["product"] = [2 * 4096**3 / 1e9 / each for each in samples["product"]]
    peers = {name: statistics.median(values) for name, values in rates.items() if name != "vqkit"}
    title = f"nearest n={n} k={k} d={d}" + (f" busy={busy}" if busy else "")
    found = [figure(f"{title} vqkit", rates["vqkit"], "GFLOP/s", peers)]
    found += [figure(f"{title} {name}", values, "GFLOP/s") for name, values in rates.items() if name != "vqkit"]
    for name, extra in memory.items():
        if name != "product" and extra is not None:
            found.append(figure(f"{title} {name} extra memory", [extra], "MiB"))
    return found


def main() -> None:
    if sys.argv[1:2] == ["--serve"]:
        serve(CONTENDERS, *sys.argv[2:])
        return
    options = parser(__doc__)
    options.add_argument("--busy", type=int, default=0, metavar="N", help="processes that keep a core busy meanwhile")
    options.add_argument("--before", type=Path, metavar="SRC", help="the src folder of another commit, measured beside")
    arguments = options.parse_args()
    cases = [(N, 1024, 64), (N, 8192, 64), (N, 1024, 256), (N, 8192, 256)]
    rounds = 9
    if arguments.busy:
        rounds = 5
    if arguments.quick:
        cases, rounds = [(8192, 1024, 64)], 3
    found: list[Figure] = []
    for n, k, d in cases:
        found += _measure(n, k, d, rounds, arguments.busy, arguments.before)
    if not arguments.quick and not arguments.busy and arguments.before is None:
        for k in (16_384, 65_536):
            process = Process(__file__, "vqkit", N, k, 64)
            times = in_turns([process], 1)["vqkit"]
            found.append(
                figure(f"nearest n={N} k={k} d=64 vqkit", [2 * N * k * 64 / 1e9 / t for t in times], "GFLOP/s")
            )
            assert process.extra_mib is not None
            found.append(figure(f"nearest n={N} k={k} d=64 vqkit extra memory", [process.extra_mib], "MiB"))
    report(found, arguments, busy=arguments.busy)


if __name__ == "__main__":
    main()
