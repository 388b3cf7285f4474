"""Commands to copy, as a shell takes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import typer

from vqkit.spelling import quoted


def place(name: str) -> str | Path:
    """A model, run or data as it was named: a path where it is one, so that ``quoted`` knows."""
    return Path(name) if name.startswith("-") else name


def command(*words: object) -> str:
    """A vqkit command to copy: ``vqkit encode 'my run' DATA``; words in capitals stand for what a person names."""
    return " ".join(["vqkit", *map(quoted, words)])


def say_next(*commands: Iterable[object]) -> None:
    """Name commands that can follow, a line each; empty ones are those that cannot."""
    lead = "next:  "
    for words in filter(None, map(list, commands)):
        typer.echo(f"{lead}{command(*words)}")
        lead = "       "
