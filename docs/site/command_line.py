"""Directive ``command-line``: every command of ``vqkit`` with its options, from the program itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from vqkit.cli.listing import listed

_OPTION = re.compile(r"(?<![\w-])(--?[a-z][\w-]*)")


class CommandLine(SphinxDirective):
    """``.. command-line::``."""

    def run(self) -> list[nodes.Node]:
        """See ``Directive``."""
        from vqkit.cli.main import app

        lines = [
            line for name, command in _commands("vqkit", typer.main.get_command(app)) for line in _of(name, command)
        ]
        return self.parse_text_to_nodes("\n".join(lines), allow_section_headings=True)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for each in inner.values():
        if not each.hidden:
            yield from _commands(f"{name} {each.name}", each)


def _of(name: str, command: Any) -> Iterator[str]:
    shown = [item for item in command.params if not getattr(item, "hidden", False)]
    arguments = [item for item in shown if item.param_type_name == "argument"]
    words = [_word(item) for item in arguments]
    yield from (name, "=" * len(name), "", *_plain(command.help), "")
    yield from (".. code-block:: text", "", f"   {' '.join([name, *words])} [options]", "")
    for item in shown:
        title = " ".join(f"``{each}``" for each in (*item.opts, *item.secondary_opts)) if item.opts else item.name
        told = " ".join(_plain(getattr(item, "help", None)))
        value = item.default if item.default is not None and not callable(item.default) else None
        usual = f" Default: ``{value}``." if value not in (None, False, "", ()) else ""
        yield from (title, f"    {told or 'See above.'}{usual}", "")


def _word(argument: Any) -> str:
    word = f"{argument.metavar or argument.name.upper()}{'...' if argument.nargs == -1 else ''}"
    return word if argument.required else f"[{word}]"


def _plain(text: str | None) -> list[str]:
    """Return a help text as reStructuredText: no markup of its own but literal words in backticks."""
    lines = listed(text or "").replace("\b", "").replace("``", "`").splitlines()
    return ["".join(_words(line.strip())) for line in lines]


def _words(line: str) -> Iterator[str]:
    for number, part in enumerate(line.split("`")):
        if number % 2:
            yield f"``{part}``"
            continue
        for place, piece in enumerate(_OPTION.split(part)):
            yield f"``{piece}``" if place % 2 else re.sub(r"([*|_\\]|(?<=\w):(?=\w))", r"\\\1", piece)


def setup(app: Any) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("command-line", CommandLine)
    return {"version": "1", "parallel_read_safe": True}
