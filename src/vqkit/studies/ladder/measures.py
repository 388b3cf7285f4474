"""Measures of every rung, by the same code: features, probe, timings, bits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from vqkit.data import Source
from vqkit.data.classes import all_names, shown
from vqkit.errors import DataError
from vqkit.evaluation.classifier import Classifier, ClassifierFeatures, train_classifier
from vqkit.evaluation.features import extract, feature_network
from vqkit.evaluation.generation import frechet_distance, judge_generation
from vqkit.evaluation.probing import linear_probe_accuracy
from vqkit.models import Model
from vqkit.signals import Signal, signal_kind
from vqkit.storage import atomic
from vqkit.studies.images import gathered, gathered_labels
from vqkit.studies.ladder.eye import fine_detail
from vqkit.studies.ladder.settings import CompareConfig
from vqkit.studies.seen import as_image_source, as_images

_BATCH = 128
_BOOTSTRAPS = 16
_PROBE_TRAIN, _PROBE_TEST, _PROBE_NUMBERS = 5000, 2000, 1024
_TIMED = 128


class Features:
    """Frechet distance and its companions, against the held-out images, in one feature network.

    Args:
        network: images to features.
        name: in words, for the report.
        real: held-out images ``[N, channels, height, width]``.
        kind: of the signals, where they are no images: the network then sees their pictures.
    """

    def __init__(self, network: nn.Module, name: str, real: Tensor, kind: Signal | None = None) -> None:
        self.network = network
        self.name = name
        self.kind = signal_kind("image") if kind is None else kind
        self.real = self._extract(real)
        self._detail = self._fine_detail(real)

    @classmethod
    def choose(cls, config: CompareConfig, training: Source, held_out: Source, folder: Path) -> Features:
        """As ``CompareConfig.features`` says; a classifier is trained once and kept in ``folder``."""
        real = gathered(held_out, config.samples)
        labeled = training.labels is not None and int(training.labels.max()) > 0
        if config.features == "classifier" or (config.features == "auto" and labeled):
            _check_common(training, held_out)
            classifier = _classifier(as_image_source(training), folder, config.seed_of_split, config.classifier_steps)
            right, words = classifier.accuracy(as_image_source(held_out)), held_out.kind.noun[1]
            name = f"a classifier of the data's labels ({right:.1%} right on held-out {words})"
            return cls(ClassifierFeatures(classifier), name, real, training.kind)
        chosen = "random" if config.features == "auto" else config.features
        name = "a fixed random network" if chosen == "random" else chosen
        return cls(feature_network(chosen, training.channels, seed=0), name, real, training.kind)

    def judge(self, images: Tensor) -> dict[str, Any]:
        """The generation report of some images, and the noise of drawing so few: ``frechet_noise``."""
        features = self._extract(images)
        return {**judge_generation(self.real, features).as_dict(), "frechet_noise": self._noise(features)}

    def detail(self, images: Tensor) -> float | None:
        """The fine detail of images (see ``eye``) as a share of that of the held-out ones; None: these have none."""
        return self._fine_detail(images) / self._detail if self._detail else None

    def _fine_detail(self, images: Tensor) -> float:
        parts = images.split(_BATCH)
        return sum(fine_detail(as_images(self.kind, part)) * len(part) for part in parts) / len(images)

    def floor(self) -> float:
        """The Frechet distance between two halves of the held-out images: what not even real ones go below."""
        order = torch.randperm(len(self.real), generator=torch.Generator().manual_seed(0))
        half = len(order) // 2
        return frechet_distance(self.real[order[:half]], self.real[order[half : 2 * half]])

    def _noise(self, features: Tensor) -> float:
        """The deviation of the Frechet distance over samples drawn again, by the bootstrap."""
        generator, count = torch.Generator().manual_seed(0), len(features)
        found = [
            frechet_distance(self.real, features[torch.randint(count, (count,), generator=generator)])
            for _ in range(_BOOTSTRAPS)
        ]
        return statistics.stdev(found)

    def _extract(self, signals: Tensor) -> Tensor:
        return extract(self.network, (as_images(self.kind, part) for part in signals.split(_BATCH)))


def _check_common(training: Source, held_out: Source) -> None:
    """Raise ``DataError`` where the held-out images have classes, and none of them is one to learn from."""
    if training.labels is None or held_out.labels is None:
        return
    known = all_names(training.labels, training.class_names)
    names = all_names(held_out.labels, held_out.class_names)
    own = [names[number] for number in np.unique(held_out.labels[held_out.labels >= 0])]
    learned = {known[number] for number in np.unique(training.labels[training.labels >= 0])}
    if own and not learned & set(own):
        raise DataError(
            f"the held-out images are of the classes {shown(own)}, and those to learn from of "
            f"{shown(sorted(learned))}: no name is common to both, so no classifier can be judged; give classes the "
            "same names (of folders, say), or choose other features (random)"
        )


def _classifier(training: Source, folder: Path, seed: int, steps: int) -> Classifier:
    file = folder / "classifier.safetensors"
    classes = 0 if training.labels is None else len(all_names(training.labels, training.class_names))
    if file.is_file():
        classifier = Classifier(training.channels, classes)
        classifier.load_state_dict(load_file(file))
        return classifier.eval()
    classifier = train_classifier(training, seed=seed, steps=steps)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}
    atomic.write_file(file, lambda temporary: save_file(state, temporary))
    return classifier.eval()


@torch.no_grad()
def encoded(model: Model, images: Tensor) -> Tensor:
    """Codes of many images."""
    return torch.cat([model.encode(part.to(model.device)).cpu() for part in images.split(_BATCH)])


@torch.no_grad()
def decoded(model: Model, codes: Tensor, size: tuple[int, ...]) -> Tensor:
    """Images of many codes, on the CPU."""
    return torch.cat([model.decode(part.to(model.device), size).cpu() for part in codes.split(_BATCH)])


@torch.no_grad()
def real_latents(model: Model, codes: Tensor) -> Tensor:
    """Codes as real numbers ``[N, channels, *grid]`` or ``[N, numbers]``: indices become their codewords."""
    quantizer: Any = getattr(model, "quantizer", None)
    return codes if quantizer is None else quantizer.lookup(codes.to(model.device)).cpu()


def probe_accuracy(model: Model, training: Source, held_out: Source) -> float | None:
    """Return the accuracy of a linear classifier of the labels on the latents; None without labels.

    Latents of more than 1,024 numbers are averaged over blocks of positions.
    """
    if training.labels is None or held_out.labels is None or len(set(training.labels.tolist())) < 2:
        return None
    sets: list[Any] = []
    for source, count in ((training, _PROBE_TRAIN), (held_out, _PROBE_TEST)):
        latents = real_latents(model, encoded(model, gathered(source, count)))
        sets += [_pooled(latents), gathered_labels(source, count)]
    return linear_probe_accuracy(*sets)


def _pooled(latents: Tensor) -> Tensor:
    pool = {3: functional.avg_pool1d, 4: functional.avg_pool2d}.get(latents.ndim)
    while pool is not None and latents[0].numel() > _PROBE_NUMBERS and max(latents.shape[2:]) > 1:
        latents = pool(latents, 2, ceil_mode=True)
    return latents.flatten(1)


def timings(model: Model, images: Tensor) -> dict[str, float]:
    """Milliseconds an image for encoding and decoding, in batches; the faster of two runs."""
    few = images[:_TIMED]
    codes = encoded(model, few)
    size = tuple(images.shape[2:])
    return {
        "encode_ms_per_item": _milliseconds(lambda: encoded(model, few)) / len(few),
        "decode_ms_per_item": _milliseconds(lambda: decoded(model, codes, size)) / len(few),
    }


def sampled(draw: Callable[[int], Tensor], count: int) -> tuple[Tensor, float]:
    """``count`` samples, and the milliseconds that each took."""
    start = time.perf_counter()
    images = torch.cat([draw(part).cpu() for part in _parts(count)])
    return images, (time.perf_counter() - start) * 1000 / count


def _parts(count: int) -> Iterator[int]:
    for start in range(0, count, 4 * _BATCH):
        yield min(4 * _BATCH, count - start)


def _milliseconds(run: Callable[[], Any]) -> float:
    best = float("inf")
    for _ in range(2):
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
    return best * 1000
