"""A source of sound files at one sample rate and number of channels: in memory, or read in parts when asked for."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, final

import numpy as np

from vqkit.data.identity import ENCODED, FileDigests, encoded_digest, joined_digests
from vqkit.data.images.decoding import each_in_order
from vqkit.data.source import Array, Source, byte_words
from vqkit.errors import ConfigError, DataError
from vqkit.resources import resolve_memory_limit
from vqkit.signals import Signal, Sound, signal_kind
from vqkit.signals.audio_file import AudioFile, Encoded, mixing_words

_READING = 1
"""Raised when the same files become other samples than before."""


@final
class SoundSource(Source):
    """Sounds in files, or in the bytes of files, as float32 ``[C, time]`` of [-1, 1]; each was decoded once before.

    Whole sounds are read by ``read``; a part of one (``part``) costs no more memory than the part, however long the
    file is, and has the same numbers as in the whole (of MP3 files to the last bit or two, where no rate changes).

    Args:
        files: paths or bytes.
        frames: int64 ``[N]``, samples a channel that each file has, at its own rate.
        rates: int64 ``[N]``, of each file.
        kind: sound, with the sample rate of all items.
        channels: 1 or 2.
        in_memory: keep the decoded samples.
        about: what ``Source`` takes besides.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from vqkit.data.sounds.source import SoundSource
        >>> from vqkit.signals import Sound
        >>> Sound(8000).write(np.zeros((1, 4000), np.float32), Path("a.wav"))
        >>> source = SoundSource([Path("a.wav")], [4000], [8000], kind=Sound(16000), channels=1, name="mine")
        >>> source.read(0).shape, source.part(0, (100,), (50,)).shape
        ((1, 8000), (1, 50))
    """

    reads_parts = True

    def __init__(
        self,
        files: Sequence[Encoded],
        frames: Sequence[int] | Array,
        rates: Sequence[int] | Array,
        *,
        kind: Sound,
        channels: int,
        in_memory: bool = False,
        digests: FileDigests | None = None,
        **about: Any,
    ) -> None:
        super().__init__(channels=channels, axes=1, dtype=np.float32, count=len(files), kind=kind, **about)
        if kind.rate is None:
            raise ConfigError("SoundSource: kind has no sample rate; give Sound(16000) or another")
        self._rate = kind.rate
        self._files = list(files)
        self._frames, self._rates = (np.asarray(each, dtype=np.int64) for each in (frames, rates))
        self._sizes = -(-self._frames * self._rate // self._rates)[:, None]
        self._digests = digests or FileDigests()
        self._opened = functools.lru_cache(maxsize=64)(self._open)
        self._decoded: list[Array] | None = None
        if in_memory:
            with closing(each_in_order(self._read, range(len(self)), chunk=4)) as found:
                self._decoded = list(found)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: all but the opened files."""
        return {name: value for name, value in self.__dict__.items() if name != "_opened"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._opened = functools.lru_cache(maxsize=64)(self._open)

    @property
    def in_memory(self) -> bool:
        """Whether the decoded samples are kept."""
        return self._decoded is not None

    @property
    def in_files(self) -> bool:
        """Whether every item is a file of its own on the disk."""
        return all(isinstance(file, Path) for file in self._files)

    def content(self) -> tuple[str, Iterable[Array]]:
        """See ``Source.content``: of the encoded bytes, with the sample rate and the channels that they become."""
        with closing(each_in_order(self._digest, range(len(self)))) as found:
            return f"{ENCODED} sound {_READING} {self.channels} {self._rate}", [joined_digests(found)]

    def item_sizes(self) -> Array:
        """Return the samples of every item: int64 [N, 1]."""
        return self._sizes

    def item_size(self, index: int) -> tuple[int, ...]:
        """Return the samples of one item."""
        return (int(self._sizes[self.position(index), 0]),)

    def read(self, index: int) -> Array:
        """Return item ``index`` as a new array [C, time].

        Raises DataError where its file was changed, damaged or removed since the source was made.
        """
        return self.peek(index).copy() if self.in_memory else self.peek(index)

    def peek(self, index: int) -> Array:
        """Return item ``index`` like ``read``, but perhaps sharing memory."""
        at = self.position(index)
        return self._read(at) if self._decoded is None else self._decoded[at]

    def part(self, index: int, starts: Sequence[int], size: Sequence[int]) -> Array:
        """Return ``size`` samples of item ``index`` from ``starts`` on; see ``Source.part``."""
        at = self.position(index)
        if self._decoded is not None:
            return self._decoded[at][:, starts[0] : starts[0] + size[0]]
        return self._read(at, starts[0], starts[0] + size[0])

    def value_range(self) -> tuple[float, float]:
        """Return -1 and 1: files are looked through when they are opened, and what is read of them is clipped."""
        return -1.0, 1.0

    def subset(self, indices: Sequence[int] | Array) -> SoundSource:
        """Return a source of these items, over the same samples where they are in memory."""
        rows = self.positions(indices)
        found = self._remade(rows, self.kind, self.channels, in_memory=False)
        if self._decoded is not None:
            found._decoded = [self._decoded[row] for row in rows]
        return found

    def with_channels(self, channels: int) -> SoundSource:
        """Return the same sounds in mono (the mean of all channels) or stereo (mono is repeated).

        Raises:
            ConfigError: more channels.
        """
        if channels not in (1, 2):
            raise ConfigError(f"channels={channels}: sounds are read in 1 (mono) or 2 (stereo)")
        if channels == self.channels:
            return self
        found = self._remade(np.arange(len(self)), self.kind, channels, in_memory=self.in_memory)
        if channels < self.channels:
            found.notes = [
                *self.notes,
                f"{len(self):,} of {len(self):,} sounds: {mixing_words(self.channels, channels)}",
            ]
        return found

    def with_kind(self, kind: Signal | str) -> SoundSource:
        """Return the same sounds at another sample rate, resampled from the files.

        They stay in memory if they take no more there than before, or no more than may be taken.

        Raises:
            DataError: a kind that is no sound.
        """
        wanted = signal_kind(kind)
        if not isinstance(wanted, Sound):
            raise DataError(f"{self.name} holds sounds; they are no {wanted.noun[1]} (kind={wanted.name!r})")
        if wanted.reads(self.kind):
            return self
        grows = wanted.rate is not None and wanted.rate > self._rate
        found = self._remade(np.arange(len(self)), wanted, self.channels, in_memory=self.in_memory and not grows)
        if self.in_memory and grows and found._bytes() <= resolve_memory_limit(None):
            return found._remade(np.arange(len(self)), wanted, self.channels, in_memory=True)
        return found

    def _bytes(self) -> int:
        return 4 * self.channels * int(self._sizes.sum())

    def storage(self) -> str:
        """Say that files are decoded when read, or how many bytes the samples take in memory."""
        if self._decoded is None:
            return "decoded from files on demand"
        return f"in memory ({byte_words(self._bytes())})"

    def _remade(self, rows: Array, kind: Signal, channels: int, *, in_memory: bool) -> SoundSource:
        assert isinstance(kind, Sound)
        return SoundSource(
            [self._files[row] for row in rows],
            self._frames[rows],
            self._rates[rows],
            kind=kind,
            channels=channels,
            in_memory=in_memory,
            digests=self._digests,
            name=self.name,
            labels=None if self.labels is None else self.labels[rows],
            class_names=self.class_names,
            skipped=self.skipped,
            notes=self.notes,
            item_names=self._names_of(rows),
            position_bits=self.bits_of(rows),
        )

    def _open(self, at: int) -> AudioFile:
        found = AudioFile(self._files[at])
        if (found.frames, found.rate) != (self._frames[at], self._rates[at]):
            raise DataError("it has another length or sample rate now")
        return found

    def _read(self, at: int, start: int = 0, stop: int | None = None) -> Array:
        try:
            return self._opened(at).read(start, stop, rate=self._rate, channels=self.channels)
        except DataError as error:
            raise DataError(
                f"{self.name}: {self.item_name(at)} was readable when the data was opened and is not any more "
                f"({error}); put it back, or open the data again without it."
            ) from error

    def _digest(self, at: int) -> bytes:
        file = self._files[at]
        try:
            return self._digests.of(file) if isinstance(file, Path) else encoded_digest(file)
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"{self.item_name(at)} of {self.name} cannot be read any more: {reason}.") from error
