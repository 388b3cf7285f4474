"""Codebook collapse, named where it happens: codes that no latent chooses any more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_FEW = 0.5
"""Usage of the whole data below which a codebook has collapsed; the monitor of a training warns there too."""


def is_collapsed(entry: Mapping[str, Any]) -> bool:
    """Return whether fewer than half of the codes occur, in data that have a position for each of them."""
    return bool(entry["positions_all"] >= entry["codes_each"] and entry["usage_all"] < _FEW)


def collapse_in_words(entries: Sequence[Mapping[str, Any]]) -> str:
    """Name the codebooks that collapsed, with what each has left; or say that none did."""
    done = [each for each in entries if each["status"] == "done"]
    if not done:
        return ""
    fallen = [each for each in done if is_collapsed(each)]
    if not fallen:
        return "No codebook collapse: at least half of the codes occur in the whole data, of every quantizer and size."
    named = "; ".join(
        f"{each['name']}, {each['codebook_size']:,} codes: {each['usage_all']:.1%} occur, perplexity "
        f"{each['perplexity_all']:,.0f}"
        for each in fallen
    )
    return (
        "Codebook collapse: a code that no latent is nearest to is never chosen, so nothing moves it and it stays "
        f"dead, while a few codes do all the work. It happened to {named}."
    )
