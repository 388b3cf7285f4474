"""Repairs in the words of whoever reads them: Python's, or the command line's while ``vqkit ...`` runs.

One state for the process, not one for a thread or a context: what a command begins in other threads is a part of the
command. A program that runs ``vqkit.cli.main.main`` itself gets the command line's words until it returns.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_commands = 0


@contextmanager
def command_line() -> Iterator[None]:
    """Spell repairs as the command line has them, until the block ends."""
    global _commands
    _commands += 1
    try:
        yield
    finally:
        _commands -= 1


def spelled(*, python: str, command: str) -> str:
    """Return the spelling that fits.

    Example:
        >>> from vqkit.spelling import command_line, spelled
        >>> spelled(python="vqkit.load_tokens(PATH)", command="vqkit info PATH")
        'vqkit.load_tokens(PATH)'
        >>> with command_line():
        ...     spelled(python="vqkit.load_tokens(PATH)", command="vqkit info PATH")
        'vqkit info PATH'
    """
    return command if _commands else python


def option(name: str, value: object = None) -> str:
    """Spell a keyword argument that is an option of the command line too.

    Args:
        name: of the argument.
        value: what to give; None: only the name; True: a switch; ``...``: some value.

    Example:
        >>> from vqkit.spelling import command_line, option
        >>> option("any_model", True), option("kind", "sound"), option("out")
        ('any_model=True', "kind='sound'", 'out=')
        >>> with command_line():
        ...     option("any_model", True), option("kind", "sound"), option("out")
        ('--any-model', '--kind sound', '--out')
    """
    shown = "..." if value is ... else repr(value)
    flag = f"--{name.replace('_', '-')}"
    if value is None:
        return spelled(python=f"{name}=", command=flag)
    return spelled(
        python=f"{name}={shown}",
        command=flag if value is True else f"{flag} {'...' if value is ... else shlex.quote(str(value))}",
    )


def setting(name: str, value: object = ...) -> str:
    """Spell a setting that the command line takes by ``--set`` only.

    Args:
        name: of the setting.
        value: what to give; ``...``: some value.

    Example:
        >>> from vqkit.spelling import command_line, setting
        >>> setting("clip_norm"), setting("cosine", True)
        ('clip_norm=...', 'cosine=True')
        >>> with command_line():
        ...     setting("clip_norm"), setting("cosine", True)
        ('--set clip_norm=...', '--set cosine=true')
    """
    if value is ...:
        return spelled(python=f"{name}=...", command=f"--set {name}=...")
    return spelled(python=f"{name}={value!r}", command=f"--set {name}={json.dumps(value)}")


def resuming(path: str | Path, *again: str) -> str:
    """Spell the call that resumes a run.

    Args:
        path: the run folder.
        *again: what has to be given again: "data", "validation".

    Example:
        >>> from vqkit.spelling import resuming
        >>> resuming("runs/x")
        "vqkit.resume('runs/x')"
        >>> resuming("runs/x", "data", "validation")
        "vqkit.resume('runs/x', data=..., validation=...)"
    """
    words = "".join(" DATA" if name == "data" else f" --{name} DATA" for name in again)
    return spelled(
        python=f"vqkit.resume({str(path)!r}{''.join(f', {name}=...' for name in again)})",
        command=f"vqkit train{words} --resume {quoted(Path(path))}",
    )


def quoted(word: object) -> str:
    """Return a word of a command line as a shell takes it whole; a path is not taken for an option."""
    text = str(word)
    return shlex.quote(f"./{text}" if isinstance(word, Path) and text.startswith("-") else text)
