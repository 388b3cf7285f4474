"""Conditions of a prior beside the indices: labels of the data, or vectors that go with it."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vqkit.data import Source
from vqkit.data.classes import foreign_names, shown
from vqkit.errors import ConfigError
from vqkit.priors.conditions import Conditions
from vqkit.spelling import spelled

Labels = npt.NDArray[np.int64] | npt.NDArray[np.float32]


class Conditioned(Protocol):
    """A prior, or a model whose decoder has conditions, as far as these go."""

    @property
    def conditions(self) -> Conditions:
        """Their kind."""
        ...

    @property
    def class_names(self) -> list[str] | None:
        """Of the classes, in the order of the ids; None: they have none."""
        ...


def labels_for(owner: Conditioned, source: Source) -> Labels | None:
    """The condition of all items: class ids int64 ``[N]``, or vectors float32 ``[N, D]``; None without conditions.

    Raises:
        ConfigError: an owner whose condition the data cannot give: vectors that are not there or of another length,
            classes without labels or with other names, labels out of range, items without a label for one that
            always has one.
    """
    if not owner.conditions:
        return None
    classes, noun = owner.conditions.classes, owner.conditions.owner
    if classes is None:
        return _vectors(owner.conditions, source)
    labels = source.labels
    if labels is None:
        verb = "encode" if noun == "prior" else "give"
        where = spelled(python="load_source(data, labels=...)", command="--labels")
        raise ConfigError(
            f"classes={classes}: {source.describe()} have no labels to condition on; {verb} data that have labels (a "
            f"folder for each class, or {where}, for example), or make the {noun} with classes=None"
        )
    if owner.class_names is not None:
        labels = _by_name(owner, owner.class_names, source, labels)
    if int(labels.max()) >= classes or int(labels.min()) < -1:
        raise ConfigError(
            f"classes={classes}: the labels of {source.name} run from {labels.min()} to {labels.max()}; make the "
            f"{noun} with classes={int(labels.max()) + 1}"
        )
    without = int((labels < 0).sum())
    if without and not owner.conditions.dropout:
        raise ConfigError(
            f"{without:,} of {len(labels):,} items of {source.name} have no label (-1), and this {noun} was made with "
            f"condition_dropout=0, so it has learned nothing without one; leave these items out, or make the {noun} "
            "with condition_dropout=0.1"
        )
    return labels


def _by_name(
    owner: Conditioned, names: list[str], source: Source, labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """The labels as the owner numbers its classes."""
    numbered = source.with_classes(names)
    found = labels if numbered.labels is None else numbered.labels
    foreign = foreign_names(found, numbered.class_names or [], names)
    if foreign:
        own = "have" if source.class_names else "have no names, only numbers:"
        raise ConfigError(
            f"the classes of {source.name} {own} {shown(foreign)}, which the {owner.conditions.owner} does not "
            f"know; its classes are {shown(names)}: give data with these classes, or train a {owner.conditions.owner} "
            "on this data"
        )
    return found


def picked(labels: Labels | None, indices: npt.NDArray[Any], device: torch.device) -> tuple[Tensor, ...]:
    """Return the conditions of these items, ``(Tensor,)`` on ``device``; ``()`` without labels."""
    return () if labels is None else (torch.from_numpy(labels[indices]).to(device, non_blocking=True),)


def _vectors(conditions: Conditions, source: Source) -> Labels:
    dim, vectors = conditions.dim, source.vectors
    if vectors is None or vectors.shape[1] != dim:
        found = "no vectors" if vectors is None else f"vectors of {vectors.shape[1]} numbers"
        given = spelled(python="the source's vectors", command="vqkit prior RUN --vectors FILE.npy")
        raise ConfigError(
            f"condition_dim={dim}: {source.describe()} have {found} to condition on; give an array [items, {dim}] "
            f"({given})"
        )
    return vectors
