"""The items of a probe study, split, with each set of their labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from vqkit.checking import counted
from vqkit.data import Source, labels_assumed, load_source
from vqkit.data.arrays.labels import array_labels
from vqkit.data.classes import all_names
from vqkit.errors import ConfigError, DataError
from vqkit.models import Model
from vqkit.models.matching import in_channels, kind_expected, readable
from vqkit.spelling import option, spelled
from vqkit.studies.probe.settings import ProbeConfig
from vqkit.training import TrainConfig
from vqkit.training.inputs.holdout import validation_split

LeastTraining, LeastTest = 10, 5
Labels = str | Sequence[str] | Mapping[str, Any] | None
Numbers = npt.NDArray[np.int64]
_OWN = "label"


@dataclass(frozen=True)
class LabelSet:
    """One set of labels of the items.

    Attributes:
        name: "digit", "speaker".
        class_names: of the labels 0, 1, ...
        training: int64 ``[N]``, -1 where an item has none.
        test: int64 ``[M]``.
    """

    name: str
    class_names: list[str]
    training: Numbers
    test: Numbers


@dataclass(frozen=True)
class Items:
    """The items that a model reads, and their labels.

    Attributes:
        source: all of them.
        training: probes are fitted to these.
        test: and judged on these.
        label_sets: of both.
    """

    source: Source
    training: Source
    test: Source
    label_sets: list[LabelSet]


def open_items(model: Model, data: Any, labels: Labels, config: ProbeConfig) -> Items:
    """The data as a model reads it, split, with all sets of labels; items without any label are left out.

    Raises:
        DataError: no such data, no labels, or signals that the model does not read.
        ConfigError: labels that such data cannot have, or a split that there is not.
    """
    labeled = _labeled(model, data, labels)
    splits = [_split(model, source, assumed, config) for _, source, assumed in labeled]
    training, fitted = _labeled_items([each for each, _ in splits], config.training_items, config.seed)
    test, judged = _labeled_items([each for _, each in splits], config.test_items, config.seed)
    sets = []
    for at, (name, _, _) in enumerate(labeled):
        known = max(map(_names, splits[at]), key=len)
        sets.append(LabelSet(name, known, fitted[at], judged[at]))
        check_labels(sets[-1])
    return Items(labeled[0][1], readable(model, training), readable(model, test), sets)


def check_labels(labels: LabelSet) -> None:
    """Raise ``DataError`` where a probe of these labels could say nothing."""
    training, test = (each[each >= 0] for each in (labels.training, labels.test))
    classes = np.unique(training)
    if len(classes) == 1:
        only = labels.class_names[int(classes[0])]
        raise DataError(
            f"{labels.name}: all {counted(len(training), 'training item')} with a label are of the class {only!r}; a "
            "probe needs 2 classes or more"
        )
    if len(training) < LeastTraining or len(test) < LeastTest:
        raise DataError(
            f"{labels.name}: {len(training)} training and {len(test)} held-out items have a label; a probe needs "
            f"{LeastTraining} and {LeastTest} at least: give more items, or hold out another part, "
            f"{option('validation', 0.3)}"
        )
    if not np.isin(test, classes).any():
        raise DataError(
            f"{labels.name}: none of the {len(np.unique(test))} classes of the held-out items occurs among the "
            f"{len(classes)} of the training items; give labels that several items share"
        )


def _labeled(model: Model, data: Any, labels: Labels) -> list[tuple[str, Source, str | None]]:
    """The data with each set of labels: its name, the source, and what labels other data of that name has."""
    if labels is None or not labels:
        source = _opened(model, data, None)
        if source.labels is None:
            how = spelled(
                python='labels=["COLUMN"], "labels.json:KEY" or {"name": array}',
                command="--labels COLUMN of a Parquet file, or labels.json:KEY beside the signals",
            )
            raise DataError(f"{source.describe()} has no labels, so there is nothing to probe for: give {how}")
        return [(_OWN, source, None)]
    if isinstance(labels, Mapping):
        source = _opened(model, data, None)
        return [(str(name), _relabeled(source, str(name), each), None) for name, each in labels.items()]
    wanted = [labels] if isinstance(labels, str) else list(labels)
    if len(set(wanted)) < len(wanted):
        raise ConfigError(f"{option('labels', ','.join(wanted))}: name each set of labels once")
    names = [_short_name(each) for each in wanted]
    names = [each if names.count(each) == 1 else whole for each, whole in zip(names, wanted, strict=True)]
    found: list[tuple[str, Source, str | None]] = [
        (name, _opened(model, data, each), each) for name, each in zip(names, wanted, strict=True)
    ]
    for _, source, each in found:
        if source.labels is None:
            raise DataError(f"{source.describe()}: {option('labels', each)} holds no labels; {'; '.join(source.notes)}")
        if len(source) != len(found[0][1]):
            raise DataError(
                f"{option('labels', each)}: {len(source):,} items, and {len(found[0][1]):,} with {wanted[0]}"
            )
    return found


def _opened(model: Model, data: Any, labels: str | None) -> Source:
    with kind_expected(model):
        return in_channels(model, load_source(data, labels=labels))


def _short_name(text: str) -> str:
    """``labels.json:slots.size`` is called ``slots.size``, ``labels.json`` ``labels``, a column as it is."""
    head, colon, key = text.rpartition(":")
    if colon and head.lower().endswith((".json", ".jsonl", ".csv", ".tsv")):
        return key
    return text.rpartition("/")[2].partition(".")[0] or text


def _relabeled(source: Source, name: str, labels: Any) -> Source:
    array = np.asarray(labels.detach().cpu() if isinstance(labels, torch.Tensor) else labels)
    if array.shape[:1] != (len(source),):
        raise DataError(f"labels {name!r} have shape {list(array.shape)} for {len(source):,} items; give one for each")
    numbers, class_names, notes = array_labels(array, name)
    if numbers is None:
        raise DataError(f"labels {name!r} are no classes; {'; '.join(notes)}")
    found = object.__new__(type(source))
    found.__dict__.update(source.__dict__)
    found.labels, found.class_names = numbers, class_names
    return found


def _split(model: Model, source: Source, labels: str | None, config: ProbeConfig) -> tuple[Source, Source]:
    with kind_expected(model), labels_assumed(labels):
        training, test = validation_split(source, TrainConfig(validation=config.validation, seed=config.seed))
    if test.labels is None:
        raise DataError(f"the held-out data {test.describe()} has no labels; give a part of the data instead")
    return training, in_channels(model, test)


def _names(source: Source) -> list[str]:
    return all_names(_labels_of(source), source.class_names)


def _labels_of(source: Source) -> Numbers:
    return np.full(len(source), -1, dtype=np.int64) if source.labels is None else source.labels


def _labeled_items(sources: Sequence[Source], most: int, seed: int) -> tuple[Source, Numbers]:
    """The items that have a label in one of the sets, and their labels ``[sets, N]``.

    Of more than ``most`` some are drawn with the seed; they keep their order. Where there are none: the first item.
    """
    columns = np.stack([_labels_of(each) for each in sources])
    rows = np.flatnonzero((columns >= 0).any(axis=0))
    if len(rows) > most:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed)).numpy()
        rows = np.sort(rows[order[:most]])
    rows = rows if len(rows) else np.zeros(1, dtype=np.int64)
    return sources[0].subset(rows), columns[:, rows]
