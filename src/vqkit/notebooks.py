"""HTML for notebooks: what a source, tokens, a run and an evaluation show where a cell ends with them."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from vqkit.pictures import before_after_sheet

SHOWN = 8
"""Pictures of a source, at most."""


def table(values: Mapping[str, Any], *, title: str = "") -> str:
    """Return a table of two columns, names and values; values that are not known (None) are left out.

    Example:
        >>> from vqkit.notebooks import table
        >>> table({"items": 1797, "psnr_db": 21.3456, "ssim": None}, title="Evaluation")[:44]
        '<table><caption>Evaluation</caption><tr><th '
    """
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th><td>{html.escape(_words(value))}</td></tr>'
        for name, value in values.items()
        if value is not None
    )
    return f"<table>{f'<caption>{html.escape(title)}</caption>' if title else ''}{rows}</table>"


def paragraph(words: str) -> str:
    """Return one line of text."""
    return f"<p>{html.escape(words)}</p>"


def picture(image: Image.Image, words: str = "") -> str:
    """Return a picture within the page, of one file with it."""
    file = io.BytesIO()
    image.save(file, format="PNG")
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(words)}" style="max-width:100%" src="data:image/png;base64,{data}">'


def pictures(images: Iterable[Image.Image | None], words: str = "") -> str:
    """Return pictures beside each other as one; nothing where there are none."""
    shown = [image for image in images if image is not None]
    return picture(before_after_sheet([("", shown)], columns=SHOWN), words) if shown else ""


def _words(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_words(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " x ".join(_words(each) for each in value)
    return str(value)
