"""A grid of tokens over a picture: a position is chosen by click, touch or arrow keys; changed ones are outlined."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from vqkit.optional import require

_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
_TEMPLATE = """
<div class="vq-grid-scroll"><canvas class="vq-grid" tabindex="0" role="application"></canvas></div>
<p class="vq-grid-told" aria-live="polite"></p>
"""
_STYLE = """
.vq-grid-scroll { overflow-x: auto; width: 100%; contain: inline-size; }
.vq-grid { display: block; width: 100%; cursor: crosshair; border-radius: 6px; touch-action: pan-x pan-y; }
.vq-grid-told { margin: 4px 2px 0; min-height: 1.4em; font-size: 0.92rem; color: var(--body-text-color-subdued);
  font-variant-numeric: tabular-nums; }
"""


def token_grid(label: str, **options: Any) -> Any:
    """Make the component; its value is what ``grid_value`` gives.

    It triggers ``select``: ``gr.SelectData`` with ``index`` ``[row, column]`` and ``value``, the code there.

    Args:
        label: what it is, for screen readers.
        options: of ``gr.HTML``.
    """
    gr = require("gradio", "Pages of the lab")
    return gr.HTML(
        None,
        html_template=_TEMPLATE,
        css_template=_STYLE,
        js_on_load=_SCRIPT,
        elem_classes=["vq-token-grid"],
        grid_label=label,
        **options,
    )


def grid_value(
    codes: np.ndarray[Any, Any],
    picture: Image.Image | None = None,
    *,
    at: tuple[int, int] | None = None,
    changed: Sequence[tuple[int, ...]] = (),
    marked: Sequence[tuple[int, ...]] = (),
    rows: str = "row",
    columns: str = "column",
    first: int = 0,
    least_cell: int = 0,
) -> dict[str, Any]:
    """Return the value of the component.

    Args:
        codes: ``[rows, columns]``.
        picture: below the grid, of the size of the whole grid; None: each cell has a colour of its code.
        at: the position that is chosen.
        changed: positions with an outline.
        marked: positions with a tint, such as those that are to be drawn anew.
        rows: what a row is, in the singular.
        columns: what a column is.
        first: number of the first column, where the grid is a part of a longer one.
        least_cell: width of a cell in CSS pixels, below which the grid is scrolled sideways.
    """
    return {
        "rows": int(codes.shape[0]),
        "columns": int(codes.shape[1]),
        "codes": codes.reshape(-1).tolist(),
        "picture": None if picture is None else data_uri(picture),
        "at": None if at is None else list(at),
        "changed": [list(map(int, each)) for each in changed],
        "marked": [list(map(int, each)) for each in marked],
        "words": [rows, columns],
        "first": first,
        "leastCell": least_cell,
    }


def data_uri(picture: Image.Image) -> str:
    """Return a picture as the text of an address, lossless: no file of it is made."""
    file = BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")
