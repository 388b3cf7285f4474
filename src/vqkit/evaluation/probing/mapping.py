"""The joint table of codes and labels: each code's most probable label, and the information that they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.errors import DataError

Counts = npt.NDArray[np.int64]


@final
@dataclass(frozen=True)
class CodeLabels:
    """How often each code occurs in items of each label.

    The mapping of van den Oord et al. 2017 (arXiv 1711.00937, section 4.3): every code stands for its most probable
    label. There each position has a label of its own, a phoneme; where items have labels, every position has its
    item's.

    Attributes:
        counts: int64 ``[codebook_size, classes]``, positions.

    Example:
        >>> import torch
        >>> from vqkit.evaluation import CodeLabels
        >>> indices = [torch.tensor([0, 0, 1]), torch.tensor([2, 2, 1])]
        >>> table = CodeLabels.count(indices, [0, 1], codebook_size=4, classes=2)
        >>> table.mapping.tolist(), table.predict([torch.tensor([2, 2, 0])]).tolist()
        ([0, 0, 1, 0], [1])
    """

    counts: Counts

    @classmethod
    def count(cls, indices: Sequence[Tensor], labels: Sequence[int] | Any, codebook_size: int, classes: int) -> Self:
        """Count the positions of items with labels.

        Args:
            indices: of each item, int64 of any shape, each in 0 .. codebook_size - 1.
            labels: of each item, 0 .. classes - 1; items with -1 are left out.
            codebook_size: K.
            classes: how many labels there are.

        Raises:
            DataError: as many labels as items are not there, or one out of range.
        """
        own = np.asarray(labels, dtype=np.int64)
        if own.shape != (len(indices),) or (own >= classes).any():
            raise DataError(
                f"{len(indices)} items and labels of shape {list(own.shape)}: give one below {classes} each"
            )
        counts = np.zeros((codebook_size, classes), dtype=np.int64)
        for each, label in zip(indices, own, strict=True):
            if label >= 0:
                counts[:, label] += torch.bincount(each.flatten(), minlength=codebook_size).numpy()
        return cls(counts)

    @property
    def mapping(self) -> Counts:
        """Each code's most probable label (of equals the first); of codes that do not occur the most frequent label."""
        best = self.counts.argmax(axis=1)
        best[self.counts.sum(axis=1) == 0] = self.counts.sum(axis=0).argmax()
        return best

    @property
    def conditional(self) -> npt.NDArray[np.float64]:
        """p(label | code), ``[codebook_size, classes]``; rows of codes that do not occur are 0."""
        return self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1)

    def order(self) -> Counts:
        """The codes that occur, sorted by their most probable label, then by how probable it is."""
        used = np.flatnonzero(self.counts.sum(axis=1))
        return used[np.lexsort((used, -self.conditional.max(axis=1)[used], self.mapping[used]))]

    def predict(self, indices: Sequence[Tensor]) -> Counts:
        """The label of each item that most of its positions stand for (of equals the first)."""
        mapping = torch.from_numpy(self.mapping)
        classes = self.counts.shape[1]
        votes = [torch.bincount(mapping[each.flatten()], minlength=classes).argmax() for each in indices]
        return np.array([int(vote) for vote in votes], dtype=np.int64)

    def right_positions(self, indices: Sequence[Tensor], labels: Sequence[int] | Any) -> tuple[Counts, Counts]:
        """How many positions of each item stand for its label, and how many it has."""
        mapping = torch.from_numpy(self.mapping)
        right = [
            int((mapping[each.flatten()] == int(label)).sum()) for each, label in zip(indices, labels, strict=True)
        ]
        return np.array(right, dtype=np.int64), np.array([each.numel() for each in indices], dtype=np.int64)

    @property
    def mutual_information_bits(self) -> float:
        """I(code; label) of a position in bits, as counted: too large, see ``chance_information_bits``."""
        joint = self.counts / max(int(self.counts.sum()), 1)
        return max(0.0, entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0)) - entropy(joint))

    @property
    def code_entropy_bits(self) -> float:
        """H(code) in bits, as counted."""
        return entropy(self.counts.sum(axis=1) / max(int(self.counts.sum()), 1))

    @property
    def label_entropy_bits(self) -> float:
        """H(label) of a position in bits, as counted."""
        return entropy(self.counts.sum(axis=0) / max(int(self.counts.sum()), 1))


def chance_information_bits(
    indices: Sequence[Tensor],
    labels: Sequence[int] | Any,
    codebook_size: int,
    classes: int,
    *,
    permutations: int = 10,
    seed: int = 0,
) -> float:
    """I(code; label) in bits that items of permuted labels seem to have, on average: the bias of the counted one.

    Labels are permuted among items, not among positions, since the positions of an item are not independent.
    """
    own = np.asarray(labels, dtype=np.int64)
    rows = np.stack([torch.bincount(each.flatten(), minlength=codebook_size).numpy() for each in indices])
    rows, own = rows[own >= 0], own[own >= 0]
    rng = np.random.Generator(np.random.Philox(seed))
    found = []
    for _ in range(permutations):
        counts = np.zeros((classes, codebook_size), dtype=np.int64)
        np.add.at(counts, own[rng.permutation(len(own))], rows)
        found.append(CodeLabels(counts.T).mutual_information_bits)
    return float(np.mean(found)) if found else 0.0


def entropy(probabilities: npt.NDArray[np.float64]) -> float:
    """Entropy in bits."""
    positive = probabilities[probabilities > 0]
    return float(-(positive * np.log2(positive)).sum())
