"""The watch over a training that another process runs: its log as it grows, its state, its pictures.

Nothing of the run is locked, changed or imported: a training does not notice that it is looked at.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

from vqkit.errors import VqkitError
from vqkit.pretrained.folder import CONFIG as MODEL_CONFIG
from vqkit.storage.lock import folder_writer
from vqkit.storage.reading import parse_json
from vqkit.training.record.run import CONFIG, MODEL, PICTURES, read_config

LOG = "log.jsonl"
_AT_ONCE = 4 << 20
"""Bytes of a log that one look reads: a long log is caught up with in several."""
_LONGEST_LINE = 16 << 20
_POINTS = 1024
"""Lines of each kind that are kept; of more, every second one is dropped, and so on."""
_TAIL = 64
"""Bytes before the place that was read up to: they tell whether the log was cut and written anew."""
_WARNINGS = 5
_DEPTH = 3
_MOST_RUNS = 200
_ENDS = ("final", "time")

WAITING, RUNNING, FINISHED, STOPPED = "waiting", "running", "finished", "stopped"
"""States: no step is logged yet; a process writes into the folder; the model is saved; none of these."""


@final
@dataclass
class Lines:
    """Lines of one kind, at most ``_POINTS`` of them, spread evenly over the run; the newest always.

    Attributes:
        kept: of these, every ``stride``-th.
        newest: the last one that was read.
    """

    kept: list[dict[str, Any]] = field(default_factory=list)
    newest: dict[str, Any] | None = None
    stride: int = 1
    count: int = 0

    def add(self, line: dict[str, Any]) -> None:
        """Take one more."""
        self.newest = line
        if self.count % self.stride == 0:
            self.kept.append(line)
        self.count += 1
        if len(self.kept) > _POINTS:
            self.kept, self.stride = self.kept[::2], 2 * self.stride

    def series(self, name: str) -> list[tuple[float, float]]:
        """``(step, value)`` of a measure; of ``bits_per_dim`` its total."""
        last = [] if self.newest is None or self.newest is self.kept[-1] else [self.newest]
        found = []
        for line in [*self.kept, *last]:
            value = line.get(name)
            value = value.get("total") if isinstance(value, Mapping) else value
            if isinstance(value, int | float) and not isinstance(value, bool):
                found.append((float(line["step"]), float(value)))
        return found


@final
class RunWatch:
    """What one person has seen of a run, brought up to date by ``look``.

    Args:
        path: the run folder, which need not be there yet.

    Attributes:
        train, validation: lines of the log.
        warnings: the last few, with their steps.
        skipped: lines that are no lines of a log.
        state: one of ``WAITING``, ``RUNNING``, ``FINISHED``, ``STOPPED``.
        settings: what ``run.json`` says; empty as long as there is none.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.settings: dict[str, Any] = {}
        self._begin()

    def _begin(self) -> None:
        self.train, self.validation = Lines(), Lines()
        self.warnings: deque[tuple[int, str]] = deque(maxlen=_WARNINGS)
        self.skipped = 0
        self.state = WAITING
        self.reason: str | None = None
        self._offset = 0
        self._tail = b""
        self._file: tuple[int, int] | None = None
        self._ended = False

    def look(self) -> bool:
        """Read what is new; return whether anything has changed.

        A line that is half written waits for its end. A log that was cut, as a resumed run cuts its own, or that is
        another file now, is read anew.
        """
        before = (self._offset, self._file, self.state, bool(self.settings))
        if not self.settings:
            with suppress(VqkitError):
                self.settings = read_config(self.path)
        with suppress(OSError), (self.path / LOG).open("rb") as file:
            if not self._goes_on(file):
                self._begin()
            for line in self._new_lines(file):
                self._take(line)
        self.state = self._judged()
        return before != (self._offset, self._file, self.state, bool(self.settings))

    def _goes_on(self, file: Any) -> bool:
        """Whether the log is the one that was read, and no less of it is there."""
        there = os.fstat(file.fileno())
        identity = (there.st_dev, there.st_ino)
        known, self._file = self._file, identity
        if known is None:
            return True
        if known != identity or there.st_size < self._offset:
            return False
        file.seek(self._offset - len(self._tail))
        return bool(file.read(len(self._tail)) == self._tail)

    def _new_lines(self, file: Any) -> Iterator[bytes]:
        file.seek(self._offset)
        data = file.read(_AT_ONCE)
        if b"\n" not in data and len(data) == _AT_ONCE:
            data += file.read(_LONGEST_LINE)
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:
            return
        self._offset += len(whole)
        self._tail = (self._tail + whole)[-_TAIL:]
        yield from whole.splitlines()

    def _take(self, line: bytes) -> None:
        try:
            found = parse_json(line)
            step, kind = found["step"], found["kind"]
            if not isinstance(step, int) or not isinstance(kind, str):
                raise ValueError
        except (ValueError, KeyError, TypeError):
            self.skipped += 1
            return
        if kind == "train":
            self.train.add(found)
        elif kind in ("validation", "final"):
            self.validation.add(found)
        elif kind in ("warning", "error"):
            self.warnings.append((step, str(found.get("message", ""))))
        elif kind == "stop":
            self.reason = str(found.get("reason", ""))
        self._ended = kind in _ENDS or (self._ended and kind != "train")

    def _judged(self) -> str:
        if self._ended and (self.path / MODEL / MODEL_CONFIG).is_file():
            return FINISHED
        if folder_writer(self.path) is not None:
            return RUNNING
        return STOPPED if self._offset else WAITING

    @property
    def step(self) -> int:
        """The last step that was logged."""
        return max((lines.newest["step"] for lines in (self.train, self.validation) if lines.newest), default=0)

    @property
    def fraction(self) -> float | None:
        """The part of the run that is done, by steps or by minutes; None: it is not known."""
        if self.state == FINISHED:
            return 1.0
        training = self.settings.get("training", {})
        seconds = (self.train.newest or {}).get("seconds")
        if training.get("minutes") and isinstance(seconds, int | float):
            return min(seconds / 60 / training["minutes"], 1.0)
        return min(self.step / training["steps"], 1.0) if training.get("steps") else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds to go at the speed so far, while it runs; None: not known."""
        seconds, done = (self.train.newest or {}).get("seconds"), self.fraction
        if self.state != RUNNING or not done or not isinstance(seconds, int | float):
            return None
        return float(seconds) * (1 - done) / done

    @property
    def codes(self) -> int | None:
        """How many codes the codebooks have; None: no evaluation said it, and the settings do not."""
        found = (self.validation.newest or {}).get("codebook_size")
        model = self.settings.get("model", {})
        size = found if isinstance(found, int) else model.get("codebook_size")
        return size * int(model.get("num_codebooks") or 1) if isinstance(size, int) else None

    @property
    def dead(self) -> int | None:
        """Codes that the newest training steps (the window of a line of the log) did not use."""
        usage, codes = (self.train.newest or {}).get("usage"), self.codes
        return None if codes is None or not isinstance(usage, int | float) else round((1 - usage) * codes)

    def pictures(self) -> list[Path]:
        """The pictures of reconstructions so far, the newest last."""
        found = []
        with suppress(OSError):
            for entry in os.scandir(self.path / PICTURES):
                if entry.name.endswith(".png") and not entry.name.startswith("."):
                    with suppress(OSError):
                        found.append((entry.stat().st_mtime_ns, entry.name))
        return [self.path / PICTURES / name for _, name in sorted(found)]


def runs_in(folders: Sequence[Path]) -> list[Path]:
    """Folders of runs in these folders, and they themselves, those that were written to last first."""
    found: dict[Path, float] = {}
    for folder in folders:
        for place in _below(folder, _DEPTH):
            with suppress(OSError):
                log = place / LOG
                found[place] = (log if log.is_file() else place / CONFIG).stat().st_mtime
    return sorted(found, key=lambda place: -found[place])[:_MOST_RUNS]


def _below(folder: Path, depth: int) -> Iterator[Path]:
    if (folder / CONFIG).is_file():
        yield folder
    if not depth:
        return
    with suppress(OSError):
        for entry in sorted(os.scandir(folder), key=lambda each: each.name):
            inner = entry.name in ("checkpoints", "pictures", "model", "best", "tensorboard", "tokens")
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".") and not inner:
                yield from _below(Path(entry.path), depth - 1)
