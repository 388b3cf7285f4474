"""The parts of a component: a template, a style and a script, each a file of its own with the component's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_SUFFIXES = {"html_template": ".html", "css_template": ".css", "js_on_load": ".js"}


def parts_of(name: str) -> dict[str, Any]:
    """Return the arguments of ``gr.HTML`` for a component.

    The template is drawn once: the script shows ``props.value`` in it, and follows it by ``watch``. No part of it may
    hold what gradio's templates read as theirs: a dollar sign before a brace, or two braces beside each other.

    Args:
        name: of the component, and of its three files here.

    Args:
        name: of the component, and of its three files.

    Example:
        >>> from vqkit.lab.widgets.parts import parts_of
        >>> sorted(parts_of("planes"))
        ['css_template', 'html_template', 'js_on_load']
    """
    place = Path(__file__).with_name(name)
    return {argument: place.with_suffix(suffix).read_text(encoding="utf-8") for argument, suffix in _SUFFIXES.items()}
