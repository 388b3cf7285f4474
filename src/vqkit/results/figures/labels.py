"""Labels of groups of results: the words in which they differ."""

from __future__ import annotations

from collections.abc import Sequence

from vqkit.results.seeds import Group
from vqkit.results.tables.columns import cell_text, telling

_WORDS = ("model", "quantizer", "codebook", "data")
_PLAIN = (*_WORDS, "name", "setting", "labels", "representation", "probe")
"""Words that say by themselves what they are."""


def labels(groups: Sequence[Group], *, leaving: Sequence[str] = ()) -> list[str]:
    """Return a label for each group: the words that tell it from the others; of a single one its model.

    Args:
        groups: of results.
        leaving: words that are not to be used, since an axis says them.
    """
    told = [name for name in _WORDS if name not in leaving]
    differ = [name for name in told if len({cell_text(name, group) for group in groups}) > 1]
    names = [name for name in [*differ, *telling(groups, told)] if name not in leaving] or ["model"]
    return [_label(group, names) for group in groups]


def _label(group: Group, names: Sequence[str]) -> str:
    parts = [_part(name, text) for name in names if (text := cell_text(name, group))]
    return ", ".join(parts) or group.first.model


def _part(name: str, text: str) -> str:
    if name == "codebook":
        return f"{text} codes"
    return text if name in _PLAIN else f"{name.replace('_', ' ')} {text}"
