"""Errors a user can cause and repair: one clear sentence each, no traceback on the command line.

Every message says what was received, what is allowed, where the bound comes from, and the repair.
The command line prints the message and exits with status 2; from Python they are ``ValueError``.
"""

from __future__ import annotations

from typing import Any


class VqkitError(ValueError):
    """A mistake in what was asked for or given; the message tells how to mend it."""


class DataError(VqkitError):
    """A data source that cannot be read, is empty, or holds values that are not signals."""


class ConfigError(VqkitError):
    """An unknown key, a value out of range, or options that exclude each other."""


class ModelFolderError(VqkitError):
    """A model or run folder that is missing, incomplete, damaged, or of another class."""


class TrainingStopped(VqkitError):
    """Training met NaN or Inf; names the step, the tensor and the last good checkpoint."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C, or SIGTERM, while something was trained; everything is saved, and ``resume`` goes on with it.

    A ``KeyboardInterrupt``, so that it ends a loop of trainings as well.

    Attributes:
        run: the ``Run``; ``run.finished`` where only the last evaluation was cut short.
    """

    def __init__(self, run: Any) -> None:
        super().__init__(f"training in {run.path} was interrupted at step {run.step:,}; it is saved")
        self.run = run


class BitstreamError(VqkitError):
    """A compressed file that is damaged, cut short, made to do harm, or not for these models; nothing was accepted."""


class NotAVqkFileError(BitstreamError):
    """Not a ``.vqk`` file at all, or one that a transfer in text mode has changed."""


class UnsupportedVersionError(BitstreamError):
    """A ``.vqk`` file of a version that this vqkit does not know."""


class TruncatedFileError(BitstreamError):
    """The file ends before its END section."""


class ChecksumError(BitstreamError):
    """A section whose bytes are not those that were written, or that is not where it was written."""


class WrongModelError(BitstreamError):
    """The file needs another tokenizer, entropy model or pixel model than the one given, or they compute otherwise."""


class LimitError(BitstreamError):
    """A file that declares more than the reader was told to allow; the message says how to allow more."""
