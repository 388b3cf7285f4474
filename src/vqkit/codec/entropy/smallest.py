"""The smallest of the files that the same indices make under several entropy models."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from vqkit.codec.compressor import Compressor
from vqkit.codec.report import RateReport
from vqkit.codec.signals import Signal


def write_smallest(
    compressor: Compressor, path: Path, signals: Iterable[Signal], *, progress: Callable[[int], None] | None = None
) -> RateReport:
    """Compress signals once under every entropy model of a compressor, and keep the file with the fewest bytes.

    A learned prior can cost more than a histogram does, where the data is other than what it learned or it learned too
    little. Of files that are equally long the first model's is kept.

    Args:
        compressor: with the models ``beside`` its own that the file may be coded under.
        path: the file to write.
        signals: any number, of any sizes; consecutive ones of one size are coded together.
        progress: called with the number of signals done.

    Raises:
        DataError: see ``Compressor.write``.
        OSError: a file cannot be written.
    """
    with ExitStack() as stack:
        file: BinaryIO = stack.enter_context(path.open("wb"))
        rivals = [
            cast(BinaryIO, stack.enter_context(tempfile.TemporaryFile(dir=path.parent))) for _ in compressor.beside
        ]
        reports = compressor.write_each([file, *rivals], signals, progress=progress)
        best = min(range(len(reports)), key=lambda number: reports[number].file_bytes)
        if best:
            file.seek(0)
            file.truncate()
            rivals[best - 1].seek(0)
            shutil.copyfileobj(rivals[best - 1], file)
    return reports[best]
