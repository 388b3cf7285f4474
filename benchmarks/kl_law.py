"""The law of Gaussian quantization as a curve: the error of the nearest of K draws over log2 K - KL, for groups of n.

Posterior means are drawn from N(0, (1 - sigma^2) I), as those of a VAE whose latents are N(0, I) together, so that the
divergence is -n log2 sigma bits on average. With K fixed, sigma is what leaves so many bits above the divergence. Two
figures for each: the squared error of the nearest draw over that of the posterior's own noise, ``n sigma^2``, in
decibels (0: quantizing costs the decoder what it was trained with), and how many means have a draw within that noise.

    python benchmarks/kl_law.py --codes 4096
"""

from __future__ import annotations

import math

import torch

from figures import Figure, figure, parser, report
from vqkit.ops import nearest_code
from vqkit.quantizers import draw_margin_bits

GROUPS = (1, 2, 4, 8, 16)
ABOVE = (-4, -2, -1, 0, 1, 2, 3, 4, 6)
"""Bits of an index above the divergence."""


def measured(numbers: int, above: float, codes: int, means: int, seed: int) -> tuple[float, float]:
    """Decibels of the error over the noise, and the per cent of means with a draw within it."""
    generator = torch.Generator().manual_seed(seed)
    sigma = 2.0 ** -((math.log2(codes) - above) / numbers)
    rows = torch.randn(means, numbers, generator=generator) * math.sqrt(1 - sigma**2)
    draws = torch.randn(codes, numbers, generator=generator)
    errors = (rows - draws[nearest_code(rows, draws)]).double().square().sum(dim=1)
    noise = numbers * sigma**2
    return 10 * math.log10(float(errors.mean()) / noise), 100 * float((errors <= noise).double().mean())


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--codes", type=int, default=4096, help="K")
    options.add_argument("--means", type=int, default=4096, help="posterior means, for each of the codebooks")
    options.add_argument("--books", type=int, default=4, help="codebooks")
    arguments = options.parse_args()
    if arguments.quick:
        arguments.codes, arguments.means, arguments.books = 256, 512, 2
    if not 2 <= arguments.codes <= 1 << 16 or min(arguments.means, arguments.books) < 1:
        options.error("give 2 to 65,536 codes, and means and codebooks of 1 or more")
    figures: list[Figure] = []
    for numbers in GROUPS:
        for above in (each for each in ABOVE if each < math.log2(arguments.codes)):
            found = [
                measured(numbers, above, arguments.codes, arguments.means, seed) for seed in range(arguments.books)
            ]
            for name, unit, samples in zip(("error", "hits"), ("dB", "%"), zip(*found, strict=True), strict=True):
                figures.append(figure(f"{name}.{numbers}.{above:+d}", list(samples), unit))
        figures.append(figure(f"margin.{numbers}", [draw_margin_bits(numbers)], "bits"))
    report(figures, arguments, codes=arguments.codes)


if __name__ == "__main__":
    main()
