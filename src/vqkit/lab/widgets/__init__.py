"""Widgets of pages: what gradio has no component for, each as an HTML template, a style and a script."""

from __future__ import annotations

from importlib.resources import files
from typing import Any


def widget(name: str) -> dict[str, Any]:
    """Return the arguments of ``gr.HTML`` for a widget: its template, its style, its script.

    The template is drawn once: the script shows ``props.value`` in it, and follows it by ``watch``.

    Example:
        >>> from vqkit.lab.widgets import widget
        >>> sorted(widget("planes"))
        ['css_template', 'html_template', 'js_on_load']
    """
    folder = files(__package__)
    return {
        argument: folder.joinpath(f"{name}.{suffix}").read_text(encoding="utf-8")
        for argument, suffix in (("html_template", "html"), ("css_template", "css"), ("js_on_load", "js"))
    }
