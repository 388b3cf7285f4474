"""Levels of codes against one grid at equal bits: PSNR, bits under learned priors, Frechet distance of samples.

DATA: images of one size. One VQ-VAE with a grid of codes, one hierarchical, one multi-scale residual and one with
positions from coarse to fine (wavelet), of the same finest grid, networks, steps and bits an image: levels have more
indices, and fewer codes for each. Then priors of the same steps: the exact context prior of each, a transformer of the
flat indices and a next-scale one of the same width and depth of the levels. Frechet distances are in the features of a
fixed random network, which no model has seen; those of samples beside those of reconstructions.

    python benchmarks/hierarchy.py cifar10/ --steps 400 --prior-steps 400 --out runs/hierarchy
"""

from __future__ import annotations

import math
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import vqkit
from figures import Figure, figure, parser, report
from vqkit.evaluation import evaluate, extract, feature_network, frechet_distance
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.recipes.prior import rates, train_prior
from vqkit.training.trainable import load_trained

KINDS: dict[str, list[int]] = {"flat": [1], "hierarchical": [1, 2], "multiscale": [1, 2, 4], "wavelet": [1, 2, 4]}


def codes_each(kind: str, bits: float, downsampling: int, pixels: int) -> int:
    """Codes of each level, so that an image costs so many bits."""
    scales = KINDS[kind]
    cells = pixels / (downsampling * scales[-1]) ** 2
    each = sum(scale**2 for scale in scales) if kind in ("hierarchical", "multiscale") else scales[-1] ** 2
    return round(2 ** (bits / (cells * each)))


def made(kind: str, source: Any, arguments: Any, pixels: int) -> Any:
    """A new model."""
    size = codes_each(kind, arguments.bits, arguments.downsampling, pixels)
    common = {"downsampling": arguments.downsampling, "hidden_channels": arguments.hidden, "code_dim": 16}
    if kind == "flat":
        return vqkit.VQVAE.for_source(source, size, seed=arguments.seed, **common)
    own = {"scales": KINDS[kind], **({"dropout": 0.0} if not arguments.dropout else {})}
    return vqkit.VQVAE.for_source(source, size, seed=arguments.seed, quantizer=kind, quantizer_options=own, **common)


def finished(path: Path, make: Any) -> Any:
    """What a run in a folder has trained, or ``make()`` trains now."""
    if not (path / "model" / "config.json").is_file():
        make()
    return load_trained(path)


def features(network: Any, images: Tensor) -> Tensor:
    """Of images in batches."""
    found: Tensor = extract(network, torch.split(images, 128))
    return found


def main() -> None:
    options = parser(__doc__)
    options.add_argument("data", nargs="?", help="images of one size")
    options.add_argument("--out", type=Path, default=Path("runs/hierarchy"))
    options.add_argument("--only", default=",".join(KINDS), help="which of the four")
    options.add_argument("--bits", type=float, default=576.0, help="an image, log2 K each index")
    options.add_argument("--downsampling", type=int, default=4, help="of the finest grid")
    options.add_argument("--hidden", type=int, default=32)
    options.add_argument("--steps", type=int, default=400)
    options.add_argument("--prior-steps", type=int, default=400)
    options.add_argument("--prior-width", type=int, default=128)
    options.add_argument("--prior-layers", type=int, default=4)
    options.add_argument("--seen", type=int, default=1000, help="images, and samples, of a Frechet distance")
    options.add_argument("--items", type=int, default=None, help="the first so many images only")
    options.add_argument("--priors", default="context,own", help="context, and the transformer of each kind (own)")
    options.add_argument("--validation", default="last:1000")
    options.add_argument("--dropout", action="store_true", help="levels learn to stand without the finer ones too")
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    if arguments.data is None:
        print("hierarchy.py: name DATA, images of one size; nothing measured")
        return
    if arguments.quick:
        arguments.steps, arguments.prior_steps, arguments.prior_width, arguments.prior_layers = 20, 10, 32, 1
    unknown = [name for name in arguments.only.split(",") if name not in KINDS]
    if unknown:
        options.error(f"--only {','.join(unknown)}: choose from {', '.join(KINDS)}")
    if not {"context", "own"} >= set(arguments.priors.split(",")):
        options.error(f"--priors {arguments.priors}: choose from context, own")
    source = vqkit.load_source(arguments.data)
    source = source if arguments.items is None else source.subset(range(min(arguments.items, len(source))))
    if source.size is None:
        options.error("give images of one size")
    plan = TrainConfig(
        steps=arguments.steps, batch_size=32, learning_rate=1e-3, validation=arguments.validation, evaluations=0,
        seed=arguments.seed,
    )  # fmt: skip
    held_out = validation_split(source, plan)[1]
    seen = torch.from_numpy(held_out.gather(range(min(arguments.seen, len(held_out))))).float() / 255
    pixels = math.prod(source.size)
    network = feature_network("random", source.channels, seed=0)
    real = features(network, seen)
    figures: list[Figure] = []

    def add(name: str, value: float | None, unit: str) -> None:
        if value is not None and math.isfinite(value):
            figures.append(figure(name, [value], unit))
            print(figures[-1].line(), file=sys.stderr, flush=True)  # as they come; all of them at the end

    for kind in arguments.only.split(","):
        path = arguments.out / kind

        def train_model(kind: str = kind, path: Path = path) -> None:
            model = made(kind, source, arguments, pixels)
            vqkit.train(model, source, out=path / "run", config=plan, quiet=True, tensorboard=False)

        start = time.perf_counter()
        model = finished(path / "run", train_model)
        add(f"{kind}.seconds", time.perf_counter() - start, "s")
        found = evaluate(model, held_out, bits=False)
        indices = math.prod(model.index_shape(source.size))
        add(f"{kind}.indices", indices, "an image")
        add(f"{kind}.bits", indices * math.log2(model.codebook_size), "bits")
        add(f"{kind}.psnr", found.psnr_db, "dB")
        add(f"{kind}.perplexity", found.perplexity, f"of {model.codebook_size}")
        again = torch.cat([model.reconstruct(part).cpu() for part in torch.split(seen, 128)])
        add(f"{kind}.frechet.reconstructions", frechet_distance(real, features(network, again)), "")
        own = "transformer" if kind == "flat" else "next_scale"
        for prior_type in [own if name == "own" else name for name in arguments.priors.split(",")]:
            width = {"hidden_channels": arguments.prior_width, "layers": arguments.prior_layers}
            start = time.perf_counter()
            run = train_prior(
                model,
                source,
                path / prior_type,
                config=TrainConfig(
                    steps=arguments.prior_steps, batch_size=32, learning_rate=1e-3, evaluations=0,
                    validation=arguments.validation, seed=arguments.seed,
                ),
                prior_type=prior_type,
                options=width,
                quiet=True,
            )  # fmt: skip
            add(f"{kind}.{prior_type}.seconds", time.perf_counter() - start, "s")
            bits = rates(run)
            add(f"{kind}.{prior_type}.bits", bits["learned"], "bits an image")
            prior = run.model()
            start = time.perf_counter()
            drawn = prior.sample(len(seen), generator=torch.Generator().manual_seed(0))
            add(f"{kind}.{prior_type}.sample", 1000 * (time.perf_counter() - start) / len(seen), "ms")
            images = torch.cat([model.decode(part, source.size).cpu() for part in torch.split(drawn, 128)])
            add(f"{kind}.{prior_type}.frechet.samples", frechet_distance(real, features(network, images)), "")
        add(f"{kind}.histogram.bits", bits["histogram"], "bits an image")
    report(figures, arguments, bits=arguments.bits, steps=arguments.steps, prior_steps=arguments.prior_steps)


if __name__ == "__main__":
    main()
