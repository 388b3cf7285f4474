"""Entropy models: integer frequencies of indices for the range coder: uniform, from a histogram, or an exact prior."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, final

import numpy as np
import numpy.typing as npt
import torch

from vqkit.codec.resuming.work import Memory
from vqkit.coding import Decoder, Encoder, digest, frequencies, ideal_bits, uniform_frequencies
from vqkit.coding.headers import EntropyModel as Kind
from vqkit.errors import BitstreamError, ConfigError
from vqkit.pretrained.folder import content_hash
from vqkit.priors import ContextPrior, HistogramPrior, Prior
from vqkit.spelling import spelled

Indices = npt.NDArray[np.int64]
Where = tuple[Any, ...]
"""An index expression into ``[signals, n, codebooks]``."""
_ROWS = 1 << 22
_TOLD_ONCE = 256
"""Codebooks whose sum in float32 is exact in any order."""


class EntropyModel(ABC):
    """Frequencies of the indices of one tile, ``[signals, *tile, codebooks]``, one set of places after another.

    ``parts`` says which indices are coded at once and with which frequencies; a part's frequencies depend on the parts
    before it only, so that a decoder can fill the tile as it goes.

    Attributes:
        kind: the name in files.
    """

    kind: ClassVar[Kind]
    prior: Prior | None = None
    """What it was made of; None: of nothing."""
    grid: tuple[int, ...] = ()
    """Of the tile whose ``parts`` are asked for."""
    memory: tuple[Memory, Any] | None = None
    """What a compression that goes on keeps its results in, and what to say there of this model."""

    @property
    def digest(self) -> bytes:
        """Digest of its present content, kept in files; reader and writer ask once a file."""
        return b""

    @abstractmethod
    def parts(self, items: Indices, first: int, codebooks: int) -> Iterator[tuple[Where, Indices]]:
        """``(where in items, frequencies)`` of each part in turn.

        Args:
            items: ``[signals, n, C]``, of which the codebooks before ``first`` are filled, and the others up to the
                part before.
            first: number of the first codebook that is coded.
            codebooks: how many.

        Yields:
            An index expression into ``items`` that selects N of them, and frequencies ``[K]`` or ``[N, K]``.
        """

    def encode(self, runs: Sequence[Indices], first: int, codebooks: int) -> tuple[bytes, float]:
        """The coded indices of a block, and what an ideal coder needs for them, in bits.

        Args:
            runs: ``[signals, *tile, C]`` each, which follow each other in one message; more than one of a mixed group.
            first: see ``parts``.
            codebooks: see ``parts``.
        """
        bits, data = self._recalled("coded", runs, first, codebooks, self._encoded)
        return data, float(bits)

    def _encoded(self, runs: Sequence[Indices], first: int, codebooks: int) -> tuple[float, bytes]:
        coder, bits = Encoder(), 0.0
        for items, where, table in self._every_part(runs, first, codebooks):
            indices = items[where].reshape(-1)
            coder.encode(indices, table)
            bits += ideal_bits(indices, table)
        return bits, coder.bytes()

    def decode(self, data: bytes, runs: Sequence[Indices], first: int, codebooks: int) -> None:
        """Fill the codebooks of a block, contiguous ``[signals, *tile, C]`` each.

        Raises:
            BitstreamError: these are not the bytes of such a block.
        """
        coder = Decoder(data)
        for items, where, table in self._every_part(runs, first, codebooks):
            shape = items[where].shape
            items[where] = coder.decode(table, math.prod(shape) if table.ndim == 1 else None).reshape(shape)
        coder.finish()

    def encode_each(self, items: Indices, first: int, codebooks: int) -> list[tuple[bytes, float]]:
        """What ``encode`` gives of each signal of ``[signals, *tile, C]`` by itself; the frequencies of all at once."""

        def make(*_: Any) -> tuple[Any, bytes]:
            coders = [Encoder() for _ in items]
            ideal = [0.0] * len(items)
            for number, indices, table in self._each_signal(items, first, codebooks):
                coders[number].encode(indices.reshape(-1), table)
                ideal[number] += ideal_bits(indices.reshape(-1), table)
            coded = [coder.bytes() for coder in coders]
            return [ideal, list(map(len, coded))], b"".join(coded)

        (bits, lengths), data = self._recalled("coded each", [items], first, codebooks, make)
        ends = list(itertools.accumulate(lengths, initial=0))
        return [(data[start:stop], float(each)) for start, stop, each in zip(ends, ends[1:], bits, strict=False)]

    def decode_each(self, data: Sequence[bytes], items: Indices, first: int, codebooks: int) -> None:
        """Fill ``[signals, *tile, C]``, contiguous, from what ``encode_each`` gave for each signal.

        Raises:
            BitstreamError: these are not the bytes of such signals.
        """
        coders = [Decoder(each) for each in data]
        for number, indices, table in self._each_signal(items, first, codebooks):
            count = indices.size if table.ndim == 1 else None
            indices[...] = coders[number].decode(table, count).reshape(indices.shape)
        for coder in coders:
            coder.finish()

    def _each_signal(self, items: Indices, first: int, codebooks: int) -> Iterator[tuple[int, Indices, Indices]]:
        """A signal's number, its indices of a part, and their frequencies; what is put into the indices is kept."""
        for every, where, table in self._every_part([items], first, codebooks):
            part = every[where]
            start, each = where[0].start or 0, part[0].size
            for number, indices in enumerate(part):
                yield start + number, indices, table if table.ndim == 1 else table[number * each : (number + 1) * each]
            every[where] = part

    def bits(self, runs: Sequence[Indices], first: int, codebooks: int) -> float:
        """Return the bits of an ideal coder for a block."""
        return float(self._recalled("bits", runs, first, codebooks, self._counted_bits)[0])

    def _counted_bits(self, runs: Sequence[Indices], first: int, codebooks: int) -> tuple[float, bytes]:
        parts = self._every_part(runs, first, codebooks)
        return sum(ideal_bits(items[where].reshape(-1), table) for items, where, table in parts), b""

    def _every_part(
        self, runs: Sequence[Indices], first: int, codebooks: int
    ) -> Iterator[tuple[Indices, Where, Indices]]:
        """Yield of all runs in turn, as ``[signals, n, C]``, what ``parts`` gives."""
        for run in runs:
            self.grid = run.shape[1:-1]
            items = run.reshape(len(run), -1, run.shape[-1])
            for where, table in self.parts(items, first, codebooks):
                yield items, where, table

    def _recalled(
        self, what: str, runs: Sequence[Indices], first: int, codebooks: int, make: Callable[..., tuple[Any, bytes]]
    ) -> tuple[Any, bytes]:
        if self.memory is None:
            return make(runs, first, codebooks)
        memory, about = self.memory
        grids = [list(run.shape[1:-1]) for run in runs]
        return memory.recall(what, [about, grids, first, codebooks], runs, lambda: make(runs, first, codebooks))


@final
class UniformModel(EntropyModel):
    """Every index alike: log2 K bits each."""

    kind: ClassVar[Kind] = "uniform"

    def __init__(self, codebook_size: int) -> None:
        self._table = uniform_frequencies(codebook_size)

    def parts(self, items: Indices, first: int, codebooks: int) -> Iterator[tuple[Where, Indices]]:
        """See ``EntropyModel.parts``."""
        del items
        yield (slice(None), slice(None), slice(first, first + codebooks)), self._table


@final
class HistogramModel(EntropyModel):
    """Order-0 model: the relative frequency of each index of each codebook."""

    kind: ClassVar[Kind] = "histogram"
    prior: HistogramPrior

    def __init__(self, prior: HistogramPrior) -> None:
        if len(prior.counts) != 1:
            raise ConfigError("per_position=true: a file may hold grids of any size; give one histogram for all")
        self.prior = prior
        self._counted: Indices | None = None
        self._tables = self._frequencies()

    @property
    def digest(self) -> bytes:
        """See ``EntropyModel.digest``."""
        return digest(content_hash(self.prior))

    def parts(self, items: Indices, first: int, codebooks: int) -> Iterator[tuple[Where, Indices]]:
        """See ``EntropyModel.parts``."""
        del items
        tables = self._frequencies()
        for codebook in range(first, first + codebooks):
            yield (slice(None), slice(None), slice(codebook, codebook + 1)), tables[codebook]

    def _frequencies(self) -> Indices:
        """``[codebooks, K]`` of the counts as they are now."""
        counts = self.prior.counts[0].cpu().numpy()
        if self._counted is None or not np.array_equal(self._counted, counts):
            self._counted = counts.copy()
            self._tables = frequencies(2 * counts + 1)  # in halves: the estimate of HistogramPrior
        return self._tables


@final
class ContextModel(EntropyModel):
    """An exact context prior: each group of positions given the groups and codebooks before it, inside its tile."""

    kind: ClassVar[Kind] = "context"
    prior: ContextPrior

    def __init__(self, prior: ContextPrior) -> None:
        if prior.conditions and not prior.conditions.dropout:
            raise ConfigError("this context prior always needs a class, which files do not hold; train one without")
        self.prior = prior.eval()

    @property
    def digest(self) -> bytes:
        """See ``EntropyModel.digest``; the network's integers are derived anew, so that they are of this content."""
        return digest(content_hash(self.prior.eval()))

    def parts(self, items: Indices, first: int, codebooks: int) -> Iterator[tuple[Where, Indices]]:
        """See ``EntropyModel.parts``."""
        earlier, told = None, 0
        for step in self.prior.steps(self.grid, first + codebooks):
            if step.codebook < first:
                continue
            for book in range(told, step.codebook if first + codebooks <= _TOLD_ONCE else 0):
                more = self._embedded(items, book)
                earlier, told = more if earlier is None else earlier + more, book + 1
            known = torch.from_numpy(items[:, :, : step.codebook + 1]).view(len(items), *self.grid, step.codebook + 1)
            places, codebook = step.positions.numpy(), step.codebook
            rows = _ROWS // (len(places) * self.prior.codebook_size)
            for start in range(0, len(items), max(1, rows)):
                part = slice(start, start + max(1, rows))
                before = None if earlier is None else earlier[part]
                if rows:
                    table = self.prior.frequencies(known[part], step, earlier=before)
                    yield (part, places, codebook), table.flatten(0, 1).cpu().numpy()
                    continue
                done, most = 0, max(1, _ROWS // self.prior.codebook_size)
                for table in self.prior.frequency_rows(known[part], step, most, before):
                    yield (part, places[done : done + len(table)], codebook), table.cpu().numpy()
                    done += len(table)

    @torch.no_grad()
    def _embedded(self, items: Indices, codebook: int) -> torch.Tensor:
        """What a codebook that is known everywhere adds to the network's input at every step."""
        index = torch.from_numpy(items[:, :, codebook]).to(self.prior.device)
        return self.prior.network.embedded(index, codebook)


def entropy_model(prior: Prior | None, codebook_size: int) -> EntropyModel:
    """The model of a prior that files can be coded with; None: uniform.

    Raises:
        ConfigError: a prior whose probabilities are not the same integers on every machine.

    Example:
        >>> from vqkit.codec import entropy_model
        >>> entropy_model(None, 16).kind
        'uniform'
    """
    if prior is None:
        return UniformModel(codebook_size)
    if isinstance(prior, HistogramPrior):
        return HistogramModel(prior)
    if isinstance(prior, ContextPrior):
        return ContextModel(prior)
    making = spelled(python="vqkit.ContextPrior", command="vqkit prior RUN --kind context")
    raise ConfigError(
        f"a {type(prior).__name__} computes in floating point, which differs between machines, and one different bit "
        f"ruins a file; code files with a context prior ({making}) or a histogram"
    )


def check_range(items: Indices, codebook_size: int) -> None:
    """Raise ``BitstreamError`` for indices that no codebook has (an own check: coders give only such)."""
    if items.size and not 0 <= int(items.min()) <= int(items.max()) < codebook_size:
        raise BitstreamError(f"damaged data: indices from {items.min()} to {items.max()} of {codebook_size} codes")


def one_after_another(runs: Sequence[Indices]) -> Indices:
    """The indices of runs in one row, in the order of a block's checksum; those of one run as they are."""
    return runs[0] if len(runs) == 1 else np.concatenate([run.reshape(-1) for run in runs])


def tile_bits(entropy: EntropyModel, items: Indices) -> float:
    """Return the ideal bits of indices ``[n, *tile, codebooks]`` under an entropy model."""
    return entropy.bits([items], 0, items.shape[-1])
