"""Signals added to an archive: all of them from one moment on, or none."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, final

from vqkit.codec.archive.comparing import Stored, content_of
from vqkit.codec.archive.recording import Nowhere
from vqkit.codec.bounded.promise import kept_bound
from vqkit.codec.compressor import Compressor
from vqkit.codec.protocols import Output
from vqkit.codec.report import Counting, RateReport
from vqkit.codec.resuming.file import going_on
from vqkit.codec.signals import Signal
from vqkit.coding import FileHeader, Reader, check_model
from vqkit.coding.archive.access import open_growing
from vqkit.coding.archive.writer import ArchiveWriter
from vqkit.coding.sections import GROWING, SectionReader
from vqkit.errors import ConfigError, WrongModelError
from vqkit.storage import atomic
from vqkit.storage.growing import GrowingFile

_COMPARED = 64
"""Signals of known names that are looked at together."""


@final
@dataclass
class Added:
    """What has been added to an archive.

    Attributes:
        report: its sizes; ``file_bytes`` is what the file has grown by, its index and its checksums included.
        same: names that were there already, with the same content: nothing was to do.
        kept: signals whose work an interrupted addition had left.
    """

    report: RateReport
    same: list[str] = field(default_factory=list)
    kept: int = 0


def add_signals(
    path: Path, compressor: Compressor, signals: Iterable[Signal], *, progress: Callable[[int], None] | None = None
) -> Added:
    """Add signals to a ``.vqk`` file, or begin one; whenever this ends, the file is as before, or has all of them.

    A file that was written at once becomes an archive: it is read once and written anew, every signal's bytes as they
    are. An archive grows at its end, in time that does not depend on what is in it.

    Args:
        path: the file.
        compressor: with the models that it was made with; writes each signal as a group of its own. Of a file whose
            values are within a bound it gets that bound, unless it has one that keeps to it (``kept_bound``).
        signals: any number, of any sizes. One whose name is there already must have the same content, and is left out.
        progress: called with the number of signals done.

    Raises:
        ConfigError: another process writes this file, a name is there already and stands for something else, or a
            bound that is not the file's.
        WrongModelError: the file was made with other models.
        DataError: signals that the model does not read.
        BitstreamError: the file is damaged.
        OSError: the disk is full.
    """
    compressor.alone, compressor.mixed = True, False
    with going_on(compressor, path, "adding") as memory:
        addition = _Addition(compressor, progress)
        made = 0

        def told(done: int) -> None:
            nonlocal made
            made = made if memory.made else done
            if progress is not None:
                progress(done)

        addition.progress = told
        version = _version(path)
        if version:
            _check(path, compressor.header)
            _bind(path, compressor)
        if version == GROWING:
            with path.open("rb") as known, GrowingFile(path, _length(path)) as file:
                writer = ArchiveWriter(file)
                try:
                    addition.write(writer, signals, known)
                except BaseException:
                    writer.cancel()
                    raise
        else:
            atomic.write_file(path, lambda new: _begin(new, path if version else None, addition, signals))
        addition.found.kept = made
        return addition.found


def _version(path: Path) -> int:
    """Of the file; 0: there is none."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return SectionReader(file).version


def _length(path: Path) -> int:
    with path.open("rb") as file:
        return open_growing(file).slot.length


def _check(path: Path, mine: FileHeader) -> None:
    """Raise ``WrongModelError`` unless a file was made with these models."""
    with path.open("rb") as file:
        theirs = Reader(file).header
    check_model("tokenizer", theirs.tokenizer, mine.tokenizer)
    check_model(f"{theirs.entropy_model} model", theirs.entropy_digest, mine.entropy_digest)
    check_model("pixel model", theirs.pixel_digest, mine.pixel_digest)
    if theirs != mine:
        raise WrongModelError(f"{path} has the header {theirs}, and what is to be added {mine}")


def _bind(path: Path, compressor: Compressor) -> None:
    """Let a compressor keep what a file promises of its values; raise ``ConfigError`` where it cannot."""
    bound = kept_bound(path, compressor.max_error, compressor.model)
    if bound != compressor.max_error and compressor.crew is not None:  # its processes have begun with another
        raise ConfigError(f"{path} has begun to keep its values within a bound meanwhile: call it again")
    compressor.max_error = bound


def _begin(new: Path, old: Path | None, addition: _Addition, signals: Iterable[Signal]) -> None:
    """Fill a new archive: with what an old file holds, if there is one, then with the signals."""
    with GrowingFile(new, 0) as file:
        writer = ArchiveWriter(file, addition.compressor.header)
        if old is None:
            addition.write(writer, signals, None)
            return
        with old.open("rb") as known:
            for group in Reader(known, max_values=1 << 40):
                writer.begin(group.header)
                for block in group:
                    writer.block(block)
            addition.write(writer, signals, known)


@final
class _Addition:
    """Signals on their way into an archive."""

    def __init__(self, compressor: Compressor, progress: Callable[[int], None] | None) -> None:
        self.compressor, self.progress = compressor, progress
        self.found = Added(RateReport(compressor.entropy.kind))

    def write(self, writer: ArchiveWriter, signals: Iterable[Signal], known: BinaryIO | None) -> None:
        """Add those that are not there, and commit.

        Args:
            writer: of the archive.
            signals: all.
            known: the file as it is; None: it is new.
        """
        before = writer.place
        output = Output(self.compressor.entropy, Counting(Nowhere()), writer, self.found.report)  # type: ignore[arg-type]
        fresh = signals if known is None else self._fresh(signals, Stored(known, self.compressor))
        self.compressor.write_to([output], _once(fresh), progress=self.progress)
        if writer.signals or known is None:
            writer.finish()
        self.found.report.file_bytes = writer.place - before

    def _fresh(self, signals: Iterable[Signal], stored: Stored) -> Iterator[Signal]:
        """Yield the signals whose names are not there.

        Raises:
            ConfigError: a name is there, and stands for something else.
        """
        rest = iter(signals)
        while some := list(islice(rest, _COMPARED)):
            numbers = [None if each.name is None else stored.number(each.name) for each in some]
            for signal, number in zip(some, numbers, strict=True):
                if number is None:
                    yield signal
            twice = [(each, number) for each, number in zip(some, numbers, strict=True) if number is not None]
            if not twice:
                continue
            mine = content_of(self.compressor, [signal for signal, _ in twice])
            for (signal, number), content in zip(twice, mine, strict=True):
                assert signal.name is not None
                if not stored.holds(number, content, signal):
                    raise ConfigError(
                        f"{signal.name} is in the archive already, and what is to be added by that name is something "
                        "else, or was compressed with other settings: rename it, or add the others"
                    )
                self.found.same.append(signal.name)


def _once(signals: Iterable[Signal]) -> Iterator[Signal]:
    """Yield signals, whose names are all different."""
    seen: set[str] = set()
    for each in signals:
        if each.name is not None:
            if each.name in seen:
                raise ConfigError(f"two signals would both be {each.name} in the archive; rename one of them")
            seen.add(each.name)
        yield each
