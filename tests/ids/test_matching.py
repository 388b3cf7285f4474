"""Deferred acceptance against its definition: stable, the same in any blocks, no id over its capacity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vqkit.ids.matching import Places, matched


def problem(seed: int, items: int = 60, ids: int = 50, wishes: int = 6) -> tuple[Any, Any]:
    """For each item its first id and its other wishes, and how far each is, ascending."""
    random = np.random.default_rng(seed)
    wanted = np.stack([random.permutation(ids)[: wishes + 1] for _ in range(items)])
    return wanted, np.sort(random.integers(0, 8, (items, wishes + 1)).astype(np.float32), axis=1)


def solve(wanted: Any, far: Any, **options: Any) -> Any:
    return matched(wanted[:, 0], far[:, 0], lambda items: (wanted[items, 1:], far[items, 1:]), **options)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("capacity", [1, 3])
def test_the_outcome_is_stable_and_the_same_in_any_blocks(seed: int, capacity: int) -> None:
    wanted, far = problem(seed)
    found = solve(wanted, far, capacity=capacity)
    for block in (1, 7, 60):
        np.testing.assert_array_equal(solve(wanted, far, capacity=capacity, block=block), found)
    rank = [list(own).index(chosen) for own, chosen in zip(wanted, found, strict=True)]
    distance = [float(far[item, place]) for item, place in enumerate(rank)]
    holders = {each: sorted(np.flatnonzero(found == each), key=lambda item: (distance[item], item)) for each in found}
    homeless = {item for own in holders.values() for item in own[capacity:]}
    assert all(rank[item] == 0 for item in homeless)
    for item, place in enumerate(rank):
        for better in range(len(wanted[0]) if item in homeless else place):
            rightful = holders.get(wanted[item, better], [])[:capacity]
            assert len(rightful) == capacity  # no id that it would rather have has room,
            assert all((distance[other], other) < (far[item, better], item) for other in rightful)  # for it is farther


def test_an_item_without_any_room_keeps_its_first_id() -> None:
    wanted, far = np.array([[4, 5], [4, 5], [4, 5]]), np.array([[0.0, 1], [0.1, 1], [0.2, 1]], np.float32)
    assert solve(wanted, far).tolist() == [4, 5, 4]


def test_ids_that_are_taken_stay_taken() -> None:
    wanted, far = np.array([[4, 5], [4, 6]]), np.array([[0.0, 1], [0.1, 1]], np.float32)
    assert solve(wanted, far, taken=np.array([4, 4, 6])).tolist() == [5, 4]


def test_a_capacity_beyond_all_items_takes_no_memory() -> None:
    places = Places(1 << 40)
    ids = np.array([7, 3, 7, 7])
    assert places.propose(ids, np.array([2, 1, 0, 1], np.float32), np.arange(4)).tolist() == []
    held, items = places.holders()
    assert held.tolist() == [3, 7, 7, 7]
    assert items.tolist() == [1, 2, 3, 0]
