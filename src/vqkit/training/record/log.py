"""The log of a run: one JSON object a line; callbacks are told of the same."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

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
    "snr_db",
    "si_sdr_db",
    "delay",
    "stft_distance",
    "mel_distance",
    "stoi",
    "pesq",
    "visqol",
    "duration",
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
        tell: told of every line, as ``Callbacks.tell`` is.
    """

    def __init__(self, folder: Path, size: int, tell: Callable[..., None]) -> None:
        self.path = folder / "log.jsonl"
        with self.path.open("ab") as file:
            file.truncate(min(size, self.path.stat().st_size))
        self._unwritten = ""
        self._tell = tell

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
        self._tell("on_metrics", step, kind, clean)


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
