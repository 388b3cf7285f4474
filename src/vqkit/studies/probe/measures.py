"""The probes of one set of labels: accuracies with intervals, chance, and the tables of codes and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.evaluation.probing import (
    CodeLabels,
    LinearProbe,
    bootstrap_interval,
    chance_information_bits,
    wilson_interval,
)
from vqkit.studies.probe.label_sets import LabelSet
from vqkit.studies.probe.representations import INDICES, Encoded
from vqkit.studies.probe.settings import ProbeConfig

PENALTIES = (1.0, 10.0, 100.0, 1000.0)
"""Of linear probes: weights of half the squared weights, 1 / C of scikit-learn."""
LINEAR, MAPPING = "linear", "mapping"
_MOST_PROBABILITIES = 200_000
Right = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Features:
    """A representation of all items, as linear probes read it.

    Attributes:
        model: whose it is; "" for the signals.
        of: which representation.
        parts: along every axis; 0 for an item's only vector.
        training, test: ``[N, D]`` and ``[M, D]``.
    """

    model: str
    of: str
    parts: int
    training: Tensor
    test: Tensor


@dataclass(frozen=True)
class Probed:
    """One probe: its row of numbers, and which of the test items it tells right (NaN where they have no label)."""

    row: dict[str, Any]
    right: Right


def majority(labels: LabelSet) -> dict[str, Any]:
    """What always saying the most frequent training label gives."""
    known = labels.training[labels.training >= 0]
    most = int(np.bincount(known).argmax())
    test = labels.test[labels.test >= 0]
    hits = int((test == most).sum())
    return {
        "label": labels.class_names[most],
        "accuracy": hits / len(test),
        "interval": list(wilson_interval(hits, len(test))),
    }


def linear(features: Features, labels: LabelSet, config: ProbeConfig, *, permuted: bool = False) -> Probed:
    """A linear probe of a representation; with ``permuted`` also its accuracy after fits to permuted labels."""
    probe = LinearProbe.fit(features.training, labels.training, penalty=PENALTIES, seed=config.seed)
    right = _right(probe.predict(features.test).numpy(), labels.test)
    row = {
        **_row(features.model, features.of, LINEAR, features.parts),
        "numbers": features.training.shape[1],
        "fitted_items": probe.items,
        "penalty": probe.penalty,
        **_accuracy(right),
    }
    if permuted and config.permutations:
        found = [
            _accuracy(_right(_refit(features, shuffled, probe.penalty, config), labels.test))["accuracy"]
            for shuffled in _permuted(labels.training, config)
        ]
        row["permuted_accuracy"] = float(np.mean(found))
    return Probed(row, right)


def mapped(
    model: str, encoded: tuple[Encoded, Encoded], sizes: int, labels: LabelSet, config: ProbeConfig
) -> tuple[Probed, list[dict[str, Any]], list[CodeLabels]]:
    """The mapping of codes to labels: items by the vote of their positions, and the table of each codebook.

    Args:
        model: its name.
        encoded: of the training and the test items.
        sizes: codes of a codebook.
        labels: of both.
        config: of the study.
    """
    training, test = encoded
    tables: list[CodeLabels] = []
    documents = []
    votes = np.zeros((len(test.indices), len(labels.class_names)), dtype=np.int64)
    books = training.indices[0].shape[-1]
    for book in range(books):
        fitted, judged = ([each[..., book] for each in one.indices] for one in (training, test))
        table = CodeLabels.count(fitted, labels.training, sizes, len(labels.class_names))
        tables.append(table)
        documents.append({"codebook": book, "codebooks": books, **_table(table, fitted, judged, labels, config)})
        mapping = torch.from_numpy(table.mapping)
        votes += torch.stack(
            [torch.bincount(mapping[each.flatten()], minlength=votes.shape[1]) for each in judged]
        ).numpy()
    right = _right(votes.argmax(axis=1), labels.test)
    probe = {
        **_row(model, INDICES, MAPPING, 1),
        "numbers": None,
        "fitted_items": None,
        "penalty": None,
        **_accuracy(right),
    }
    return Probed(probe, right), documents, tables


def kept_share(ours: Probed, theirs: Probed, chance: float) -> float | None:
    """Which share of what theirs tells above chance ours tells too; None where theirs tells nothing."""
    above = theirs.row["accuracy"] - chance
    return (ours.row["accuracy"] - chance) / above if above > 0 else None


def kept_difference(
    first: tuple[Probed, Probed, float], second: tuple[Probed, Probed, float], config: ProbeConfig
) -> tuple[float, float]:
    """Interval of the difference of two kept shares, by the bootstrap over test items.

    Args:
        first: ours, theirs and chance for one set of labels.
        second: the same for the other.
        config: of the study.
    """

    def figure(drawn: npt.NDArray[np.int64]) -> Right:
        shares = []
        for ours, theirs, chance in (first, second):
            with np.errstate(invalid="ignore", divide="ignore"):
                mine, their = (_means(each.right[drawn]) - chance for each in (ours, theirs))
                shares.append(np.where(their > 0, mine / their, np.nan))
        return np.asarray(shares[0] - shares[1])

    return bootstrap_interval(len(first[0].right), figure, resamples=config.resamples, seed=config.seed)


def _means(right: Right) -> Right:
    known = np.isfinite(right)
    return np.where(known, right, 0).sum(axis=1) / known.sum(axis=1)


def _row(model: str, of: str, probe: str, parts: int) -> dict[str, Any]:
    return {"model": model, "representation": of, "probe": probe, "parts": parts}


def _right(found: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Right:
    return np.where(labels >= 0, (found == labels).astype(np.float64), np.nan)


def _accuracy(right: Right) -> dict[str, Any]:
    known = right[np.isfinite(right)]
    hits = int(known.sum())
    return {"accuracy": hits / len(known), "interval": list(wilson_interval(hits, len(known)))}


def _permuted(labels: npt.NDArray[np.int64], config: ProbeConfig) -> Sequence[npt.NDArray[np.int64]]:
    rng = np.random.Generator(np.random.Philox(config.seed))
    known = np.flatnonzero(labels >= 0)
    found = []
    for _ in range(config.permutations):
        shuffled = labels.copy()
        shuffled[known] = labels[rng.permutation(known)]
        found.append(shuffled)
    return found


def _refit(features: Features, labels: npt.NDArray[np.int64], penalty: float, config: ProbeConfig) -> npt.NDArray[Any]:
    probe = LinearProbe.fit(features.training, labels, penalty=penalty, seed=config.seed)
    return np.asarray(probe.predict(features.test).numpy())


def _table(
    table: CodeLabels, fitted: list[Tensor], judged: list[Tensor], labels: LabelSet, config: ProbeConfig
) -> dict[str, Any]:
    """What the table of one codebook says, as JSON values."""
    known = np.flatnonzero(labels.test >= 0)
    some, own = [judged[at] for at in known], labels.test[known]
    right, positions = table.right_positions(some, own)
    most = int(table.counts.sum(axis=0).argmax())
    bias = chance_information_bits(fitted, labels.training, len(table.counts), table.counts.shape[1], seed=config.seed)
    low, high = bootstrap_interval(
        len(known),
        lambda drawn: right[drawn].sum(axis=1) / positions[drawn].sum(axis=1),
        resamples=config.resamples,
        seed=config.seed,
    )
    return {
        "codes": len(table.counts),
        "codes_that_occur": int((table.counts.sum(axis=1) > 0).sum()),
        "training_positions": int(table.counts.sum()),
        "test_positions": int(positions.sum()),
        "position_accuracy": float(right.sum() / positions.sum()),
        "position_interval": [low, high],
        "position_chance": float(positions[own == most].sum() / positions.sum()),
        "counted_information_bits": table.mutual_information_bits,
        "chance_information_bits": bias,
        "mutual_information_bits": max(0.0, table.mutual_information_bits - bias),
        "label_entropy_bits": table.label_entropy_bits,
        "code_entropy_bits": table.code_entropy_bits,
        "table": _codes(table, labels.class_names),
    }


def _codes(table: CodeLabels, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Each code that occurs, sorted by label, with p(label | code); of very large tables the largest only."""
    order, mapping, conditional = table.order(), table.mapping, table.conditional
    whole = len(order) * len(class_names) <= _MOST_PROBABILITIES
    found = []
    for code in order:
        label = int(mapping[code])
        entry: dict[str, Any] = {
            "code": int(code),
            "positions": int(table.counts[code].sum()),
            "label": class_names[label],
            "probability": round(float(conditional[code, label]), 6),
        }
        if whole:
            entry["probabilities"] = [round(float(each), 6) for each in conditional[code]]
        found.append(entry)
    return found
