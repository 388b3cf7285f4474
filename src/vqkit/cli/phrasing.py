"""Settings in the words of a command: ``codebook_size=1`` of an error is ``--codebook-size 1`` there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

_SETTING = re.compile(
    r"""(?<![\w./='"\[{-])(?P<name>[a-z][a-z0-9_]*)=(?:'(?P<quoted>[^']*)'|(?P<value>\.\.\.|[^\s,;:()'"\[\]{}]*[^\s,;:()'"\[\]{}.]))?"""
)


def options_given(command: Any, words: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the options that a line gives, by name, each as it is written in full; of a switch also its opposite.

    Those that it gives as settings too (``--set steps=0``) are left out: there a message and the line agree.

    Args:
        command: of click, with its sub-commands.
        words: of the line.
    """
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    found: dict[str, Sequence[str]] = {}
    for parameter in command.params:
        flag = max(parameter.opts, key=len)
        name, ways = flag[2:].replace("-", "_"), (*parameter.opts, *parameter.secondary_opts)
        given = any(_gives(word, way) for word in words for way in ways)
        if given and flag.startswith("--") and not any(word.startswith(f"{name}=") for word in words):
            found[name] = (flag, *parameter.secondary_opts)
    return found


def _gives(word: str, way: str) -> bool:
    return word == way or word.startswith(f"{way}=" if way.startswith("--") else way)


def as_options(message: str, options: Mapping[str, Sequence[str]]) -> str:
    """Spell the settings in a message as the options by which they were given; others stay (``--set decay=2``).

    Args:
        message: of an error.
        options: that were given.

    Example:
        >>> from vqkit.cli.phrasing import as_options
        >>> as_options("steps=0: give steps=1 or more, crop=8 or not", {"steps": ["--steps"]})
        '--steps 0: give --steps 1 or more, crop=8 or not'
    """

    def spell(found: re.Match[str]) -> str:
        name, value = found["name"], found["quoted"] if found["value"] is None else found["value"]
        if name not in options or value == "None":
            return found[0]
        on, *off = options[name]
        if value in ("True", "true"):
            return on
        if value in ("False", "false"):
            return off[0] if off else found[0]
        return on if value is None else f"{on} {value if value == '...' else shlex.quote(value)}"

    return _SETTING.sub(spell, message)
