"""Model cards: the ``README.md`` of a saved folder, with YAML front matter as the Hugging Face hub reads it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vqkit._version import __version__

CARD = "README.md"
_MOST_BYTES = 1 << 20
_END = re.compile(r"<!-- written by vqkit for the weights (?P<weights>[0-9a-f]{64}); page (?P<page>[0-9a-f]{64}) -->\n")
_NAMES = {
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
    "nmse": "normalized mean squared error",
    "usage": "codebook usage",
    "perplexity": "codebook perplexity",
    "codebook_size": "codebook size",
    "bits_per_item": "bits an item",
    "uniform_bits_per_item": "bits an item, uniform prior",
    "lossless_bits_per_dim": "lossless bits per dimension",
    "items": "held-out items",
}
"""Measures that a card names, in this order; totals of bits come after them."""


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """The fields of a model card that the model itself does not hold.

    Attributes:
        license: an identifier of the hub (``"mit"``, ``"cc-by-4.0"``, ...).
        data: what it was trained on, in words.
        measured: an evaluation: ``psnr_db``, ``usage``, ``bits_per_dim`` and so on, as ``vqkit.evaluate`` and the log
            of a run name them; of these the known ones are shown.
        tags: further tags for the hub.
    """

    license: str = "unknown"
    data: str = ""
    measured: Mapping[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()


def render(card: ModelCard, *, name: str, title: str, about: str, usage: str, config: Mapping[str, Any]) -> str:
    """Return the page, without its last line (see ``signed``).

    Args:
        card: what a person or a run adds.
        name: the ``model_type``.
        title: of the page.
        about: a sentence on the kind of model.
        usage: lines of Python.
        config: what rebuilds it.
    """
    import torch

    tags = dict.fromkeys(["vqkit", name, *card.tags])
    front = ["---", "library_name: vqkit", f"license: {json.dumps(card.license)}", "tags:"]
    front += [*(f"- {json.dumps(tag)}" for tag in tags), "---", ""]
    body = [f"# {title}", "", about, "", "```python", "import vqkit", "", usage, "```", ""]
    rows = _rows(card.measured)
    if rows:
        body += ["## Measured", "", "| measure | value |", "|---|---|", *(f"| {a} | {b} |" for a, b in rows), ""]
    body += _rates(card.measured.get("rates"))
    if card.data:
        body += ["## Data", "", card.data, ""]
    settings = json.dumps(dict(config), indent=2, ensure_ascii=False)
    body += [
        "## Config",
        "",
        "```json",
        settings,
        "```",
        "",
        f"Made with vqkit {__version__}, torch {torch.__version__}.",
        "",
    ]
    return "\n".join([*front, *body])


def signed(text: str, weights: str) -> str:
    """Return a page with the last line by which it is known again: the digests of the weights and of the page."""
    return f"{text}<!-- written by vqkit for the weights {weights}; page {_digest(text)} -->\n"


def read(folder: Path) -> str:
    """Return the card of a folder, or nothing where there is none that vqkit began."""
    try:
        with (folder / CARD).open("rb") as file:
            text = file.read(_MOST_BYTES).decode("utf-8")
    except (OSError, ValueError):
        return ""
    return text if _END.search(text) else ""


def belongs_to(text: str, weights: str) -> bool:
    """Return whether a card was made for these weights; a person may have added to it since."""
    found = _END.search(text)
    return found is not None and found["weights"] == weights


def is_free(folder: Path) -> bool:
    """Return whether a card may be written here: there is none, or one that nobody has changed."""
    return not (folder / CARD).exists() or is_untouched(read(folder))


def is_untouched(text: str) -> bool:
    """Return whether a card is as vqkit wrote it."""
    found = _END.search(text)
    return found is not None and not text[found.end() :] and found["page"] == _digest(text[: found.start()])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(measured: Mapping[str, Any]) -> list[tuple[str, str]]:
    values = {label: measured.get(name) for name, label in _NAMES.items()}
    bits = measured.get("bits_per_dim")
    values["bits per dimension"] = bits.get("total") if isinstance(bits, Mapping) else bits
    return [(label, f"{value:,.4g}" if isinstance(value, float) else f"{value:,}") for label, value in values.items()
            if isinstance(value, int | float)]  # fmt: skip


def _rates(rates: Any) -> list[str]:
    """Return the rates of an evaluation as a table: several of them, or those of sound."""
    if not isinstance(rates, list | tuple) or not all(isinstance(each, Mapping) for each in rates):
        return []
    if len(rates) < 2 and not any(each.get("frames") for each in rates):
        return []
    unit = rates[0].get("unit", "")
    columns = {"codebooks": "codebooks", "frames": "frames/s", "tokens": "tokens/s", "nominal": f"nominal {unit}",
               "entropy": f"entropy {unit}"}  # fmt: skip
    there = [name for name in columns if any(each.get(name) is not None for each in rates)]
    rows = [" | ".join(f"{each[name]:,.4g}" if each.get(name) is not None else "-" for name in there) for each in rates]
    head = " | ".join(columns[name] for name in there)
    return ["## Rates", "", f"| {head} |", f"|{'---|' * len(there)}", *(f"| {row} |" for row in rows), ""]
