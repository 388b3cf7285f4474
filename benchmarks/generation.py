"""How good a run's samples are: recognised by class, Frechet distance beside the reconstructions', bits, repeats.

A classifier is trained on the real training images; it has to name the class that each sample was asked for. Frechet
distances are against the held-out images, in the features of that classifier and of a fixed random network, for as many
samples as there are reconstructions. Beside them stand the same numbers of the held-out images' reconstructions: no
sample can be expected to beat its own decoder.

    vqkit train fashion_mnist/train.parquet --out runs/f && vqkit prior runs/f
    python benchmarks/generation.py runs/f
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from figures import Figure, figure, parser, report
from vqkit.cli.loading import run_settings, run_source
from vqkit.data import evaluation_batches
from vqkit.evaluation import (
    ClassifierFeatures,
    extract,
    feature_network,
    frechet_distance,
    nearest_items,
    repeated_share,
    train_classifier,
)
from vqkit.generation import generate
from vqkit.models import VQVAE, load_model
from vqkit.priors import load_prior
from vqkit.tokens import load_tokens
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split
from vqkit.training.recipes.prior import rates
from vqkit.training.record.run import Run, read_config

_BATCH = 256


def _named(classifier: Any, images: Any, wanted: Tensor) -> float:
    """Per cent of images whose class is the wanted one."""
    with torch.no_grad():
        found = torch.cat([classifier.logits(part).argmax(dim=1) for part in images.split(_BATCH)])
    return 100 * float((found == wanted).float().mean())


def main() -> None:
    options = parser(__doc__)
    options.add_argument("run", nargs="?", type=Path, default=None)
    options.add_argument("--prior", type=Path, default=None, help="run folder of the prior (default: RUN/prior/run)")
    options.add_argument("--samples", type=int, default=2000)
    options.add_argument("--temperature", type=float, default=1.0)
    options.add_argument("--guidance", type=float, default=1.0)
    options.add_argument("--top-p", type=float, default=None)
    options.add_argument("--seed", type=int, default=0)
    arguments = options.parse_args()
    if arguments.run is None:
        print("give the RUN of a tokenizer with a prior (vqkit train, vqkit prior): there is nothing to measure")
        return
    if arguments.quick:
        arguments.samples = 256
    model: Any = load_model(arguments.run)
    assert isinstance(model, VQVAE)
    folder = arguments.prior or arguments.run / "prior" / "run"
    prior = load_prior(folder)
    settings = run_settings(str(arguments.run))
    source = run_source(settings)
    training, held_out = validation_split(source, TrainConfig.from_dict(settings["training"]))
    count = min(arguments.samples, len(held_out))
    real: Any = torch.from_numpy(held_out.gather(range(count))).float() / 255
    generator = torch.Generator().manual_seed(arguments.seed)
    classes = None if prior.classes is None else torch.arange(count) % prior.classes
    samples, indices = generate(
        model,
        prior,
        count,
        classes,
        generator=generator,
        temperature=arguments.temperature,
        guidance=arguments.guidance,
        top_p=arguments.top_p,
    )
    again = torch.cat([model.reconstruct(part) for part in real.split(_BATCH)])
    found: list[Figure] = []
    networks: dict[str, Any] = {"random network": feature_network("random", training.channels, seed=0)}
    if training.labels is not None and held_out.labels is not None:
        classifier = train_classifier(training, seed=0).eval()
        networks["classifier"] = ClassifierFeatures(classifier)
        labels = torch.from_numpy(held_out.labels[:count])
        found.append(figure("class named, held-out images", [_named(classifier, real, labels)], "%"))
        found.append(figure("class named, their reconstructions", [_named(classifier, again, labels)], "%"))
        if classes is not None:
            found.append(figure("class named, samples", [_named(classifier, samples, classes)], "%"))
    for name, network in networks.items():
        sets: list[Any] = [real, again, samples]
        features = [extract(network, part.split(_BATCH)) for part in sets]
        of_again, of_samples = (frechet_distance(features[0], each) for each in features[1:])
        found.append(figure(f"Frechet distance, {name}, reconstructions", [of_again], ""))
        found.append(figure(f"Frechet distance, {name}, samples", [of_samples], "", {"reconstructions": of_again}))
    bits = rates(Run(folder, True, 0))
    found += [figure(f"bits an item, {name} prior", [value], "bits") for name, value in bits.items()]
    nearest = nearest_items(samples, evaluation_batches(training, 1024))
    usual = nearest_items(real, evaluation_batches(training, 1024))
    found.append(figure("distance to the nearest training image, samples", [float(nearest.rms.median())], "rms"))
    found.append(figure("distance to the nearest training image, held out", [float(usual.rms.median())], "rms"))
    tokens = load_tokens(read_config(folder)["data"])
    repeats = repeated_share(indices, (tokens[number] for number in range(len(tokens))))
    found.append(figure("samples whose indices are those of an item", [100 * repeats], "%"))
    report(found, arguments, samples=count, temperature=arguments.temperature, guidance=arguments.guidance)


if __name__ == "__main__":
    main()
