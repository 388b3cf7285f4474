"""Settings in the words of a command: ``codebook_size=1`` of an error is ``--codebook-size 1`` there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

_SETTING = re.compile(
    r"""(?<![\w./='"\[{-])(?P<name>[a-z][a-z0-9_]*)=(?:'(?P<quoted>[^']*)'|(?P<value>\.\.\.|[^\s,;:()'"\[\]{}]*[^\s,;:()'"\[\]{}.]))?"""
)


def options_of(command: Any, words: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the options of the command that a line runs, by name; with those that turn a switch on and off.

    Args:
        command: of click, with its sub-commands.
        words: of the line.
    """
    for word in words:
        command = getattr(command, "commands", {}).get(word, command)
    found: dict[str, Sequence[str]] = {}
    for parameter in command.params:
        flag = max(parameter.opts, key=len)
        if flag.startswith("--"):
            found[flag[2:].replace("-", "_")] = (flag, *parameter.secondary_opts)
    return found


def as_options(message: str, options: Mapping[str, Sequence[str]], words: Sequence[str]) -> str:
    """Spell the settings in a message as options; those that stand so in the line (``--set decay=2``) stay.

    Args:
        message: of an error.
        options: of the command.
        words: of the line.

    Example:
        >>> from vqkit.cli.phrasing import as_options
        >>> as_options("steps=0: give steps=1 or more", {"steps": ["--steps"]}, ["train", "digits", "--steps", "0"])
        '--steps 0: give --steps 1 or more'
    """

    def spell(found: re.Match[str]) -> str:
        name, value = found["name"], found["quoted"] if found["value"] is None else found["value"]
        if name not in options or any(f"{name}=" in word for word in words) or value == "None":
            return found[0]
        on, *off = options[name]
        if value in ("True", "true"):
            return on
        if value in ("False", "false"):
            return off[0] if off else found[0]
        return on if value is None else f"{on} {value if value == '...' else shlex.quote(value)}"

    return _SETTING.sub(spell, message)
