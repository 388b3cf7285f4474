"""Layout of token sequences: what ids a language model reads for the indices of an item, in which order.

A sequence is ``[bos] [class] [begin] codes [end] [eos]``: the codes of the grid's positions in row-major order, the
other tokens where they are wanted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self, final

import numpy as np
import numpy.typing as npt

from vqkit.checking import check_fields, shown
from vqkit.errors import ConfigError
from vqkit.spelling import option

ORDERS = ("interleaved", "flat", "delayed")
_MOST_ID = (1 << 32) - 1
_FIELDS: dict[str, Any] = {
    "vocab_offset": int,
    "bos": int | None,
    "eos": int | None,
    "begin": int | None,
    "end": int | None,
    "class_offset": int | None,
    "order": str,
    "pad": int | None,
    "shared_ids": bool,
}
Ids = npt.NDArray[np.int64]


@final
@dataclass(frozen=True)
class Layout:
    """Layout of the sequences that a trainer of language models reads.

    Args:
        vocab_offset: id of the first code: ``50257`` puts the codes behind the 50,257 tokens of a text vocabulary.
        bos: id that begins a sequence; None: none.
        eos: id that ends it; it may be the same.
        begin: id before the codes, such as ``<image_begin>``.
        end: id after them.
        class_offset: id of the first class; a token of the item's class stands before the codes. Items without a label
            have the id after the last class. None: no class token.
        order: of several codebooks: ``"interleaved"`` (the codes of a position side by side), ``"flat"`` (all positions
            of the first codebook, then the second; coarse to fine for a residual stack), or ``"delayed"`` (MusicGen,
            Copet et al. 2023, arXiv 2306.05284, section 2.2: step s holds the code of position s - q for each codebook
            q, and ``pad`` where there is none; ``positions + codebooks - 1`` steps, one after another).
        pad: id that fills the steps of ``"delayed"``.
        shared_ids: the codebooks share their ids; otherwise codebook q begins ``q * codebook_size`` further on.

    Example:
        >>> from vqkit.tokens import Layout
        >>> Layout(vocab_offset=2, bos=0, eos=1).vocabulary(codebook_size=16).ids([[[3, 15], [0, 1]]])
        array([[ 0,  5, 17,  2,  3,  1]])
    """

    vocab_offset: int = 0
    bos: int | None = None
    eos: int | None = None
    begin: int | None = None
    end: int | None = None
    class_offset: int | None = None
    order: str = "interleaved"
    pad: int | None = None
    shared_ids: bool = False

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise ConfigError(f"order {shown(self.order)} is unknown; choose one of {', '.join(ORDERS)}")
        for name in ("vocab_offset", "bos", "eos", "begin", "end", "class_offset", "pad"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= _MOST_ID:
                raise ConfigError(f"{option(name, value)}: ids of tokens are 0 to {_MOST_ID:,}")
        if self.pad is not None and self.order != "delayed":
            raise ConfigError(
                f"{option('pad', self.pad)} fills the steps of {option('order', 'delayed')}; leave it out"
            )

    def vocabulary(self, codebook_size: int, num_codebooks: int = 1, classes: int = 0) -> Vocabulary:
        """Return the vocabulary of the sequences of a tokenizer.

        Args:
            codebook_size: K.
            num_codebooks: indices per position.
            classes: how many classes the data has.

        Raises:
            ConfigError: ids that mean two things, or above 2**32 - 1; no classes for a class token.
        """
        return Vocabulary(self, codebook_size, num_codebooks, classes)

    def given(self) -> list[str]:
        """Return the names of the arguments that are not left as they are by default."""
        return [each.name for each in fields(self) if getattr(self, each.name) != each.default]


@final
@dataclass(frozen=True)
class Vocabulary:
    """Vocabulary of token sequences: which ids are codes, classes and special tokens, and where they stand.

    Args:
        layout: of a sequence.
        codebook_size: K.
        num_codebooks: indices per position.
        classes: how many classes the data has; 0: none.

    Raises:
        ConfigError: see ``Layout.vocabulary``.

    Example:
        >>> import numpy as np
        >>> from vqkit.tokens import Layout
        >>> vocabulary = Layout(vocab_offset=4, bos=0, begin=1, end=2, eos=3).vocabulary(codebook_size=16)
        >>> vocabulary.size, vocabulary.head(), vocabulary.tail(), vocabulary.length((2, 2))
        (20, [0, 1], [2, 3], 8)
        >>> vocabulary.indices(np.array([[0, 1, 7, 19, 4, 5, 2, 3]]), (2, 2)).tolist()
        [[[3, 15], [0, 1]]]
    """

    layout: Layout
    codebook_size: int
    num_codebooks: int = 1
    classes: int = 0

    def __post_init__(self) -> None:
        own = self.layout
        if own.class_offset is not None and not self.classes:
            raise ConfigError(f"{option('class_offset', own.class_offset)}: the data has no classes; leave it out")
        if own.order == "delayed" and own.pad is None and self.num_codebooks > 1:
            raise ConfigError(
                f"{option('order', 'delayed')} fills steps without a code: give their id, such as "
                f"{option('pad', self.code_ids.stop)}"
            )
        parts = {"code": self.code_ids, "class": self.class_ids}
        for name in ("bos", "eos", "begin", "end", "pad"):
            value = getattr(own, name)
            for what, ids in parts.items():
                if value is not None and value in ids:
                    raise ConfigError(
                        f"{option(name, value)} is the id of a {what} ({ids.start:,} to {ids.stop - 1:,}): choose "
                        f"another id, or move those: {option('vocab_offset' if what == 'code' else 'class_offset')}"
                    )
        codes, labels = self.code_ids, self.class_ids
        if labels and max(codes.start, labels.start) < min(codes.stop, labels.stop):
            raise ConfigError(
                f"{option('class_offset', own.class_offset)}: classes would have the ids {labels.start:,} to "
                f"{labels.stop - 1:,}, and codes have {codes.start:,} to {codes.stop - 1:,}; move one of them"
            )
        if self.size - 1 > _MOST_ID:
            raise ConfigError(
                f"{option('vocab_offset', own.vocab_offset)}: ids would go up to {self.size - 1:,}; files hold "
                f"{_MOST_ID:,} at most"
            )

    @property
    def code_ids(self) -> range:
        """The ids of codes, of all codebooks."""
        books = 1 if self.layout.shared_ids else self.num_codebooks
        return range(self.layout.vocab_offset, self.layout.vocab_offset + self.codebook_size * books)

    @property
    def class_ids(self) -> range:
        """The ids of classes, the last for items without a label; empty without a class token."""
        start = self.layout.class_offset
        return range(0) if start is None else range(start, start + self.classes + 1)

    @property
    def size(self) -> int:
        """One more than the highest id."""
        own = self.layout
        special = [value for value in (own.bos, own.eos, own.begin, own.end, own.pad) if value is not None]
        return max([self.code_ids.stop, self.class_ids.stop, *(value + 1 for value in special)])

    def head(self, label: int = -1) -> list[int]:
        """Return the ids before the codes of an item of this class (-1: no label): what a generation begins with."""
        own = self.layout
        kind = None if own.class_offset is None else self.class_ids[label]
        return [each for each in (own.bos, kind, own.begin) if each is not None]

    def tail(self) -> list[int]:
        """Return the ids after the codes."""
        return [each for each in (self.layout.end, self.layout.eos) if each is not None]

    def length(self, shape: Sequence[int]) -> int:
        """Return the length of the sequence of an item ``[*grid]`` (``[*grid, codebooks]`` where there are several)."""
        return len(self.head()) + self._codes(shape) + len(self.tail())

    def ids(self, items: npt.ArrayLike, labels: Sequence[int] | npt.NDArray[np.int64] | None = None) -> Ids:
        """Return the sequences of items of one shape, int64 ``[batch, length]``.

        Args:
            items: ``[batch, *grid]``, or ``[batch, *grid, codebooks]`` where there are several.
            labels: of each item, -1 for none; None: none has one.

        Raises:
            ConfigError: an index beyond the codebook, or a label beyond the classes.
        """
        array = np.asarray(items)
        count, books = len(array), self.num_codebooks
        own = array.reshape(count, math.prod(array.shape[1:]) // books, books).astype(np.int64)
        if own.size and not 0 <= own.min() <= own.max() < self.codebook_size:
            raise ConfigError(f"indices {own.min()}..{own.max()}: those of {self.codebook_size:,} codes are below")
        own += self.layout.vocab_offset + self._shifts()
        found = np.empty((count, self.length(array.shape[1:])), np.int64)
        head, tail = self.head(), self.tail()
        found[:, : len(head)], found[:, found.shape[1] - len(tail) :] = head, tail
        if self.class_ids and labels is not None:
            wanted = np.asarray(labels, np.int64)
            if wanted.size and not -1 <= wanted.min() <= wanted.max() < self.classes:
                raise ConfigError(f"labels {wanted.min()}..{wanted.max()}: there are {self.classes:,} classes")
            found[:, self._class_place] = self.layout.class_offset + np.where(wanted < 0, self.classes, wanted)
        found[:, len(head) : found.shape[1] - len(tail)] = self._in_order(own)
        return found

    def indices(self, ids: npt.ArrayLike, shape: Sequence[int]) -> Ids:
        """Return the indices of sequences, ``[batch, *shape]`` int64: the inverse of ``ids``.

        Args:
            ids: ``[batch, length]``.
            shape: of an item, the codebooks last where there are several.

        Raises:
            ValueError: sequences of another length, or ids that do not belong where they stand.
        """
        array, shape = np.asarray(ids), tuple(shape)
        head, tail = self.head(), self.tail()
        if array.ndim != 2 or array.shape[1] != self.length(shape):
            raise ValueError(
                f"sequences of {array.shape[-1]:,} ids; those of grids {list(shape)} have {self.length(shape):,}"
            )
        for place, wanted in [*enumerate(head), *((place - len(tail), each) for place, each in enumerate(tail))]:
            known = self.class_ids if self.class_ids and place == self._class_place else range(wanted, wanted + 1)
            wrong = (array[:, place] < known.start) | (array[:, place] >= known.stop)
            if wrong.any():
                raise ValueError(f"id {array[wrong.argmax(), place]} where {wanted} belongs (token {place})")
        own = self._positions(array[:, len(head) : array.shape[1] - len(tail)].astype(np.int64))
        own = own - (self.layout.vocab_offset + self._shifts())
        if own.size and not 0 <= own.min() <= own.max() < self.codebook_size:
            index = own[(own < 0) | (own >= self.codebook_size)][0]
            raise ValueError(f"an id stands for the index {index}, and there are {self.codebook_size:,} codes")
        return own.reshape(len(array), *shape)

    def describe(self) -> str:
        """Return in words what a sequence is: ``bos 0, codes 2 to 17, eos 1: 18 ids``."""
        own, parts = self.layout, []
        for name, ids in (("class", self.class_ids), ("codes", self.code_ids)):
            words = f"{name} {ids.start:,} to {ids.stop - 1:,}" if ids else ""
            more = f" ({own.order})" if self.num_codebooks > 1 else ""
            parts += [words + (more if name == "codes" else "")] if words else []
            parts += self._named("pad") if name == "codes" and self.num_codebooks > 1 else []
            if name == "class":
                parts = [*self._named("bos"), *parts, *self._named("begin")]
        return f"{', '.join([*parts, *self._named('end'), *self._named('eos')])}: {self.size:,} ids"

    def to_json(self) -> dict[str, Any]:
        """Return what ``of`` reads."""
        return {**asdict(self.layout), "classes": self.classes}

    @classmethod
    def of(cls, found: Mapping[str, Any], codebook_size: int, num_codebooks: int) -> Self:
        """Read a vocabulary from a description. Raises ValueError with the reason."""
        check_fields(found, {**_FIELDS, "classes": int})
        if not 0 <= found["classes"] <= _MOST_ID:
            raise ValueError(f"its classes are {shown(found['classes'])}")
        layout = Layout(**{name: found[name] for name in _FIELDS})
        return cls(layout, codebook_size, num_codebooks, found["classes"])

    def _named(self, name: str) -> list[str]:
        value = getattr(self.layout, name)
        return [] if value is None else [f"{name} {value:,}"]

    @property
    def _class_place(self) -> int:
        return int(self.layout.bos is not None)

    def _shifts(self) -> Ids:
        """How far on the ids of each codebook begin."""
        books = np.arange(self.num_codebooks, dtype=np.int64)
        return books * (0 if self.layout.shared_ids else self.codebook_size)

    def _codes(self, shape: Sequence[int]) -> int:
        """How many ids stand for an item."""
        count, books = math.prod(shape), self.num_codebooks
        return count + (books - 1) * books if self.layout.order == "delayed" else count

    def _in_order(self, own: Ids) -> Ids:
        """From ``[batch, positions, codebooks]`` to ``[batch, ids]``."""
        count, positions, books = own.shape
        if self.layout.order == "flat":
            own = own.transpose(0, 2, 1)
        elif self.layout.order == "delayed" and books > 1:
            steps = np.full((count, positions + books - 1, books), self.layout.pad, np.int64)
            for book in range(books):
                steps[:, book : book + positions, book] = own[:, :, book]
            own = steps
        return own.reshape(count, -1)

    def _positions(self, ids: Ids) -> Ids:
        """From ``[batch, ids]`` to ``[batch, positions, codebooks]``."""
        count, books = len(ids), self.num_codebooks
        if self.layout.order == "flat":
            return ids.reshape(count, books, -1).transpose(0, 2, 1)
        steps = ids.reshape(count, -1, books)
        if self.layout.order != "delayed" or books == 1:
            return steps
        positions = steps.shape[1] - (books - 1)
        known = np.zeros(steps.shape[1:], bool)
        for book in range(books):
            known[book : book + positions, book] = True
        if (steps[:, ~known] != self.layout.pad).any():
            raise ValueError(f"a step without a code holds another id than the pad {self.layout.pad}")
        return np.stack([steps[:, book : book + positions, book] for book in range(books)], axis=2)
