"""Which items of a set a study measures on."""

from __future__ import annotations

import numpy as np

from vqkit.data import ArraySource
from vqkit.studies.images import gathered, gathered_items, gathered_labels


def test_items_that_lie_by_class_are_gathered_from_all_of_them() -> None:
    labels = np.repeat(np.arange(10), 30)
    images = np.arange(300, dtype=np.uint8).repeat(4).reshape(300, 1, 2, 2)
    by_class = ArraySource(images, labels=labels)
    chosen = gathered_items(by_class, 100)
    assert len(set(chosen)) == 100
    assert set(labels[chosen[:40]]) == set(range(10)), "any part of them, too"
    assert gathered(by_class, 100)[:, 0, 0, 0].tolist() == [float(images[place, 0, 0, 0]) for place in chosen]
    assert np.array_equal(gathered_labels(by_class, 100), labels[chosen])  # type: ignore[arg-type]
    mixed = ArraySource(images, labels=labels[::-1].copy())
    assert gathered_items(mixed, 5) == gathered_items(ArraySource(images), 5) == [0, 1, 2, 3, 4]
