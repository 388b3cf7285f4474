"""A map of a codebook: a dot a code, its size by use, dead ones crosses; one is chosen by click or arrow keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vqkit.optional import require

_SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
_TEMPLATE = """
<canvas class="vq-map" tabindex="0" role="application"></canvas>
<p class="vq-map-told" aria-live="polite"></p>
"""
_STYLE = """
.vq-map { display: block; width: 100%; cursor: crosshair; border-radius: 6px;
  border: 1px solid var(--border-color-primary); background: var(--background-fill-primary); }
.vq-map-told { margin: 4px 2px 0; min-height: 1.4em; font-size: 0.92rem; color: var(--body-text-color-subdued);
  font-variant-numeric: tabular-nums; }
"""


def code_map(label: str, **options: Any) -> Any:
    """Make the component; its value is what ``map_value`` gives. It triggers ``select``, whose ``index`` is the code.

    Args:
        label: what it is, for screen readers.
        options: of ``gr.HTML``.
    """
    gr = require("gradio", "Pages of the lab")
    return gr.HTML(None, html_template=_TEMPLATE, css_template=_STYLE, js_on_load=_SCRIPT, map_label=label, **options)


def map_value(places: np.ndarray[Any, Any], counts: np.ndarray[Any, Any], chosen: int | None = None) -> dict[str, Any]:
    """Return the value of the component.

    Args:
        places: ``[K, 2]``.
        counts: how often each code occurs, ``[K]``.
        chosen: a code with a ring around it.
    """
    low, high = places.min(axis=0), places.max(axis=0)
    spread = np.where(high > low, high - low, 1.0)
    scaled = np.round((places - low) / spread, 4)
    return {"places": scaled.tolist(), "counts": counts.tolist(), "chosen": chosen}
