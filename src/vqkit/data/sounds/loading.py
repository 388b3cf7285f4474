"""Folders and lists of sound files as one source: which files are used, and at which sample rate and channels.

The class of a sound is the first sub-folder on its path. Files without sound are skipped and named: damaged ones, such
as end early or say another length than they have, silence, and numbers that are no samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from contextvars import ContextVar
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vqkit.data.images.decoding import each_in_order
from vqkit.data.images.folder import classes_of_folders, find_files, left_out_note
from vqkit.data.skipped import Skipped, check_enough_readable
from vqkit.data.sounds.source import SoundSource
from vqkit.errors import DataError, MissingExtraError
from vqkit.optional import require
from vqkit.resources import is_read_once, resolve_memory_limit
from vqkit.signals import Sound
from vqkit.signals.audio_file import AudioFile, Encoded, Verdict, mixing_words

EXTENSIONS = frozenset(Sound.extensions) - {".npy"}
_WORDS = "sounds", "a sound file ends in .wav, .flac, .ogg, .opus, .mp3 or the like"


_silence: ContextVar[bool] = ContextVar("silence", default=False)


@contextmanager
def silence_kept() -> Iterator[None]:
    """Within the block, sounds that are loaded may be silent: nothing can be learned of these, but they are data."""
    token = _silence.set(True)
    try:
        yield
    finally:
        _silence.reset(token)


class SoundItem(NamedTuple):
    """One sound to come: its name for messages, its path or bytes (None: there is none), its label or -1."""

    name: str
    encoded: Encoded | None
    label: int = -1


def load_sounds(
    path: Path, kind: Sound, *, memory_limit: int | str | None = None, channels: int | None = None
) -> SoundSource:
    """Load a sound file, or every sound file under a folder in the sorted order of their relative paths.

    Hidden files and folders are ignored, and those that vqkit wrote are left out with a note. Where the samples fit in
    ``memory_limit`` bytes they are kept in memory; else files are decoded once to find those without sound, a piece at
    a time, and again whenever an item or a part of one is read.

    Args:
        path: of the file or the folder.
        kind: sound at the sample rate that all are resampled to; without a rate: the one that most of the time has.
        memory_limit: bytes, or a size such as "2GB".
        channels: 1 or 2; None: 2 if all files have at least so many, else 1. More are mixed down.

    Raises:
        DataError: no such files, or more than half of them without sound.
        MissingExtraError: soundfile is not installed, or soxr where a rate changes.
    """
    require("soundfile", f"sound files ({path})")
    if path.is_file():
        return sounds_of([SoundItem(path.name, path)], kind, name=str(path), limit=memory_limit, channels=channels)
    left_out: list[str] = []
    closed: list[Skipped] = []
    files = find_files(path, EXTENSIONS, _WORDS, left_out, closed)
    class_names, labels, notes = classes_of_folders(files, path, "sounds")
    items = [
        SoundItem(file.relative_to(path).as_posix(), file, label) for file, label in zip(files, labels, strict=True)
    ]
    return sounds_of(
        items,
        kind,
        name=str(path),
        limit=memory_limit,
        channels=channels,
        class_names=class_names,
        notes=[*notes, *left_out_note(left_out)],
        closed=closed,
    )


def sounds_of(
    items: Sequence[SoundItem],
    kind: Sound,
    *,
    name: str,
    limit: int | str | None = None,
    channels: int | None = None,
    class_names: list[str] | None = None,
    notes: Sequence[str] = (),
    closed: Sequence[Skipped] = (),
) -> SoundSource:
    """Make a source of sound files; see ``load_sounds``.

    Raises:
        DataError: more than half of them without sound.
    """
    kept: list[tuple[SoundItem, AudioFile, Verdict]] = []
    skipped = list(closed)
    judge = partial(_judged, silence=_silence.get())
    with closing(each_in_order(judge, items, chunk=4)) as found:
        for item, judged in zip(items, found, strict=True):
            if isinstance(judged, str):
                skipped.append(Skipped(item.name, judged))
            else:
                kept.append((item, *judged))
    check_enough_readable(name, len(kept), skipped, "sounds")
    files = [file for _, file, _ in kept]
    read_as = kind if kind.rate is not None else Sound(_common_rate(files))
    wanted = channels or (2 if all(file.channels > 1 for file in files) else 1)
    if any(file.rate != read_as.rate for file in files):
        require("soxr", "sounds of another sample rate")
    labels = np.array([item.label for item, _, _ in kept], dtype=np.int64)
    size = 4 * wanted * sum(file.length(read_as.rate) for file in files)
    return SoundSource(
        [file.encoded for file in files],
        [file.frames for file in files],
        [file.rate for file in files],
        kind=read_as,
        channels=wanted,
        in_memory=not is_read_once() and size <= resolve_memory_limit(limit),
        name=name,
        labels=labels if (labels >= 0).any() else None,
        class_names=class_names if (labels >= 0).any() else None,
        skipped=skipped,
        notes=[*notes, *_notes(kept, read_as, wanted)],
        item_names=[item.name for item, _, _ in kept],
        position_bits=[file.bits * file.channels for file in files],
    )


def _judged(item: SoundItem, *, silence: bool) -> tuple[AudioFile, Verdict] | str:
    """The opened file and what was found in it, or why it cannot be used."""
    if item.encoded is None:
        return "no file"
    try:
        file = AudioFile(item.encoded)
        return file, file.check(silence=silence)
    except (DataError, MissingExtraError) as error:
        return str(error)


def _common_rate(files: Sequence[AudioFile]) -> int:
    """The sample rate of most of the time; of equals the higher one."""
    seconds: dict[int, float] = {}
    for file in files:
        seconds[file.rate] = seconds.get(file.rate, 0.0) + file.frames / file.rate
    return max(seconds, key=lambda rate: (seconds[rate], rate))


def _notes(kept: Sequence[tuple[SoundItem, AudioFile, Verdict]], kind: Sound, channels: int) -> list[str]:
    """What a person should know of how the files were read, with how many of them it is true of."""
    assert kind.rate is not None
    counts: Counter[str] = Counter()
    for _, file, verdict in kept:
        if file.rate != kind.rate:
            counts[f"resampled from {file.rate / 1000:g} to {kind.rate / 1000:g} kHz"] += 1
        if file.channels > channels:
            counts[mixing_words(file.channels, channels)] += 1
        elif file.channels < channels:
            counts["mono, repeated for stereo"] += 1
        counts.update(verdict.notes)
    return [f"{count:,} of {len(kept):,} sounds: {words}" for words, count in counts.items()]
