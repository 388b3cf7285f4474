"""HTML for notebooks: what a source, tokens, a run and an evaluation show where a cell ends with them."""

from __future__ import annotations

import base64
import html
import importlib
import io
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from PIL import Image

from vqkit.pictures import before_after_sheet

SHOWN = 8
"""Pictures of a source, at most."""
_NUMBERS_A_ROW, _LINES, _BETWEEN = 4, 100, 0.25
"""Of a running cell: numbers beside each other, lines that stay at most, seconds between two drawings."""


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


class NotebookCell:
    """The output of a notebook's cell while something runs: a title, a bar, numbers and lines, all changed in place.

    Args:
        title: above the bar.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar, self._numbers = "", ""
        self._said: list[str] = []
        self._words = title
        display = importlib.import_module("IPython.display").display
        self._handle: Any = display(self._page(), raw=True, display_id=True)
        self._drawn = time.monotonic()

    def update(self, fraction: float, left: str, numbers: Sequence[tuple[str, str]]) -> None:
        """Show the part that is done, what is left in words, and numbers by name; drawn a few times a second."""
        self._words = f"{self._title}: {fraction:.0%}, {left}"
        self._bar = f'<progress max="1" value="{fraction:.4f}" style="width:20em"></progress> {fraction:.0%}, {left}'
        cells = [f"<td>{html.escape(name)}</td><td><b>{html.escape(text)}</b></td>" for name, text in numbers]
        starts = range(0, len(cells), _NUMBERS_A_ROW)
        rows = (f"<tr>{''.join(cells[start : start + _NUMBERS_A_ROW])}</tr>" for start in starts)
        self._numbers = f"<table>{''.join(rows)}</table>"
        if fraction >= 1 or time.monotonic() - self._drawn >= _BETWEEN:
            self.draw()

    def say(self, sentence: str) -> None:
        """Add a line that stays (of very many the last ones)."""
        self._said = [*self._said[1 - _LINES :], sentence]
        self.draw()

    def finish(self) -> None:
        """Show that all is done."""
        self._words = self._title
        self._bar = '<progress max="1" value="1" style="width:20em"></progress> 100%'
        self.draw()

    def draw(self) -> None:
        """Show everything as it is now."""
        self._drawn = time.monotonic()
        self._handle.update(self._page(), raw=True)

    def _page(self) -> dict[str, str]:
        lines = "<br>".join(map(html.escape, self._said))
        page = f"<b>{html.escape(self._title)}</b><br>{self._bar}{self._numbers}<div>{lines}</div>"
        return {"text/html": page, "text/plain": "\n".join([self._words, *self._said])}


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
