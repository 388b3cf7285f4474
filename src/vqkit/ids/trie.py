"""A trie of ids, for decoding that can only end in an id that exists."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, final

import numpy as np
import numpy.typing as npt

from vqkit.errors import ConfigError, DataError
from vqkit.ids.words import token


@final
class Trie:
    """The prefixes of a set of ids of one length, in sorted arrays: some 20 bytes an id, and no object for each.

    Args:
        ids: whole numbers ``[N, levels]`` from 0; equal rows count once.

    Raises:
        DataError: no ids, or no such numbers.

    Example:
        >>> import numpy as np
        >>> from vqkit.ids import Trie
        >>> trie = Trie(np.array([[3, 1], [3, 4], [5, 1]]))
        >>> trie.allowed(()).tolist(), trie.allowed((3,)).tolist(), trie.allowed((4,)).tolist()
        ([3, 5], [1, 4], [])
        >>> (3, 4) in trie, len(trie)
        (True, 3)
    """

    def __init__(self, ids: npt.ArrayLike) -> None:
        rows = np.asarray(ids)
        if rows.ndim != 2 or 0 in rows.shape or rows.dtype.kind not in "iu" or int(rows.min()) < 0:
            raise DataError(f"ids {rows.dtype} {list(rows.shape)}: a trie is of whole numbers [items, levels] from 0")
        rows = rows[np.lexsort(rows.T[::-1])]
        differs = np.cumsum(rows[1:] != rows[:-1], axis=1) > 0  # of the row before, in its first m + 1 digits
        starts = [np.concatenate([[0], np.flatnonzero(differs[:, level]) + 1]) for level in range(rows.shape[1])]
        self._digits = [rows[start, level].astype(np.int64) for level, start in enumerate(starts)]
        first = [np.zeros(1, np.int64), *starts[:-1]]
        self._bounds = [
            np.append(np.searchsorted(own, above), len(own)) for above, own in zip(first, starts, strict=True)
        ]

    @property
    def levels(self) -> int:
        """Digits of an id."""
        return len(self._digits)

    def __len__(self) -> int:
        return len(self._digits[-1])

    def __contains__(self, digits: object) -> bool:
        return isinstance(digits, Sequence) and len(digits) == self.levels and self._node(digits) is not None

    def allowed(self, prefix: Sequence[int]) -> npt.NDArray[np.int64]:
        """Return the digits, ascending, that may come after a prefix; none after a whole id, or one that is not there.

        Raises:
            ConfigError: a prefix longer than an id.
        """
        if len(prefix) > self.levels:
            raise ConfigError(f"a prefix of {len(prefix)} digits: these ids have {self.levels}")
        node = self._node(prefix)
        if node is None or len(prefix) == self.levels:
            return np.empty(0, np.int64)
        return self._children(len(prefix), node)

    def _node(self, prefix: Sequence[int]) -> int | None:
        node = 0
        for level, digit in enumerate(prefix):
            children = self._children(level, node)
            at = int(np.searchsorted(children, digit))
            if at == len(children) or children[at] != digit:
                return None
            node = int(self._bounds[level][node]) + at
        return node

    def _children(self, level: int, node: int) -> npt.NDArray[np.int64]:
        low, high = self._bounds[level][node : node + 2]
        return self._digits[level][low:high]

    def prefix_allowed_tokens_fn(
        self, vocabulary: Mapping[str, int], *, prompt: int, end: int | None = None
    ) -> Callable[[int, Any], list[int]]:
        """Return what ``generate`` of transformers takes as its ``prefix_allowed_tokens_fn``.

        Args:
            vocabulary: the number of each token (``"<a_12>"``) in the language model: ``tokenizer.get_vocab()``, or
                ``SemanticIds.vocabulary``.
            prompt: tokens before the first digit that is generated: ``input_ids.shape[1]``, or 1 of a model with an
                encoder, whose decoder begins with one token.
            end: the token after an id (``eos_token_id``); None: another id follows.

        Raises:
            ConfigError: a token of these ids is not in the vocabulary.

        Example:
            >>> import numpy as np
            >>> from vqkit.ids import Trie
            >>> allowed = Trie(np.array([[0, 1], [2, 1]])).prefix_allowed_tokens_fn(
            ...     {"<a_0>": 10, "<a_2>": 11, "<b_1>": 12}, prompt=1, end=0
            ... )
            >>> allowed(0, [5]), allowed(0, [5, 11]), allowed(0, [5, 11, 12])
            ([10, 11], [12], [0])
        """
        numbers = [{int(k): _number(vocabulary, level, int(k)) for k in np.unique(self._digits[level])}
                   for level in range(self.levels)]  # fmt: skip
        digits = [{number: digit for digit, number in level.items()} for level in numbers]

        def allowed(batch: int, tokens: Any) -> list[int]:
            del batch
            made = [int(each) for each in tokens[prompt:]]
            if end is not None and len(made) >= self.levels:
                return [end]
            prefix = made[len(made) // self.levels * self.levels :]
            known = [digits[level].get(number, -1) for level, number in enumerate(prefix)]
            found = [numbers[len(known)][int(digit)] for digit in self.allowed(known)]
            if not found:
                raise ConfigError(f"tokens {prefix} after {prompt} of the prompt begin no id; give prompt= as it is")
            return found

        return allowed


def _number(vocabulary: Mapping[str, int], level: int, digit: int) -> int:
    try:
        return int(vocabulary[token(level, digit)])
    except KeyError:
        raise ConfigError(
            f"the vocabulary has no {token(level, digit)}: add the tokens of the ids first "
            "(tokenizer.add_tokens(list(ids.vocabulary())), model.resize_token_embeddings(len(tokenizer)))"
        ) from None
