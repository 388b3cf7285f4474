"""The log of a run: one JSON object a line, and the same for TensorBoard where it is installed."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vqkit.checking import check_fields
from vqkit.errors import ModelFolderError
from vqkit.storage.reading import parse_json

_LONGEST_LINE = 16 << 20
_COUNTS = ("items", "of", "codebook_size", "positions")
_MEASURES = [
    "psnr_db",
    "nmse",
    "mse",
    "ssim",
    "usage",
    "perplexity",
    "latent_numbers",
    "residual_bits_per_dim",
    "token_bits_per_dim",
    "lossless_bits_per_dim",
    "bits_per_item",
    "uniform_bits_per_item",
    "seconds",
    "signals_per_second",
    "restarts",
    "code_distance",
]
_TOLD: dict[str, Any] = {
    **dict.fromkeys(_COUNTS, int | None),
    **dict.fromkeys(_MEASURES, float | None),
    "bits_per_dim": Mapping[str, Any] | float | None,
}


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
    """The lines of a run's log; a last line that a crash cut short is left out.

    Each has ``step`` and ``kind``; what else it has of the names that are read again is a number, or null where it was
    not finite.

    Raises:
        ModelFolderError: a line that no run writes, before the last.
    """
    entries: list[dict[str, Any]] = []
    path = folder / "log.jsonl"
    if not path.exists():
        return entries
    wrong, number = "", 0
    try:
        with path.open("rb") as file:
            while line := file.readline(_LONGEST_LINE):
                if wrong:
                    raise ModelFolderError(f"{path}, line {number}: no line of a run's log ({wrong})")
                number += 1
                try:
                    entries.append(_checked(parse_json(line)))
                except ValueError as error:
                    wrong = str(error)
    except OSError as error:
        raise ModelFolderError(f"{path}: not readable as the log of a run ({error.strerror or error})") from error
    return entries


def with_numbers(folder: Path, line: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A line of a run's log, which has all the named numbers.

    Raises:
        ModelFolderError: it lacks one, or that was not finite.
    """
    lacks = [name for name in names if line.get(name) is None]
    if lacks:
        raise ModelFolderError(f"{folder}/log.jsonl: the evaluation at step {line['step']} has no {', '.join(lacks)}")
    return line


def _checked(line: Any) -> dict[str, Any]:
    found = check_fields(line, {"step": int, "kind": str}, _TOLD)
    if found["kind"] in ("warning", "error"):
        check_fields(found, {"message": str})
    return found
