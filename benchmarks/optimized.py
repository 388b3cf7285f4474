"""What indices that weigh the prior's bits save (``vqkit compress --optimize``): whole files beside those without.

Every photograph is a file of its own, headers included, decoded again; both curves are of the same weights on a bit.

    python benchmarks/optimized.py photo bsds500/val --images 10
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from figures import Figure, figure, parser, report
from vqkit import Codec, load_model
from vqkit.cli.files import exact_prior
from vqkit.codec import entropy_model
from vqkit.data import load_source
from vqkit.evaluation import bd_rate

Point = tuple[float, float]


def curve(make: Callable[..., Codec], images: list[Any], weights: list[float]) -> tuple[list[Point], float]:
    """Bits per pixel and PSNR of each weight, and megapixels a second of processor time to compress."""
    points, seconds, pixels = [], 0.0, sum(image[0].size for image in images)
    for weight in weights:
        codec, size, error = make(rate_weight=weight), 0, 0.0
        for image in images:
            start = time.process_time()
            data = codec.compress(image)
            seconds += time.process_time() - start
            size += len(data)
            error += float(np.square(codec.decompress(data)[0].numpy().astype(float) - image).sum()) / len(image)
        points.append((8 * size / pixels, 10 * float(np.log10(255**2 * pixels / error))))
    return points, len(weights) * pixels / 1e6 / seconds


def main() -> None:
    options = parser(__doc__)
    options.add_argument("model")
    options.add_argument("data")
    options.add_argument("--prior", default=None, help="as of vqkit compress")
    options.add_argument("--images", type=int, default=10)
    options.add_argument("--rate-weights", default="0.05,0.1,0.2,0.4,0.8,1.6")
    options.add_argument("--threads", type=int, default=1)
    given = options.parse_args()
    torch.set_num_threads(given.threads)
    model: Any = load_model(given.model)
    prior = exact_prior(model, given.model, given.prior)
    assert entropy_model(prior, model.codebook_size).kind == "context"
    source = load_source(given.data)
    count = 2 if given.quick else min(given.images, len(source))
    images = [source.read(number * len(source) // count) for number in range(count)]
    weights = [float(each) for each in given.rate_weights.split(",")]
    figures: list[Figure] = []
    curves = []
    for name, optimize in (("plain", False), ("optimized", True)):
        points, speed = curve(partial(Codec, model, prior, optimize=optimize), images, weights)
        for weight, (bits, psnr) in zip(weights, points, strict=True):
            figures.append(figure(f"{name}, rate_weight {weight:g}", [bits], "bits per pixel"))
            figures.append(figure(f"{name}, rate_weight {weight:g}", [psnr], "dB"))
        figures.append(figure(f"compress, {name}", [speed], "MP/s of processor time"))
        curves.append(points)
    for highest in (float("inf"), 0.5):
        found = bd_rate(*curves, highest_rate=highest)
        if found is not None:
            figures.append(figure(f"BD-rate of optimized against plain up to {highest:g} bits", [found.percent], "%"))
    report(figures, given, images=count, model=given.model)


if __name__ == "__main__":
    main()
