"""Words that commands share: commands to copy, and nouns that fit their numbers."""

from __future__ import annotations

import shlex


def quoted(word: object) -> str:
    """A word of a command line as a shell takes it whole."""
    return shlex.quote(str(word))


def command(*words: object) -> str:
    """A vqkit command to copy: ``vqkit encode 'my run' DATA``; words in capitals stand for what a person names."""
    return shlex.join(["vqkit", *map(str, words)])
