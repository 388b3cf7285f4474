"""Frequencies of the context prior, computed in every way that changes a float: how many differ (none may), how fast.

Every step of ``--grids`` random grids (or of tokens) is computed with one thread, batches of 16, float32 carriers and
MKL-DNN, and then again with one of these changed. Beside it the same comparison for a float network of the same shape,
batch 16 against batch 1: what an entropy coder would have to live with. Then multiplications per second, beside plain
float convolutions, and the seconds of decoding's network for a whole grid.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from figures import Figure, figure, parser, report
from vqkit.priors import ContextPrior, Step, load_prior
from ways import float32_products, float64_carrier, products, threads


def made(folder: str | None, codes: int, side: int) -> ContextPrior:
    """The prior of a folder; or one with random weights, away from the start, where all is uniform."""
    if folder is not None:
        prior = load_prior(folder)
        assert isinstance(prior, ContextPrior), "give the folder of a context prior"
        return prior
    torch.manual_seed(0)
    prior = ContextPrior(codes, [side, side])
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.3 if parameter.ndim == 1 else 0.1)
    return prior.eval()


def different(prior: ContextPrior, grids: Tensor, compiled: Any) -> dict[str, int]:
    """How many frequencies differ from the plain ones, by what was changed."""
    ways: dict[str, Callable[[], AbstractContextManager[Any]]] = {
        "two_threads": lambda: threads(2),
        "no_mkldnn": lambda: torch.backends.mkldnn.flags(enabled=False),
        "bfloat16_products": lambda: products("medium"),
        "bfloat16_autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        "float64_carrier": lambda: float64_carrier(prior),
        "float32_products": lambda: float32_products(prior),
        "batch_1": nullcontext,
        "compiled": nullcontext,
    }
    steps = prior.steps(tuple(grids.shape[1:-1]), prior.num_codebooks)
    found = dict.fromkeys(ways, 0)
    for number, part in enumerate(torch.split(grids, 16)):
        plain = [prior.frequencies(part, step) for step in steps]
        for name, way in ways.items():
            with way():
                for step, wanted in zip(steps, plain, strict=True):
                    found[name] += int((wanted != again(prior, part, step, name, compiled)).sum())
        if number % 5 == 4:
            print(f"{16 * (number + 1):,} grids, different: {sum(found.values())}", file=sys.stderr, flush=True)
    return found


def again(prior: ContextPrior, part: Tensor, step: Step, name: str, compiled: Any) -> Tensor:
    if name == "batch_1":
        return torch.cat([prior.frequencies(each[None], step) for each in part])
    if name == "compiled":
        chosen: Tensor = compiled(part, step)
        return chosen
    return prior.frequencies(part, step)


@torch.no_grad()
def float_network(grids: int, channels: int, layers: int, codes: int, side: int) -> int:
    """Logits of a float network of the same shape that differ between batch 16 and batch 1."""
    torch.manual_seed(0)
    wide = [torch.randn(channels, channels, 3, 3) * (2 / channels / 9) ** 0.5 for _ in range(layers)]
    last = torch.randn(codes, channels) * channels**-0.5

    def logits(x: Tensor) -> Tensor:
        for weight in wide:
            x = x + F.conv2d(x.relu(), weight, padding=1)
        return F.linear(x.flatten(2).mT, last)

    x = torch.randn(grids, channels, side, side)
    found = 0
    for part in torch.split(x, 16):
        found += int((logits(part) != torch.cat([logits(each[None]) for each in part])).sum())
    return found


@torch.no_grad()
def speeds(prior: ContextPrior, side: int, repeats: int) -> list[Figure]:
    """Multiplications per second of the blocks on a whole grid, beside float convolutions; and a whole grid's steps."""
    from vqkit.exact import neighbors

    channels, layers = prior.config["hidden_channels"], prior.config["layers"]
    products_done = side * side * channels * channels * 10 * layers / 1e9
    stream = torch.randint(-3000, 3000, (1, side * side, channels)).float()
    table = neighbors((side, side), 3)
    image = stream.mT.reshape(1, channels, side, side).contiguous(memory_format=torch.channels_last)
    wide = [torch.randn(channels, channels, 3, 3).contiguous(memory_format=torch.channels_last) for _ in range(layers)]
    point = [torch.randn(channels, channels, 1, 1) for _ in range(layers)]

    def exact() -> None:
        x = stream
        for block in prior.network.blocks:
            x = block.rows(x, table)  # type: ignore[operator]

    def plain() -> None:
        x = image
        for first, second in zip(wide, point, strict=True):
            x = x + F.conv2d(F.conv2d(x.relu(), first, padding=1).relu(), second)

    items = torch.randint(prior.codebook_size, (1, side, side, prior.num_codebooks))
    steps = prior.steps((side, side), prior.num_codebooks)

    def decode() -> None:
        for step in steps:
            prior.frequencies(items, step)

    floats = [products_done / each for each in timed(plain, repeats)]
    integers = [products_done / each for each in timed(exact, repeats)]
    median = sorted(floats)[len(floats) // 2]
    name = f"all_{len(steps)}_steps_of_{side}x{side}"
    with float32_products(prior):
        without = timed(decode, max(3, repeats // 3))
    return [
        figure("float_conv", floats, "GMAC/s"),
        figure("exact_blocks", integers, "GMAC/s", {"float_conv": median}),
        figure(
            name, timed(decode, max(3, repeats // 3)), "s", {"float32_products": sorted(without)[len(without) // 2]}
        ),
        figure(f"{name}_float32_products", without, "s"),
    ]


def timed(function: Callable[[], None], repeats: int) -> list[float]:
    function()
    found = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--grids", type=int, default=None, help="how many grids to compare (default: 2000; quick: 64)")
    options.add_argument("--prior", default=None, metavar="FOLDER", help="a trained one (default: random weights)")
    options.add_argument("--codes", type=int, default=512)
    options.add_argument("--side", type=int, default=8, help="of the grids that are compared")
    options.add_argument("--large-side", type=int, default=64, help="of the grid that is timed")
    arguments = options.parse_args()
    grids = arguments.grids or (64 if arguments.quick else 2000)
    torch.set_num_threads(1)
    prior = made(arguments.prior, arguments.codes, arguments.side)
    figures = speeds(prior, arguments.large_side, 5 if arguments.quick else 30)
    side, codes = arguments.side, prior.codebook_size
    items = torch.randint(codes, (grids, side, side, prior.num_codebooks), generator=torch.Generator().manual_seed(1))
    compiled = torch.compile(prior.frequencies, dynamic=True)
    for name, count in different(prior, items, compiled).items():
        figures.append(figure(f"different_{name}", [count], f"of {items.numel() * codes:,} frequencies"))
    logits = min(grids, 256) * side * side * codes
    count = float_network(min(grids, 256), prior.config["hidden_channels"], prior.config["layers"], codes, side)
    figures.append(figure("different_float_network_batch_1", [count], f"of {logits:,} logits"))
    report(figures, arguments, grids=grids, prior=arguments.prior)


if __name__ == "__main__":
    main()
