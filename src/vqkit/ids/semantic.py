"""The map between items and their ids, both ways."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, final

import numpy as np
import numpy.typing as npt

from vqkit.errors import ConfigError, DataError
from vqkit.evaluation.vectors.paths import PathLevel, path_levels
from vqkit.ids.collisions import colliding
from vqkit.ids.trie import Trie
from vqkit.ids.words import parse_tokens, token, tokens_of


@final
class SemanticIds:
    """Ids of items: rows of digits, the codebooks' from coarse to fine, then perhaps a last one that makes them unique.

    An item is known by its name, or by the number of its row where the data had no names.

    Args:
        digits: unsigned integers ``[N, levels]``.
        codebook_size: K of the model; digits but a last one are below.
        last_digit: whether the last column is one that no codebook gave.
        names: of the items, all different; None: their numbers.
        about: what else ``ids.json`` says: the model, the data, how they were made.

    Raises:
        DataError: digits out of range, or names that are not as many or come twice.

    Example:
        >>> import numpy as np
        >>> from vqkit.ids import SemanticIds
        >>> digits, names = np.array([[3, 1, 0], [3, 1, 1], [5, 2, 0]]), ["tea", "chai", "ink"]
        >>> ids = SemanticIds(digits, 8, last_digit=True, names=names)
        >>> ids.id_of("chai"), ids.items_of((3, 1, 1)), ids.items_of((3,))
        ((3, 1, 1), ['chai'], ['tea', 'chai'])
        >>> ids.tokens_of("ink"), ids.items_of("<a_5><b_2><c_0>")
        (['<a_5>', '<b_2>', '<c_0>'], ['ink'])
        >>> ids.trie().allowed((3, 1)).tolist()
        [0, 1]
    """

    def __init__(
        self,
        digits: npt.ArrayLike,
        codebook_size: int,
        *,
        last_digit: bool,
        names: Sequence[str] | None = None,
        about: dict[str, Any] | None = None,
    ) -> None:
        rows = np.asarray(digits)
        if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "iu" or int(rows.min()) < 0:
            raise DataError(f"ids {rows.dtype} {list(rows.shape)}: give whole numbers [items, levels] from 0")
        of_codebooks = rows[:, :-1] if last_digit else rows
        if of_codebooks.shape[1] == 0 or int(of_codebooks.max()) >= codebook_size:
            raise DataError(
                f"ids with {of_codebooks.shape[1]} digits of codebooks of {codebook_size} codes: out of range"
            )
        self.digits = rows
        self.codebook_size = codebook_size
        self.last_digit = last_digit
        self.names = None if names is None else list(names)
        self.about = about or {}
        if self.names is not None:
            check_names(self.names, len(rows))

    def __len__(self) -> int:
        return len(self.digits)

    def __repr__(self) -> str:
        last = f" and a last digit below {self.sizes[-1]}" if self.last_digit else ""
        return f"<SemanticIds: {len(self):,} items, {self.codebooks} codebooks of {self.codebook_size}{last}>"

    @property
    def codebooks(self) -> int:
        """Digits that codebooks gave."""
        return self.digits.shape[1] - int(self.last_digit)

    @property
    def sizes(self) -> list[int]:
        """How many values the digits of each level may have."""
        last = [int(self.digits[:, -1].max()) + 1] if self.last_digit else []
        return [self.codebook_size] * self.codebooks + last

    def name(self, row: int) -> str:
        """Return the name of a row: its number where items have none."""
        return str(row) if self.names is None else self.names[row]

    def row_of(self, item: str | int) -> int:
        """Return the row of an item. Raises ``DataError`` for one that is not there."""
        if self.names is None:
            try:
                row = operator.index(item) if not isinstance(item, str) else int(item)
            except (TypeError, ValueError):
                row = -1
            if 0 <= row < len(self):
                return row
            raise DataError(f"item {item!r}: these {len(self):,} items have no names; give the number of a row")
        row = self._rows.get(str(item), -1)
        if row < 0:
            raise DataError(f"item {item!r} is not among these {len(self):,}")
        return row

    def id_of(self, item: str | int) -> tuple[int, ...]:
        """Return the id of an item. Raises ``DataError`` for one that is not there."""
        return tuple(int(digit) for digit in self.digits[self.row_of(item)])

    def tokens_of(self, item: str | int) -> list[str]:
        """Return the id of an item in tokens: ``["<a_12>", "<b_3>"]``."""
        return tokens_of(self.id_of(item))

    def rows_of(self, digits: Sequence[int] | str) -> npt.NDArray[np.int64]:
        """Return the rows, ascending, of an id, or of all ids with a prefix; digits or tokens. None: an empty array.

        Raises:
            ConfigError: more digits than an id has.
            DataError: tokens that are none.
        """
        wanted = parse_tokens(digits) if isinstance(digits, str) else tuple(int(each) for each in digits)
        if len(wanted) > self.digits.shape[1]:
            raise ConfigError(f"{len(wanted)} digits: these ids have {self.digits.shape[1]}")
        order, low, high = self._order, 0, len(self)
        for level, digit in enumerate(wanted):
            column = self._columns[level][low:high]
            if not 0 <= digit <= np.iinfo(column.dtype).max:
                return order[:0]
            wanted_digit = column.dtype.type(digit)  # of another type the whole column would be converted
            ends = (np.searchsorted(column, wanted_digit, side=side) for side in ("left", "right"))
            low, high = (low + int(end) for end in ends)
        return np.sort(order[low:high])

    def items_of(self, digits: Sequence[int] | str) -> list[str]:
        """Return the names of the items of an id, or of all ids with a prefix (see ``rows_of``)."""
        return [self.name(int(row)) for row in self.rows_of(digits)]

    def items(self) -> Iterator[tuple[str, tuple[int, ...]]]:
        """Iterate over the names and the ids, row by row."""
        for row in range(len(self)):
            yield self.name(row), tuple(int(digit) for digit in self.digits[row])

    def collisions(self) -> list[tuple[tuple[int, ...], list[str]]]:
        """Return the ids that several items have, with their names."""
        found = colliding(self.digits)
        return [(tuple(int(d) for d in self.digits[rows[0]]), [self.name(int(row)) for row in rows]) for rows in found]

    def trie(self) -> Trie:
        """Return the trie of all ids, for constrained decoding."""
        return Trie(self.digits)

    def vocabulary(self, first: int = 0) -> dict[str, int]:
        """Return a number for every token of every level, from ``first`` on: ``{"<a_0>": first, ...}``."""
        every = [token(level, digit) for level, size in enumerate(self.sizes) for digit in range(size)]
        return {word: number for number, word in enumerate(every, first)}

    def levels(self) -> list[PathLevel]:
        """Return the statistics of each prefix of the codebooks' digits, beside the birthday bound."""
        return path_levels(self.digits[:, : self.codebooks], self.codebook_size)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.names or ())}

    @cached_property
    def _order(self) -> npt.NDArray[np.int64]:
        return np.lexsort(self.digits.T[::-1])

    @cached_property
    def _columns(self) -> list[npt.NDArray[Any]]:
        return [np.ascontiguousarray(column[self._order]) for column in self.digits.T]


def check_names(names: Sequence[str], count: int) -> None:
    """Raise ``DataError`` unless there are so many names, all different."""
    if len(names) != count:
        raise DataError(f"{len(names):,} names for {count:,} items: give a name for each")
    seen: dict[str, int] = {}
    for row, name in enumerate(names):
        before = seen.setdefault(name, row)
        if before != row:
            raise DataError(
                f"rows {before} and {row} have one name, {name!r}: names of items are different, so that an id leads "
                "back to one item; name them otherwise"
            )
