"""Ids with room for few items each: every item gets the nearest that nobody nearer wants (Gale and Shapley 1962)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Wishes = Callable[[Ints], tuple[Ints, Floats]]
"""Of items ``[n]``: the ids ``[n, w]`` that each would take, the nearest first, and how far each is ``[n, w]``."""

_OLD = np.float32(-1.0)
"""Distance of items that stay where they are: nobody is nearer."""


@final
class Places:
    """Ids and the items that hold them, so many at most; of more the nearest stay, of equally near ones the first.

    Args:
        capacity: items an id has room for.

    Example:
        >>> import numpy as np
        >>> from vqkit.ids.matching import Places
        >>> places = Places(1)
        >>> places.propose(np.array([7, 7]), np.array([2.0, 1.0], np.float32), np.array([0, 1])).tolist()
        [0]
        >>> places.holders()
        (array([7]), array([1]))
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._ids = np.empty(0, np.int64)
        self._items = np.empty((0, 1), np.int64)
        self._far = np.empty((0, 1), np.float32)

    def propose(self, ids: Ints, far: Floats, items: Ints) -> Ints:
        """Let items ``[n]`` ask for ids ``[n]``; returns those that have none now, of these and of earlier ones."""
        wanted, place = np.unique(ids, return_inverse=True)
        self._make_room(wanted)
        rows = np.searchsorted(self._ids, wanted)
        there = self._items[rows]
        held = there >= 0
        row = np.concatenate([np.nonzero(held)[0], place])
        who = np.concatenate([there[held], items])
        distance = np.concatenate([self._far[rows][held], far])
        order = np.lexsort((who, distance, row))
        row, who, distance = row[order], who[order], distance[order]
        first = np.searchsorted(row, row)
        rank = np.arange(len(row)) - first
        kept = rank < self._capacity
        self._widen(int(rank[kept].max(initial=0)) + 1)
        self._items[rows] = -1
        self._items[rows[row[kept]], rank[kept]] = who[kept]
        self._far[rows[row[kept]], rank[kept]] = distance[kept]
        rejected: Ints = who[~kept]
        return rejected

    def holders(self) -> tuple[Ints, Ints]:
        """Return ids and the items that hold them, an entry for each item."""
        held = self._items >= 0
        return self._ids[np.nonzero(held)[0]], self._items[held]

    def _widen(self, holders: int) -> None:
        """Have columns for so many holders of an id: as many as some id has had, however large the capacity is."""
        more = ((0, 0), (0, max(0, holders - self._items.shape[1])))
        if more[1][1]:
            self._items = np.pad(self._items, more, constant_values=-1)
            self._far = np.pad(self._far, more, constant_values=np.inf)

    def _make_room(self, wanted: Ints) -> None:
        at = np.searchsorted(self._ids, wanted)
        known = at < len(self._ids)
        known[known] = self._ids[at[known]] == wanted[known]
        if known.all():
            return
        at, new = at[~known], wanted[~known]
        self._ids = np.insert(self._ids, at, new)
        self._items = np.insert(self._items, at, -1, axis=0)
        self._far = np.insert(self._far, at, np.inf, axis=0)


def matched(
    first: Ints, far: Floats, wishes: Wishes, *, capacity: int = 1, taken: Ints | None = None, block: int = 8192
) -> Ints:
    """Return the ids ``[N]`` of items when each id takes ``capacity`` of them.

    Deferred acceptance: an item asks for its first id; where an id is full the farthest is turned away, and asks for
    the next of its wishes. Since ids judge by distance alone (equal ones by the number of the item), the outcome is the
    same whatever the order in which items ask: it does not depend on ``block``. An item that is turned away from all
    its wishes has its first id, which then holds more.

    Args:
        first: the id that each item asks for first, int64 ``[N]``.
        far: how far that is, ``[N]``, 0 or more.
        wishes: asked for items that were turned away, ``block`` at a time: memory is that of a block's wishes, and
            some 40 bytes an item.
        capacity: items an id has room for.
        taken: ids of items that stay where they are, one entry for each.

    Example:
        >>> import numpy as np
        >>> from vqkit.ids.matching import matched
        >>> first, far = np.array([5, 5]), np.array([0.1, 0.2], np.float32)
        >>> matched(first, far, lambda items: (np.full((len(items), 1), 6), np.ones((len(items), 1), np.float32)))
        array([5, 6])
    """
    count, places = len(first), Places(capacity)
    if taken is not None and len(taken):
        places.propose(taken, np.full(len(taken), _OLD), np.arange(count, count + len(taken)))
    pending = _new_ones([places.propose(first, far, np.arange(count))], count)
    asked = np.zeros(count, np.int32)
    while len(pending):
        later: list[Ints] = []
        pending = pending[np.argsort(first[pending], kind="stable")]  # items that ask for one id come in one block
        for start in range(0, len(pending), block):
            own = np.sort(pending[start : start + block])
            ids, distances = wishes(own)
            active = own[asked[own] < ids.shape[1]]
            while len(active):
                place = np.searchsorted(own, active)
                turn = asked[active]
                asked[active] += 1
                turned = places.propose(ids[place, turn], distances[place, turn], active)
                turned = turned[turned < count]
                at = np.minimum(np.searchsorted(own, turned), len(own) - 1)
                inside = own[at] == turned
                later.append(turned[~inside])
                active = np.sort(turned[inside])
                active = active[asked[active] < ids.shape[1]]
        pending = _new_ones(later, count)
    found = first.copy()
    ids, items = places.holders()
    new = items < count
    found[items[new]] = ids[new]
    return found


def _new_ones(parts: Sequence[Ints], count: int) -> Ints:
    items = np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)
    return items[items < count]
