"""Errors a user can cause and repair: one clear sentence each, no traceback on the command line.

Every message says what was received, what is allowed, where the bound comes from, and the repair.
The command line prints the message and exits with status 2; from Python they are ``ValueError``.
"""

from __future__ import annotations

from typing import Any


def shown(text: object) -> str:
    """Return text for one line of a terminal or a log: what is not printable is escaped.

    Names of files hold any bytes on many systems: newlines, escape sequences, and what is no UTF-8 (lone surrogates in
    Python, which no encoder takes). A newline is shown as a backslash and an n, the byte E9 as a backslash and xe9.
    """
    words = str(text)
    return words if words.isprintable() else "".join(map(_shown_letter, words))


def _shown_letter(letter: str) -> str:
    if letter.isprintable() or letter == "\u00a0":
        return letter
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")


class VqkitError(ValueError):
    """A mistake in what was asked for or given; the message, of one line, tells how to mend it.

    Example:
        >>> import vqkit
        >>> from vqkit import VqkitError
        >>> try:
        ...     vqkit.VQVAE(0)
        ... except VqkitError as error:
        ...     print(type(error).__name__)
        ConfigError
    """

    def __str__(self) -> str:
        return shown(super().__str__())


class DataError(VqkitError):
    """A data source that cannot be read, is empty, or holds values that are not signals."""


class ConfigError(VqkitError):
    """An unknown key, a value out of range, or options that exclude each other."""


class ModelFolderError(VqkitError):
    """A model or run folder that is missing, incomplete, damaged, or of another class."""


class MissingExtraError(VqkitError, ImportError):
    """A package that only some inputs need is not installed; the message holds the ``pip install`` that repairs it."""


class WorkerError(VqkitError):
    """A process that had a share of the work has ended by itself; what is whole is kept, and the same call goes on."""


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
