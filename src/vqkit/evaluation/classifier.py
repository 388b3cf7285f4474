"""A classifier of labelled images: a measuring instrument, and its features for generation measures."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import final

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vqkit.chance import forked
from vqkit.data import Batches, Source, evaluation_batches
from vqkit.data.classes import all_names
from vqkit.errors import ConfigError, DataError
from vqkit.ops import evaluating
from vqkit.seeds import check_seed
from vqkit.storage.atomic import write_file
from vqkit.threads import one_thread

_POOLED = 11
"""Layers before the means that are classified."""


@final
class Classifier(nn.Module):
    """A small convolution network that tells the classes of a data set apart; ``train_classifier`` makes one.

    Three convolutions with batch normalisation, 2x2 pooled means, a layer of 128 and the class scores: about 0.13
    million weights, images of any size.

    Args:
        channels: C of the images.
        classes: how many labels, 0 .. classes - 1.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import Classifier
        >>> Classifier(1, 10)(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.channels = channels
        self.classes = classes
        self.class_names: list[str] | None = None
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels, affine=False),
            *_block(channels, 32, kernel=5, stride=2),
            *_block(32, 64, kernel=3, stride=1),
            nn.MaxPool2d(2, ceil_mode=True),
            *_block(64, 96, kernel=3, stride=1),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(4 * 96, 128, bias=False),
            nn.BatchNorm1d(128),
            nn.ReLU(),
        )
        self.head = nn.Linear(128, classes)

    def features(self, images: Tensor) -> Tensor:
        """The layer before the class scores: ``[batch, 128]`` float32, of images ``[batch, C, height, width]``."""
        found: Tensor = self.body(as_floats(images, self.channels))
        return found

    def logits(self, images: Tensor) -> Tensor:
        """Class scores ``[batch, classes]``, log-probabilities up to a constant."""
        scores: Tensor = self.head(self.features(images))
        return scores

    def forward(self, images: Tensor) -> Tensor:
        """The logits."""
        return self.logits(images)

    def maps(self, images: Tensor) -> list[Tensor]:
        """The maps of the three convolutions, ``[batch, C, *size]``, of floats ``[batch, channels, height, width]``."""
        found = []
        for layer in list(self.body.children())[:_POOLED]:
            images = layer(images)
            if isinstance(layer, nn.ReLU):
                found.append(images)
        return found

    def save_features(self, path: str | Path) -> Path:
        """Write the maps as a graph of torch.export, for ``perceptual(features="FILE")``: objectives that look with it.

        Args:
            path: of the file, ``.pt2``.

        Raises:
            OSError: it cannot be written.

        Example:
            >>> import tempfile
            >>> from vqkit.evaluation import Classifier
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     Classifier(1, 10).save_features(f"{folder}/digits.pt2").name
            'digits.pt2'
        """
        path = Path(path)
        module = _Maps(self).eval()
        sizes = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
        with evaluating(self), torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            example = torch.rand(3, self.channels, 20, 28, device=self.head.weight.device)
            program = torch.export.export(
                module, (example,), dynamic_shapes=(sizes,), prefer_deferred_runtime_asserts_over_guards=True
            )
            write_file(path, lambda new: _save(program, new))
        return path

    @torch.no_grad()
    def accuracy(self, source: Source, *, batch_size: int = 256) -> float:
        """Fraction of the labelled items of a source whose class is found, in evaluation mode.

        Classes are the same by name, where the classifier learned some with names (``class_names``).

        Raises:
            DataError: the source has no labels.
        """
        labeled, _ = _labeled(source if self.class_names is None else source.with_classes(self.class_names))
        assert labeled.labels is not None
        right = 0
        with evaluating(self):
            for indices, images in evaluation_batches(labeled, batch_size):
                found = self.logits(images.to(self.head.weight.device)).argmax(dim=1).cpu()
                right += int((found.numpy() == labeled.labels[indices]).sum())
        return right / len(labeled)


@final
class ClassifierFeatures(nn.Module):
    """The penultimate features, ``[batch, 128]`` float32, of a trained classifier, as a feature network.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import Classifier, ClassifierFeatures
        >>> ClassifierFeatures(Classifier(1, 10))(torch.rand(2, 1, 8, 8)).shape[0]
        2
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier.eval()

    def forward(self, images: Tensor) -> Tensor:
        """Features of images ``[batch, C, height, width]``."""
        return self.classifier.features(images)


def train_classifier(
    source: Source,
    *,
    seed: int = 0,
    steps: int = 1000,
    batch_size: int = 64,
    learning_rate: float = 5e-3,
    crop: int | None = None,
    flip: bool = False,
    device: str | torch.device = "cpu",
) -> Classifier:
    """Train a classifier on a source's own labels: a measuring instrument, good enough in about a minute on one core.

    AdamW with one cycle of the learning rate, on one thread. Items labelled -1 are left out. The same source,
    options and machine give the same classifier, whatever the global seed, which is left as it was, and whatever the
    number of threads, on which sums depend in their last bits.

    Args:
        source: labelled images. Train on other items than those that it will judge.
        seed: of the first weights and of the batches.
        steps: batches to learn from.
        batch_size: images in a batch, at least 2 (batch normalisation).
        learning_rate: the highest of the cycle.
        crop: side of random square crops in pixels, for images of different sizes; None: whole images.
        flip: mirror half of the images left to right; not for digits or letters.
        device: where to train and where the classifier stays.

    Raises:
        ConfigError: options out of range, no images, or images of different sizes without ``crop``.
        DataError: no labels, or fewer than two classes among them.

    Example:
        >>> import torch
        >>> import vqkit
        >>> from vqkit.evaluation import train_classifier
        >>> digits = vqkit.load_source("digits").subset(range(100))
        >>> classifier = train_classifier(digits, steps=2, batch_size=16)
        >>> classifier(torch.from_numpy(digits[:4]) / 255).shape
        torch.Size([4, 10])
    """
    if not source.kind.converts:
        raise ConfigError(f"a classifier is for images; this is {source.describe()}")
    if steps < 1 or batch_size < 2:
        raise ConfigError(f"steps={steps}, batch_size={batch_size}: at least 1 step and, for its statistics, 2 images")
    labeled, classes = _labeled(source)
    assert labeled.labels is not None
    if len(np.unique(labeled.labels)) < 2:
        raise DataError(f"all {len(labeled):,} labels of {source.name} are the same; a classifier needs 2 classes")
    with forked():
        torch.default_generator.manual_seed(check_seed(seed))
        classifier = Classifier(source.channels, classes).to(device)
    classifier.class_names = None if source.class_names is None else all_names(labeled.labels, source.class_names)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=learning_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps, pct_start=0.2)
    with one_thread(), Batches(labeled, batch_size, crop=crop, flip=flip, seed=seed) as batches:
        for step in range(steps):
            labels = torch.from_numpy(labeled.labels[batches.indices(step)]).to(device)
            loss = F.cross_entropy(classifier.logits(batches.batch(step).to(device)), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


@final
class _Maps(nn.Module):
    """The maps of a classifier alone."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> list[Tensor]:
        return self.classifier.maps(images)


def _save(program: torch.export.ExportedProgram, path: Path) -> None:
    with path.open("wb") as file:
        torch.export.save(program, file)


def _block(inputs: int, outputs: int, *, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _labeled(source: Source) -> tuple[Source, int]:
    """The items that have a label, and how many classes the labels number. Raises DataError if there are none."""
    chosen = np.flatnonzero([] if source.labels is None else source.labels >= 0)
    if source.labels is None or len(chosen) == 0:
        raise DataError(f"{source.name} has no labels, which a classifier needs; use RandomFeatures for such images")
    return source.subset(chosen), max(int(source.labels.max()) + 1, len(source.class_names or ()))


def as_floats(images: Tensor, channels: int) -> Tensor:
    """The images as float32 in [0, 1]. Raises DataError for what are no such images."""
    if images.ndim != 4 or images.shape[1] != channels or 0 in images.shape[2:]:
        raise DataError(f"images have shape {list(images.shape)}; this network takes [batch, {channels}, H, W]")
    if images.dtype == torch.uint8:
        return images.float() / 255
    if not images.is_floating_point():
        raise DataError(f"images are {images.dtype}; give uint8 (0..255) or floats in [0, 1]")
    if images.numel() and not (bool((images >= -1e-3).all()) and bool((images <= 1.001).all())):
        low, high = (float(each) for each in images.aminmax())
        raise DataError(f"float images reach from {low:.4g} to {high:.4g}; give values in [0, 1] (scale or clamp them)")
    return images.float()
