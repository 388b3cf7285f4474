"""The log of a run: one JSON object a line, and the same for TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np


class RunLog:
    """Appends lines to ``log.jsonl``; after a resume, lines past the checkpoint are cut off first.

    Args:
        folder: the run's.
        size: bytes of ``log.jsonl`` to keep (what ``size()`` gave at the checkpoint).
        step: the step to go on from, for TensorBoard.
        tensorboard: write event files too.
    """

    def __init__(self, folder: Path, size: int, step: int, tensorboard: bool) -> None:
        self.path = folder / "log.jsonl"
        with self.path.open("ab") as file:
            file.truncate(min(size, self.path.stat().st_size))
        self._unwritten = ""
        self._board = None
        if tensorboard and not _is_utf8(folder):
            told = "no TensorBoard events: it cannot write to a path that is not UTF-8"
            self.write(step, "warning", {"message": told})
        elif tensorboard:
            self._board = _open_board(folder, step)

    def size(self) -> int:
        """Bytes of the file so far."""
        return self.path.stat().st_size

    def write(self, step: int, kind: str, values: dict[str, Any]) -> None:
        """One line: ``step``, ``kind`` and the values (numbers that are not finite become null).

        A full disk loses no training: the line is kept and written with the next one.
        """
        clean = {name: None if isinstance(v, float) and not math.isfinite(v) else v for name, v in values.items()}
        self._unwritten += json.dumps({"step": step, "kind": kind, **clean}, allow_nan=False) + "\n"
        try:
            before = self.size()
            try:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(self._unwritten)
                self._unwritten = ""
            except OSError:
                with self.path.open("ab") as file:
                    file.truncate(before)
        except OSError:
            pass
        for name, value in clean.items():
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                self._on_board("add_scalar", f"{kind}/{name}", value, step)

    def picture(self, step: int, name: str, picture: Any) -> None:
        """Show a PIL image in TensorBoard."""
        self._on_board("add_image", name, np.asarray(picture), step, dataformats="HWC")

    def close(self) -> None:
        """Flush what TensorBoard has buffered."""
        self._on_board("close")

    def _on_board(self, method: str, *arguments: Any, **named: Any) -> None:
        """Call TensorBoard's writer; a full disk ends its events, not the run."""
        if self._board is None:
            return
        try:
            getattr(self._board, method)(*arguments, **named)
        except OSError:
            self._board = None


def _is_utf8(path: Path) -> bool:
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _open_board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    try:
        return SummaryWriter(str(folder / "tensorboard"), purge_step=step or None)
    except OSError:
        return None


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's log; a last line that a crash cut short is left out."""
    entries: list[dict[str, Any]] = []
    path = folder / "log.jsonl"
    if not path.exists():
        return entries
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(json.loads(line))
        except ValueError:
            break
    return entries
